// Which server gets the next chunk, and when one that failed is tried again: pure, with time and chance as arguments.
//
// Servers with a weight share the chunks by smooth weighted round robin among those that are ready. Standby servers are connected
// to only while none of the others is ready and each has failed at least once. A failure doubles the server's delay, a delay is
// spread by half so that many forwarders do not come back together, and only an ack brings it back to the least: a server that
// accepts and never acknowledges is a failing one.

public struct ServerPool: Sendable {
    public struct Member: Sendable {
        public var weight: Int
        public var isStandby: Bool

        public init(weight: Int, isStandby: Bool) {
            self.weight = weight
            self.isStandby = isStandby
        }
    }

    public struct RetryDelay: Sendable, Equatable {
        public var minimumMilliseconds: Int64 = 500
        public var maximumMilliseconds: Int64 = 60_000

        public init() {}

        /// - Parameter random: 0..<1.
        func after(failures: Int, random: Double) -> Int64 {
            let doubled = minimumMilliseconds << Int64(min(max(0, failures - 1), 20))
            let limit = Double(min(max(doubled, minimumMilliseconds), maximumMilliseconds))
            return Int64(limit * (0.5 + 0.5 * random))
        }
    }

    public enum Phase: Equatable, Sendable {
        /// Not connected; not before this time, monotonic milliseconds.
        case idle(notBefore: Int64)
        case connecting
        case ready
    }

    private struct State: Sendable {
        let member: Member
        var phase = Phase.idle(notBefore: 0)
        var failures = 0
        var credit = 0
    }

    private var states: [State]
    private let retry: RetryDelay

    public init(_ members: [Member], retry: RetryDelay) {
        states = members.map { State(member: $0) }
        self.retry = retry
    }

    public func phase(_ index: Int) -> Phase { states[index].phase }
    public func failures(_ index: Int) -> Int { states[index].failures }
    public var readyCount: Int { states.filter { $0.phase == .ready }.count }

    private var needsStandby: Bool {
        let others = states.filter { !$0.member.isStandby }
        return !others.contains { $0.phase == .ready } && others.allSatisfy { $0.failures > 0 }
    }

    /// Servers to connect to now.
    public func due(now: Int64) -> [Int] {
        let needsStandby = needsStandby
        return states.indices.filter { index in
            guard case .idle(let notBefore) = states[index].phase, notBefore <= now else { return false }
            return !states[index].member.isStandby || needsStandby
        }
    }

    /// Standby servers that are connected though another one is ready again.
    public var superfluous: [Int] {
        guard states.contains(where: { !$0.member.isStandby && $0.phase == .ready }) else { return [] }
        return states.indices.filter { states[$0].member.isStandby && states[$0].phase == .ready }
    }

    public mutating func connecting(_ index: Int) { states[index].phase = .connecting }
    public mutating func becameReady(_ index: Int) { states[index].phase = .ready }
    public mutating func acknowledged(_ index: Int) { states[index].failures = 0 }

    /// The connection ended without a fault: by this side, or at the server's wish after a message.
    public mutating func closed(_ index: Int, now: Int64) { states[index].phase = .idle(notBefore: now) }

    /// Returns the milliseconds until the next attempt.
    public mutating func failed(_ index: Int, now: Int64, random: Double) -> Int64 {
        states[index].failures += 1
        let delay = retry.after(failures: states[index].failures, random: random)
        states[index].phase = .idle(notBefore: now + delay)
        return delay
    }

    /// The server for the next chunk, of those that `canTake`; nil: none.
    public mutating func choose(_ canTake: (Int) -> Bool) -> Int? {
        let hasPrimary = states.contains { !$0.member.isStandby && $0.phase == .ready }
        let candidates = states.indices.filter {
            states[$0].phase == .ready && canTake($0) && !(hasPrimary && states[$0].member.isStandby)
        }
        guard !candidates.isEmpty else { return nil }
        var total = 0
        var best = candidates[0]
        for index in candidates {
            let weight = max(1, states[index].member.weight)
            states[index].credit += weight
            total += weight
            if states[index].credit > states[best].credit { best = index }
        }
        states[best].credit -= total
        return best
    }
}
