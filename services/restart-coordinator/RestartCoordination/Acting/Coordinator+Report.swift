// The report that the page, the JSON and the metrics are made of.
import FoundationEssentials
import Telemetry

extension Coordinator {
    func publish(_ facts: ClusterFacts, _ circumstances: ClusterFacts.Circumstances, _ maintenance: Maintenance) {
        let now = circumstances.now
        var report = StatusReport(
            version: ProductVersion.current, generatedAt: now, namespace: namespace, instance: instance,
            maintenance: StatusReport.Maintenance(settings))
        report.maintenance.openWindow = maintenance.openWindow
        report.maintenance.openUntil = maintenance.openUntil
        report.maintenance.nextOpening = maintenance.nextOpening
        report.cluster = facts.reported(circumstances, primaryName: settings.primaryName)
        report.observedAt = now
        report.run = state.run
        report.history = state.history
        report.conditions = state.conditions
        board.update { content in
            report.leader = content.report.leader
            content.report = report
        }
    }
}

extension StatusReport.Maintenance {
    init(_ settings: CoordinatorSettings) {
        self.init(
            windows: settings.windows.map {
                StatusReport.Window(
                    name: $0.name, cron: $0.cron, timeZone: $0.timeZone.identifier,
                    durationSeconds: Int($0.duration.components.seconds))
            },
            blackouts: settings.blackouts.map(\.text), stopsWorkloads: settings.policy.stopsWorkloads)
    }
}

extension ClusterFacts {
    func reported(_ circumstances: Circumstances, primaryName: String) -> StatusReport.Cluster {
        let observation = observation(circumstances)
        return StatusReport.Cluster(
            primaryName: primaryName, dbs: dbs.map { reported($0, dbSet, circumstances) },
            sentinels: sentinels.map { reported($0, sentinelSet, circumstances) },
            workloads: workloads.map {
                StatusReport.Workload(
                    namespace: $0.id.namespace, name: $0.id.name, wantedReplicas: $0.wantedReplicas,
                    readyReplicas: $0.readyPods,
                    savedReplicas: $0.wantedReplicas == 0 ? $0.savedReplicas : nil, dueReasons: dueReasons($0))
            },
            wantedPods: dbSet.wantedPods, hasSentinelQuorum: hasSentinelQuorum, obstacle: observation.obstacle,
            certificate: certificate.map { $0.reported(now: circumstances.now) })
    }

    private func reported(_ pod: PodFacts, _ set: SetFacts, _ circumstances: Circumstances) -> StatusReport.Pod {
        var reported = StatusReport.Pod(
            name: pod.name, node: pod.node, role: .unknown, isReady: pod.isReady,
            certificate: pod.answer.certificate.map { $0.reported(now: circumstances.now) },
            dueReasons: dueReasons(pod, set, circumstances), startedAt: pod.createdAt)
        switch pod.answer.content {
        case .primary: reported.role = .primary
        case .replica:
            reported.role = .replica
            reported.isInSync = isInSync(pod, circumstances.syncLagBytes)
            reported.lagBytes = lagBytes(pod).map { Int($0) }
        case .sentinel(let hasQuorum, let primary):
            reported.role = .sentinel
            if !hasQuorum { reported.problem = "it does not reach enough sentinels" }
            if primary == nil { reported.problem = "it names no db of ours as the primary" }
        case .nothing(let problem): reported.problem = problem
        }
        return reported
    }
}

extension CertificateFacts {
    func reported(now: Date) -> StatusReport.Certificate {
        StatusReport.Certificate(
            fingerprint: fingerprint, notBefore: notBefore, notAfter: notAfter,
            daysLeft: Int((notAfter.timeIntervalSince(now) / 86400).rounded(.down)))
    }
}
