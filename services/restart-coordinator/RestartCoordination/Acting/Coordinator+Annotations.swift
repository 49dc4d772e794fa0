// Annotations: what people ask for, and what is remembered on the objects that it concerns.
import FoundationEssentials
import KubernetesAPI
import Telemetry

extension Coordinator {
    /// Replaces requests by the times that they mean, and removes what is fulfilled or over.
    ///
    /// - Returns: whether anything was written.
    func stampAnnotations(_ snapshot: inout ClusterReader.Snapshot) async throws -> Bool {
        var hasWritten = false
        for (set, facts, pods) in [
            (snapshot.dbSet, snapshot.facts.dbSet, snapshot.facts.dbs),
            (snapshot.sentinelSet, snapshot.facts.sentinelSet, snapshot.facts.sentinels),
        ] {
            let patch = stamps(set.annotations, facts, pods)
            guard !patch.isEmpty else { continue }
            try await client.mergePatch(
                .statefulSets, set.name, namespace: namespace, ["metadata": ["annotations": .object(patch)]])
            hasWritten = true
        }
        return hasWritten
    }

    private func stamps(_ annotations: [String: String], _ facts: SetFacts, _ pods: [PodFacts]) -> [String: JSON] {
        let now = clock()
        var patch: [String: JSON] = [:]
        if annotations[Annotation.maintenance] != nil {
            if let until = facts.maintenanceUntil {
                if until <= now { patch[Annotation.maintenance] = .null }
            } else {
                let until = now.addingTimeInterval(settings.nowDuration / .seconds(1))
                patch[Annotation.maintenance] = .string(until.formatted(.iso8601))
                log.event(
                    .notice, "window-requested", "A maintenance window was opened by annotation",
                    ["set": facts.name, "until": until.formatted(.iso8601)])
            }
        }
        if annotations[Annotation.restart] != nil { patch[Annotation.restart] = restartStamp(facts, pods, now) }
        return patch
    }

    /// What the annotation that asks for a restart is to become; nil: it stays.
    private func restartStamp(_ facts: SetFacts, _ pods: [PodFacts], _ now: Date) -> JSON? {
        let limit = ClusterFacts.afterNewest(pods) ?? now
        if let requested = facts.restartRequestedAt {
            // One for later is not due yet.
            if requested > now { return nil }
            // All that there should be are there, and none is older.
            if pods.count >= facts.wantedPods, pods.allSatisfy({ $0.createdAt >= requested && $0.isReady }) {
                return .null
            }
            if requested <= limit { return nil }
        }
        log.event(.notice, "restart-requested", "A restart was requested", ["set": facts.name])
        return .string(limit.formatted(.iso8601))
    }

    /// Notes on workloads that have no note yet with which certificate they run, and takes over what a lost state has left on them.
    func adoptWorkloads(_ facts: inout ClusterFacts) async throws {
        guard settings.policy.stopsWorkloads else { return }
        let left = facts.workloads.filter { $0.savedReplicas != nil && $0.wantedReplicas == 0 }
        if state.progress.savedReplicas == nil, !left.isEmpty {
            state.progress.savedReplicas = Dictionary(
                left.map { ($0.id.description, $0.savedReplicas ?? 0) }, uniquingKeysWith: { $1 })
            log.event(.warning, "workloads-found-stopped", "An earlier run has left workloads stopped: they come back")
        }
        let isStopping = state.progress.savedReplicas != nil && !state.progress.isRestored
        for workload in facts.workloads
        where workload.savedReplicas != nil && workload.wantedReplicas > 0 && !isStopping {
            // Somebody else has started it: what was noted is of no use any more.
            try await client.mergePatch(
                .deployments, workload.id.name, namespace: workload.id.namespace,
                ["metadata": ["annotations": [Annotation.replicas: .null]]])
        }
        guard let certificate = facts.certificate else { return }
        for index in facts.workloads.indices where facts.workloads[index].certificateFingerprint == nil {
            let id = facts.workloads[index].id
            try await client.mergePatch(
                .deployments, id.name, namespace: id.namespace,
                ["metadata": ["annotations": [Annotation.certificate: .string(certificate.fingerprint)]]])
            facts.workloads[index].certificateFingerprint = certificate.fingerprint
        }
    }
}
