// The steps that a plan would take if all went well, for `dssm-restart-coordinator plan`.
import Foundation

public enum RestartForecast {
    private static let stepLimit = 200

    /// - Parameter windowEnd: nil: as if a window were open for long enough.
    /// - Returns: the steps in their order; the last one is `finished`, `suspend`, or a `wait` for something that must change first.
    public static func steps(
        _ cluster: ClusterObservation, _ progress: RestartProgress, _ policy: RestartPolicy, now: Date, windowEnd: Date?
    ) -> [RestartStep] {
        var cluster = cluster
        var progress = progress
        var steps: [RestartStep] = []
        let windowEnd = windowEnd ?? now.addingTimeInterval(policy.stepAllowance / .seconds(1))
        while steps.count < stepLimit {
            let step = RestartPlan.next(cluster, progress, policy, now: now, windowEnd: windowEnd)
            steps.append(step)
            switch step {
            case .finished, .suspend, .wait: return steps
            case .remember(let remembered): progress = remembered
            case .scale(let id, let replicas):
                for index in cluster.workloads.indices where cluster.workloads[index].id == id {
                    cluster.workloads[index].wantedReplicas = replicas
                    cluster.workloads[index].presentPods = replicas
                    cluster.workloads[index].readyPods = replicas
                    cluster.workloads[index].isCurrent = true
                }
            case .handOver(let name):
                guard handOver(from: name, &cluster) else { return steps }
            case .evict(let name, _): restart(name, &cluster)
            }
        }
        return steps
    }

    /// - Returns: false: there is no replica to hand over to.
    private static func handOver(from name: String, _ cluster: inout ClusterObservation) -> Bool {
        guard let old = cluster.dbs.firstIndex(where: { $0.name == name }),
            let new = cluster.dbs.indices.first(where: { $0 != old })
        else { return false }
        cluster.dbs[old].role = .replica(isInSync: true)
        cluster.dbs[new].role = .primary
        return true
    }

    private static func restart(_ name: String, _ cluster: inout ClusterObservation) {
        for index in cluster.dbs.indices where cluster.dbs[index].name == name { cluster.dbs[index].isCurrent = true }
        for index in cluster.sentinels.indices where cluster.sentinels[index].name == name {
            cluster.sentinels[index].isCurrent = true
        }
    }
}
