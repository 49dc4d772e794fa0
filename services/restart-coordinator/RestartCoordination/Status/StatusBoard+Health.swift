// What probes, scrapers and browsers are told.
import FoundationEssentials
import Telemetry

extension StatusBoard: HealthSource {
    /// Looks at the cluster come every few seconds; a coordinator that has not even tried for so long hangs.
    private static let hangSeconds = 300.0

    public func livenessProblem() -> String? {
        let since = snapshot.attemptedAt ?? startedAt
        let seconds = (ContinuousClock.now - since) / .seconds(1)
        return seconds < Self.hangSeconds ? nil : "no look at the cluster for \(Int(seconds)) s"
    }

    public func readinessProblem() -> String? {
        let content = snapshot
        if content.isEnding { return "shutting down" }
        guard content.succeededAt != nil else { return content.report.problem ?? "the cluster was not observed yet" }
        return nil
    }

    public func page(_ path: String) -> HTTPResponse? {
        var report = snapshot.report
        let now = Date.now
        switch path {
        case "/":
            return HTTPResponse(
                .ok, contentType: "text/html; charset=utf-8", body: Array(StatusPage.render(report, now: now).utf8))
        case "/api/status":
            report.generatedAt = now
            do {
                return HTTPResponse(.ok, contentType: "application/json", body: try report.json())
            } catch { return HTTPResponse(.unavailable, "the report cannot be encoded: \(error)\n") }
        default: return nil
        }
    }

    public func appendMetrics(to text: inout PrometheusText) {
        let content = snapshot
        let report = content.report
        text.family("dssm_build_info", .gauge, "Version of the process.")
        text.sample(Int64(1), [("version", ProductVersion.current), ("service", "restart-coordinator")])
        text.gauge(
            "dssm_uptime_seconds", "Seconds since the start.", Int64((ContinuousClock.now - startedAt) / .seconds(1)))
        text.gauge(
            "dssm_coordinator_leader", "1 when this instance leads.", report.leader == report.instance ? Int64(1) : 0)
        text.counter("dssm_coordinator_observations_total", "Looks at the cluster.", content.counters.observations)
        text.counter(
            "dssm_coordinator_failed_observations_total", "Looks at the cluster that failed.",
            content.counters.failedObservations)
        text.gauge(
            "dssm_coordinator_observation_age_seconds", "Since the last look that succeeded; -1: none has.",
            content.succeededAt.map { Int64((ContinuousClock.now - $0) / .seconds(1)) } ?? -1)
        text.counter(
            "dssm_coordinator_interrupted_watches_total", "Watches of the Kubernetes API that broke.",
            content.counters.interruptedWatches)
        appendCluster(report, to: &text)
        appendRuns(content, to: &text)
    }

    private func appendCluster(_ report: StatusReport, to text: inout PrometheusText) {
        guard let cluster = report.cluster else { return }
        text.gauge(
            "dssm_coordinator_cluster_whole", "1 when a pod may be disturbed: one primary, all in sync, all ready.",
            cluster.obstacle == nil ? Int64(1) : 0)
        let pods = cluster.dbs + cluster.sentinels
        text.gauge(
            "dssm_coordinator_due_pods", "Pods that have to be restarted.", Int64(pods.count { !$0.dueReasons.isEmpty })
        )
        text.family("dssm_coordinator_pod_certificate_expiry_timestamp_seconds", .gauge, "When what a pod serves ends.")
        for pod in pods {
            guard let certificate = pod.certificate else { continue }
            text.sample(certificate.notAfter.timeIntervalSince1970, [("pod", pod.name)])
        }
        if let certificate = cluster.certificate {
            text.gauge(
                "dssm_coordinator_secret_certificate_expiry_timestamp_seconds", "When the Secret's certificate ends.",
                certificate.notAfter.timeIntervalSince1970)
        }
        text.family("dssm_coordinator_workload_stopped", .gauge, "1 while a workload is stopped for a restart.")
        for workload in cluster.workloads {
            text.sample(
                workload.savedReplicas == nil ? Int64(0) : 1,
                [("namespace", workload.namespace), ("name", workload.name)])
        }
    }

    private func appendRuns(_ content: Content, to text: inout PrometheusText) {
        let report = content.report
        text.gauge(
            "dssm_coordinator_window_open", "1 while a maintenance window is open.",
            report.maintenance.openUntil == nil ? Int64(0) : 1)
        if let next = report.maintenance.nextOpening {
            text.gauge(
                "dssm_coordinator_next_window_timestamp_seconds", "When the next window opens.",
                next.timeIntervalSince1970)
        }
        text.gauge("dssm_coordinator_run_active", "1 while a restart is under way.", report.run == nil ? Int64(0) : 1)
        text.family("dssm_coordinator_steps_total", .counter, "Steps taken, waits included.")
        for (step, count) in content.counters.steps.sorted(by: { $0.key < $1.key }) {
            text.sample(count, [("step", step)])
        }
        text.counter(
            "dssm_coordinator_failed_steps_total", "Hand-overs that were refused.", content.counters.failedSteps)
        text.counter(
            "dssm_coordinator_refused_evictions_total", "Evictions that a disruption budget did not allow.",
            content.counters.refusedEvictions)
        text.family("dssm_coordinator_runs_total", .counter, "Restarts that have ended.")
        for (outcome, count) in content.counters.runs.sorted(by: { $0.key < $1.key }) {
            text.sample(count, [("outcome", outcome)])
        }
        if let last = report.history.first?.endedAt {
            text.gauge(
                "dssm_coordinator_last_run_timestamp_seconds", "When the last restart ended.",
                last.timeIntervalSince1970)
        }
    }
}
