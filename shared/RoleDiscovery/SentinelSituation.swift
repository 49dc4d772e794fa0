import RESPClient

/// What a sentinel without memory knows when it decides whom to monitor.
///
/// Whoever of its peers names a primary is believed: should that one be behind, the others' hello messages correct it. If
/// none does, the primary is the db that takes itself for it; a majority of the sentinels must be known not to know better.
public struct SentinelSituation: Equatable, Sendable {
    /// The other sentinels' answers.
    public var peers: [SentinelAnswer]
    public var databases: [PeerAddress]
    public var answers: [DatabaseAnswer?]
    /// `discovery-wait` has passed since the first question.
    public var hasWaited: Bool

    public init(peers: [SentinelAnswer], databases: [PeerAddress], answers: [DatabaseAnswer?], hasWaited: Bool) {
        self.peers = peers
        self.databases = databases
        self.answers = answers
        self.hasWaited = hasWaited
    }

    public enum Decision: Equatable, Sendable {
        case monitor(PeerAddress, configEpoch: UInt64, String)
        case wait(String)
    }

    public func decide() -> Decision {
        var newest: (address: PeerAddress, epoch: UInt64)?
        for case .names(let address, let epoch) in peers where newest.map({ epoch > $0.epoch }) ?? true {
            newest = (address, epoch)
        }
        if let newest { return .monitor(newest.address, configEpoch: newest.epoch, "other sentinels name it") }
        let reachable = peers.count { $0 != .unreachable } + 1
        let total = peers.count + 1
        guard reachable > total / 2 || hasWaited else {
            return .wait("\(reachable) of \(total) sentinels answer, a majority is needed")
        }
        let claims = zip(databases, answers).filter { $1?.role == .primary }
        guard let first = claims.first else { return .wait("no db is the primary yet") }
        guard claims.count == 1 else {
            return .wait("\(claims.map(\.0.description).joined(separator: " and ")) take themselves for the primary")
        }
        return .monitor(first.0, configEpoch: 0, "it is the primary")
    }
}
