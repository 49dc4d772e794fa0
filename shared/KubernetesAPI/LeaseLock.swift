// One leader among several instances, by a Lease object.
//
// The holder renews the lease; who finds it not renewed for its duration takes it. Clocks of different machines are never
// compared: a candidate measures with its own clock how long it has seen the lease unchanged. The holder stops acting when it
// could not renew for `renewDeadline`, which is shorter than the duration, so that two never act at once as long as their clocks
// run at about the same speed.
//
// - Spec: Kubernetes API, coordination.k8s.io/v1 Lease; the scheme is that of client-go's leader election.
import FoundationEssentials

public struct LeaseLock: Sendable {
    public let client: KubernetesClient
    public let name: String
    public let namespace: String
    /// Who we are: unique among the instances, such as the pod's name with a random part.
    public let identity: String
    public var duration: Duration = .seconds(15)
    public var renewDeadline: Duration = .seconds(10)
    public var retryPeriod: Duration = .seconds(2)

    public init(client: KubernetesClient, name: String, namespace: String, identity: String) {
        self.client = client
        self.name = name
        self.namespace = namespace
        self.identity = identity
    }

    /// The lease as another instance left it, and since when we have seen it so.
    struct Observation {
        var version: String?
        var since: ContinuousClock.Instant
    }

    /// Waits until this instance is the leader, then runs `lead`; cancels it when leadership is lost.
    ///
    /// The lease is given up at the end, so that the next one need not wait for it to run out.
    /// - Parameter waiting: told who leads, each time that changes.
    /// - Returns: what `lead` returned; nil when leadership was lost before it ended.
    public func withLeadership<Result: Sendable>(
        waiting: @Sendable (String) -> Void = { _ in }, lead: @escaping @Sendable () async throws -> Result
    ) async throws -> Result? {
        try await acquire(waiting)
        do {
            let result = try await withThrowingTaskGroup(of: Result?.self) { group in
                group.addTask { try await lead() }
                group.addTask {
                    try await keep()
                    return nil
                }
                defer { group.cancelAll() }
                return try await group.next() ?? nil
            }
            // What was lost is not ours to give up.
            if result != nil { await releaseUncancelled() }
            return result
        } catch {
            await releaseUncancelled()
            throw error
        }
    }

    /// The lease must not stay behind when our task is cancelled.
    private func releaseUncancelled() async { await Task { await release() }.value }

    private func acquire(_ waiting: @Sendable (String) -> Void) async throws {
        var observation = Observation(version: nil, since: .now)
        var announced: String?
        while true {
            do {
                if let holder = try await tryToTake(&observation) {
                    if holder != announced { waiting(holder) }
                    announced = holder
                } else {
                    return
                }
            } catch let error as KubernetesError {
                // A conflict or an unreachable server: look again. What time does not mend is the caller's to know.
                if error.code == .forbidden || error.code == .invalid { throw error }
            }
            try await Task.sleep(for: retryPeriod * Double.random(in: 0.8...1.2))
        }
    }

    /// - Returns: who holds the lease; nil: we do.
    func tryToTake(_ observation: inout Observation) async throws -> String? {
        guard let lease = try await client.find(.leases, name, namespace: namespace) else {
            var lease = KubernetesObject(.leases, name: name, namespace: namespace)
            claim(&lease, transitions: 0)
            try await client.create(.leases, lease)
            return nil
        }
        let holder = lease["spec", "holderIdentity"]?.string ?? ""
        if lease.resourceVersion != observation.version {
            observation = Observation(version: lease.resourceVersion, since: .now)
        }
        let lasts = Duration.seconds(lease["spec", "leaseDurationSeconds"]?.integer ?? 15)
        if holder != identity, !holder.isEmpty, ContinuousClock.now - observation.since < lasts { return holder }
        var taken = lease
        let transitions = lease["spec", "leaseTransitions"]?.integer ?? 0
        claim(&taken, transitions: holder == identity ? transitions : transitions + 1)
        try await client.replace(.leases, taken)
        return nil
    }

    private func claim(_ lease: inout KubernetesObject, transitions: Int) {
        let now = LeaseLock.microTime(Date.now)
        let seconds = Int(duration.components.seconds)
        lease["spec", "holderIdentity"] = .string(identity)
        lease["spec", "leaseDurationSeconds"] = .integer(seconds)
        lease["spec", "leaseTransitions"] = .integer(transitions)
        lease["spec", "acquireTime"] = .string(now)
        lease["spec", "renewTime"] = .string(now)
    }

    private enum Renewal { case done, lost, failed }

    /// Renews the lease until that has not succeeded for too long or somebody else has it; then returns.
    private func keep() async throws {
        var renewed = ContinuousClock.now
        while true {
            try await Task.sleep(for: retryPeriod)
            let began = ContinuousClock.now
            switch try await renew(before: renewed + renewDeadline) {
            case .done: renewed = began
            case .lost: return
            case .failed: if ContinuousClock.now >= renewed + renewDeadline { return }
            }
        }
    }

    /// One attempt. A server that does not answer must not keep us beyond the deadline, whatever time limit and retries the
    /// client has: another instance takes the lease then.
    private func renew(before deadline: ContinuousClock.Instant) async throws -> Renewal {
        try await withThrowingTaskGroup(of: Renewal.self) { group in
            group.addTask { try await renewOnce() }
            group.addTask {
                try await Task.sleep(until: deadline, clock: .continuous)
                return .failed
            }
            defer { group.cancelAll() }
            return try await group.next() ?? .failed
        }
    }

    private func renewOnce() async throws -> Renewal {
        do {
            var lease = try await client.get(.leases, name, namespace: namespace)
            guard lease["spec", "holderIdentity"]?.string == identity else { return .lost }
            lease["spec", "renewTime"] = .string(LeaseLock.microTime(Date.now))
            try await client.replace(.leases, lease)
            return .done
        } catch let error as KubernetesError {
            return error.code == .notFound ? .lost : .failed
        }
    }

    private func release() async {
        // If this fails the lease runs out by itself.
        _ = try? await client.update(.leases, name, namespace: namespace, attempts: 2) { lease in
            guard lease["spec", "holderIdentity"]?.string == identity else { return false }
            lease["spec", "holderIdentity"] = ""
            lease["spec", "leaseDurationSeconds"] = 1
            return true
        }
    }

    /// - Spec: Kubernetes API, MicroTime: RFC 3339 with six decimals.
    public static func microTime(_ date: Date) -> String {
        let microseconds = Int((date.timeIntervalSince1970 * 1_000_000).rounded(.down))
        let whole = Date(timeIntervalSince1970: Double(microseconds / 1_000_000))
        let fraction = "\(microseconds % 1_000_000)"
        let padding = String(repeating: "0", count: 6 - fraction.count)
        return "\(whole.formatted(.iso8601).dropLast()).\(padding)\(fraction)Z"
    }
}
