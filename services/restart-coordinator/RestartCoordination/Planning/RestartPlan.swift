// What to do next: a function of what is seen and of what has been remembered.
//
// The order is the published procedure made safe. TMM's replica counts are remembered before anything is scaled down; dSSM restarts
// one pod at a time, replicas first, then a hand-over, then the old primary, then the sentinels, each step only when all six are
// whole again; then TMM comes back. Nothing is kept in the process: each step is derived anew from the cluster and from
// `RestartProgress`, which is stored in the cluster before a step is taken. So a coordinator that dies at any point is followed by one
// that goes on, and doing a step twice does no harm.
//
// Invariants: no pod is disturbed while another one is missing, a replica is behind, there is not exactly one primary, or the sentinels
// lack their quorum; nothing new begins that would not fit before the window's end; workloads that were scaled down come back
// whatever the window says.
import Foundation

/// A pod of dSSM as it is now.
public struct ObservedPod: Sendable, Equatable {
    public enum Role: Sendable, Equatable {
        case primary
        case replica(isInSync: Bool)
        case sentinel
        /// It does not say.
        case unknown
    }

    public var name: String
    /// The identity of this pod, which another pod of the same name has not.
    public var uid: String
    public var isReady: Bool
    /// It runs what is wanted and serves the certificate that is wanted: nothing to do.
    public var isCurrent: Bool
    public var role: Role

    public init(name: String, uid: String, isReady: Bool, isCurrent: Bool, role: Role) {
        self.name = name
        self.uid = uid
        self.isReady = isReady
        self.isCurrent = isCurrent
        self.role = role
    }
}

/// A Deployment of TMM.
public struct ObservedWorkload: Sendable, Equatable {
    public var id: WorkloadID
    public var wantedReplicas: Int
    /// Pods that are still there, those on their way out included.
    public var presentPods: Int
    public var readyPods: Int
    /// Its pods were started with the certificate that is wanted, or there are none.
    public var isCurrent: Bool

    public init(id: WorkloadID, wantedReplicas: Int, presentPods: Int, readyPods: Int, isCurrent: Bool = true) {
        self.id = id
        self.wantedReplicas = wantedReplicas
        self.presentPods = presentPods
        self.readyPods = readyPods
        self.isCurrent = isCurrent
    }
}

public struct WorkloadID: Sendable, Hashable, Comparable, CustomStringConvertible {
    public let namespace: String
    public let name: String

    public init(namespace: String, name: String) {
        self.namespace = namespace
        self.name = name
    }

    public var description: String { "\(namespace)/\(name)" }

    public static func < (left: WorkloadID, right: WorkloadID) -> Bool { left.description < right.description }
}

public struct ClusterObservation: Sendable, Equatable {
    public var dbs: [ObservedPod]
    public var sentinels: [ObservedPod]
    public var workloads: [ObservedWorkload]
    /// dbs that there should be.
    public var wantedPods: Int
    public var wantedSentinels: Int
    /// A majority of the sentinels agree on the primary and reach each other.
    public var hasSentinelQuorum: Bool

    public init(
        dbs: [ObservedPod], sentinels: [ObservedPod], workloads: [ObservedWorkload] = [], wantedPods: Int = 3,
        wantedSentinels: Int = 3, hasSentinelQuorum: Bool
    ) {
        self.dbs = dbs
        self.sentinels = sentinels
        self.workloads = workloads
        self.wantedPods = wantedPods
        self.wantedSentinels = wantedSentinels
        self.hasSentinelQuorum = hasSentinelQuorum
    }

    /// Why no pod may be disturbed now; nil: one may.
    public var obstacle: String? {
        if let missing = missingPods { return missing }
        if let primaryProblem { return primaryProblem }
        for pod in dbs where pod.role != .primary && pod.role != .replica(isInSync: true) {
            return "\(pod.name) is not in sync"
        }
        return quorumProblem
    }

    /// Why clients are not served; nil: they are, though perhaps with less redundancy.
    public var outage: String? { primaryProblem ?? quorumProblem }

    private var primaryProblem: String? {
        let primaries = dbs.count { $0.role == .primary }
        return primaries == 1 ? nil : primaries == 0 ? "there is no primary" : "there are \(primaries) primaries"
    }

    private var quorumProblem: String? { hasSentinelQuorum ? nil : "the sentinels have no quorum" }

    private var missingPods: String? {
        for (name, pods, wanted) in [("db", dbs, wantedPods), ("sentinel", sentinels, wantedSentinels)] {
            let ready = pods.count(where: \.isReady)
            if ready < wanted || pods.count != wanted {
                return "\(ready) of \(wanted) \(name) pods are ready"
            }
        }
        return nil
    }
}

/// What a run has to remember, stored in the cluster.
public struct RestartProgress: Sendable, Equatable, Codable {
    /// Replicas that workloads had before they were scaled down; nil: not scaled down yet, or not to be.
    public var savedReplicas: [String: Int]?
    /// The workloads are up again: the run ends when all is confirmed.
    public var isRestored = false

    public init() {}
}

public struct RestartPolicy: Sendable, Equatable {
    /// Whether the workloads are stopped while dSSM restarts, as the published procedure does. Not needed for a rolling restart.
    public var stopsWorkloads = false
    /// Time that one pod may take from its eviction to being in sync.
    public var stepAllowance: Duration = .seconds(180)

    public init() {}
}

public enum RestartStep: Sendable, Equatable {
    /// Store this before anything else is done.
    case remember(RestartProgress)
    case scale(WorkloadID, to: Int)
    /// Let sentinels choose another primary, without loss.
    case handOver(from: String)
    case evict(pod: String, uid: String)
    /// Look again later; the text says what is waited for.
    case wait(String)
    /// The window ends too soon for another step.
    case suspend(String)
    case finished
}

public enum RestartPlan {
    /// - Parameters:
    ///   - windowEnd: nil: there is no window now.
    public static func next(
        _ cluster: ClusterObservation, _ progress: RestartProgress, _ policy: RestartPolicy, now: Date, windowEnd: Date?
    ) -> RestartStep {
        let fits = windowEnd.map { $0.timeIntervalSince(now) >= policy.stepAllowance / .seconds(1) } ?? false
        let isDone = !isDue(cluster, policy)
        // In the window they come back to a whole store. Afterwards one that serves is enough: a lost replica must not become a
        // lost service.
        let problem = fits ? cluster.obstacle : cluster.outage
        if isDone || !fits, let step = restore(cluster, progress, problem) { return step }
        if isDone {
            if let obstacle = cluster.obstacle { return .wait(obstacle) }
            if let returning = returning(cluster, progress) { return .wait(returning) }
            return .finished
        }
        guard fits else {
            return .suspend(windowEnd == nil ? "no window is open" : "the window ends too soon for another step")
        }
        if let step = stopWorkloads(cluster, progress, policy) { return step }
        if let obstacle = cluster.obstacle { return .wait(obstacle) }
        return disturb(cluster)
    }

    /// Whether there is anything to restart.
    public static func isDue(_ cluster: ClusterObservation, _ policy: RestartPolicy) -> Bool {
        (cluster.dbs + cluster.sentinels).contains { !$0.isCurrent }
            || policy.stopsWorkloads && cluster.workloads.contains { !$0.isCurrent }
    }

    /// Brings workloads back that a run has scaled down.
    private static func restore(
        _ cluster: ClusterObservation, _ progress: RestartProgress, _ problem: String?
    ) -> RestartStep? {
        guard let saved = progress.savedReplicas, !progress.isRestored else { return nil }
        if let problem { return .wait("\(problem); then the workloads come back") }
        for workload in cluster.workloads.sorted(by: { $0.id < $1.id }) {
            guard let replicas = saved[workload.id.description] else { continue }
            // Somebody else may have scaled it up meanwhile: that is respected.
            if workload.wantedReplicas == 0, replicas > 0 { return .scale(workload.id, to: replicas) }
        }
        var done = progress
        done.isRestored = true
        return .remember(done)
    }

    /// What of the workloads is not ready yet again; nil: nothing.
    private static func returning(_ cluster: ClusterObservation, _ progress: RestartProgress) -> String? {
        guard let saved = progress.savedReplicas else { return nil }
        let late = cluster.workloads.sorted { $0.id < $1.id }
            .first { saved[$0.id.description] != nil && $0.readyPods < $0.wantedReplicas }
        return late.map { "\($0.readyPods) of \($0.wantedReplicas) pods of \($0.id) are ready" }
    }

    private static func stopWorkloads(
        _ cluster: ClusterObservation, _ progress: RestartProgress, _ policy: RestartPolicy
    ) -> RestartStep? {
        guard policy.stopsWorkloads, !cluster.workloads.isEmpty else { return nil }
        if let progress = remembering(cluster, progress) { return .remember(progress) }
        // A store that is not whole is no reason to stop traffic: wait for it first.
        let workloads = cluster.workloads.sorted { $0.id < $1.id }
        if let running = workloads.first(where: { $0.wantedReplicas > 0 }) {
            if let obstacle = cluster.obstacle { return .wait(obstacle) }
            return .scale(running.id, to: 0)
        }
        if let leaving = workloads.first(where: { $0.presentPods > 0 }) {
            return .wait("\(leaving.presentPods) pods of \(leaving.id) are still there")
        }
        return nil
    }

    /// What has to be remembered before anything is stopped; nil: it is.
    private static func remembering(_ cluster: ClusterObservation, _ progress: RestartProgress) -> RestartProgress? {
        var saved = progress.isRestored ? [:] : progress.savedReplicas ?? [:]
        var isComplete = progress.savedReplicas != nil && !progress.isRestored
        for workload in cluster.workloads where saved[workload.id.description] == nil {
            saved[workload.id.description] = workload.wantedReplicas
            isComplete = false
        }
        guard !isComplete else { return nil }
        var begun = RestartProgress()
        begun.savedReplicas = saved
        return begun
    }

    /// The next pod, in a cluster that is whole.
    private static func disturb(_ cluster: ClusterObservation) -> RestartStep {
        func stale(_ pods: [ObservedPod]) -> [ObservedPod] {
            pods.filter { !$0.isCurrent }.sorted { $0.name > $1.name }
        }
        let dbs = stale(cluster.dbs)
        // The highest ordinal first, as StatefulSets do.
        if let replica = dbs.first(where: { $0.role != .primary }) {
            return .evict(pod: replica.name, uid: replica.uid)
        }
        if let primary = dbs.first { return .handOver(from: primary.name) }
        if let sentinel = stale(cluster.sentinels).first { return .evict(pod: sentinel.name, uid: sentinel.uid) }
        return .finished
    }
}
