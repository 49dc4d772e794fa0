// The status page's sections below the banner, each a function of the report.
import FoundationEssentials

extension StatusPage {
    static func run(_ report: StatusReport, _ now: Date) -> HTML {
        guard let run = report.run else { return "" }
        let mark: HTML =
            switch run.outcome {
            case .running: Mark.busy("running")
            case .suspended: Mark.bad("suspended")
            case .succeeded: Mark.good("succeeded")
            case .withdrawn: Mark.good("withdrawn")
            }
        return section(
            "Current restart",
            """
            <p>\(mark) <strong>\(run.step)</strong> <span class="n">for \
            \(TimeText.length(now.timeIntervalSince(run.stepSince)))</span></p>
            <p><progress max="\(max(run.duePods, 1))" value="\(min(max(run.restartedPods, 0), max(run.duePods, 1)))" \
            aria-label="Restarted pods"></progress> \(run.restartedPods) of \(run.duePods) pods</p>
            <dl><dt>Began</dt><dd>\(TimeText.html(run.startedAt, now: now))</dd>\
            <dt>Why</dt><dd>\(list(run.reasons.map { "\($0)" }, orElse: "–"))</dd></dl>

            """)
    }

    private static func list(_ items: [HTML], orElse none: HTML) -> HTML {
        if items.isEmpty { return none }
        return "<ul>\(items.prefix(maximumRows).map { item -> HTML in "<li>\(item)</li>" })</ul>"
    }

    static func pods(_ report: StatusReport, _ now: Date) -> HTML {
        guard let cluster = report.cluster else { return "" }
        let secret = cluster.certificate
        func rows(_ pods: [StatusReport.Pod]) -> [[HTML]] {
            pods.prefix(maximumRows).map { pod in
                var name: HTML = "\(pod.name)"
                var place: [HTML] = []
                if let node = pod.node { place.append("on \(node)") }
                if let started = pod.startedAt {
                    place.append("up \(TimeText.length(now.timeIntervalSince(started)))")
                }
                if !place.isEmpty { name += "<span class=\"n\">\(HTML.join(place, ", "))</span>" }
                return [name, role(pod), state(pod), sync(pod), served(pod, secret, now), due(pod.dueReasons)]
            }
        }
        func caption(_ kind: HTML, _ pods: [StatusReport.Pod]) -> HTML {
            "\(kind): \(pods.filter(\.isReady).count) of \(cluster.wantedPods) ready"
        }
        func withoutSync(_ rows: [[HTML]]) -> [[HTML]] { rows.map { [$0[0], $0[2], $0[4], $0[5]] } }
        let dbs = table(
            caption("dbs", cluster.dbs), ["Pod", "Role", "State", "Data", "Certificate", "Restart"], rows(cluster.dbs),
            more: cluster.dbs.count - maximumRows)
        let sentinels = table(
            caption("Sentinels", cluster.sentinels), ["Pod", "State", "Certificate", "Restart"],
            withoutSync(rows(cluster.sentinels)), more: cluster.sentinels.count - maximumRows)
        let quorum = cluster.hasSentinelQuorum ? Mark.good("yes") : Mark.worst("no")
        return section(
            "Pods",
            """
            \(dbs)\(sentinels)<dl><dt>Sentinel quorum</dt><dd>\(quorum)</dd>\
            <dt>Secret's certificate</dt><dd>\(inSecret(secret, now))</dd>\
            <dt>Primary's name</dt><dd>\(cluster.primaryName) <span class="n">for clients that ask a sentinel</span></dd></dl>

            """)
    }

    private static func role(_ pod: StatusReport.Pod) -> HTML {
        switch pod.role {
        case .primary: "<strong class=\"k\">primary</strong>"
        case .replica: "replica"
        case .sentinel: "sentinel"
        case .unknown: Mark.bad("unknown")
        }
    }

    private static func state(_ pod: StatusReport.Pod) -> HTML {
        var result = pod.isReady ? Mark.good("ready") : Mark.worst("not ready")
        if let problem = pod.problem { result += "<span class=\"n\">\(problem)</span>" }
        return result
    }

    /// `, 3.4 MiB behind`; empty when nothing is missing.
    static func lag(_ pod: StatusReport.Pod) -> HTML {
        guard let lag = pod.lagBytes, lag > 0 else { return "" }
        return ", \(bytes(lag)) behind"
    }

    private static func sync(_ pod: StatusReport.Pod) -> HTML {
        let lag = lag(pod)
        switch (pod.role, pod.isInSync) {
        case (.replica, true?): return "\(Mark.good("in sync"))\(lag)"
        case (.replica, false?): return "\(Mark.bad("not in sync"))\(lag)"
        case (.replica, nil), (.unknown, _): return "<span class=\"n\">unknown</span>"
        case (.primary, _), (.sentinel, _): return "<span class=\"n\">–</span>"
        }
    }

    private static func lifetime(_ certificate: StatusReport.Certificate, _ now: Date) -> HTML {
        let left = certificate.notAfter.timeIntervalSince(now)
        let text: HTML = left <= 0 ? "expired \(TimeText.length(-left)) ago" : "\(TimeText.length(left)) left"
        switch StatusFindings.expiry(certificate, now: now) {
        case .critical?: return Mark.worst(text)
        case .warning?, .notice?: return Mark.bad(text)
        case nil: return "<span class=\"k\">\(text)</span>"
        }
    }

    private static func served(
        _ pod: StatusReport.Pod, _ secret: StatusReport.Certificate?, _ now: Date
    ) -> HTML {
        guard let certificate = pod.certificate else { return "<span class=\"n\">unknown</span>" }
        var result = lifetime(certificate, now)
        if let secret, secret.fingerprint != certificate.fingerprint {
            result += "<span class=\"n\">not the Secret's</span>"
        }
        return result
    }

    private static func inSecret(_ certificate: StatusReport.Certificate?, _ now: Date) -> HTML {
        guard let certificate else { return Mark.bad("none that can be read") }
        return """
            \(lifetime(certificate, now)), until \(TimeText.utc(certificate.notAfter)) \
            <span class="n">SHA-256 <code>\(String(certificate.fingerprint.prefix(16)))</code>…</span>
            """
    }

    private static func due(_ reasons: [String]) -> HTML {
        guard !reasons.isEmpty else { return "<span class=\"n\">not due</span>" }
        return "\(Mark.busy("due")) \(HTML.join(reasons.map { "\($0)" }, "; "))"
    }

    static func workloads(_ report: StatusReport) -> HTML {
        guard let cluster = report.cluster, !cluster.workloads.isEmpty else { return "" }
        let rows = cluster.workloads.prefix(maximumRows).map { workload -> [HTML] in
            let state: HTML
            if workload.wantedReplicas == 0 {
                let mark = report.run?.outcome == .running ? Mark.busy : Mark.bad
                state = workload.savedReplicas.map { mark("stopped, \($0) to come back") } ?? "stopped by others"
            } else if workload.readyReplicas < workload.wantedReplicas {
                state = Mark.bad("\(workload.readyReplicas) of \(workload.wantedReplicas) ready")
            } else {
                state = Mark.good("\(workload.readyReplicas) of \(workload.wantedReplicas) ready")
            }
            return ["\(workload.name)", "\(workload.namespace)", state, due(workload.dueReasons)]
        }
        let caption: HTML =
            report.maintenance.stopsWorkloads
            ? "Deployments that are stopped while dSSM restarts" : "Deployments that keep running while dSSM restarts"
        return section(
            "TMM",
            table(
                caption, ["Deployment", "Namespace", "State", "Restart"], rows,
                more: cluster.workloads.count - maximumRows))
    }

    static func maintenance(_ report: StatusReport, _ now: Date) -> HTML {
        let maintenance = report.maintenance
        let state: HTML
        if let end = maintenance.openUntil {
            state = "\(Mark.busy("open")) \(maintenance.openWindow ?? "") until \(TimeText.html(end, now: now))"
        } else {
            state = "closed"
        }
        let next: HTML = maintenance.nextOpening.map { TimeText.html($0, now: now) } ?? "none"
        let blackouts = maintenance.blackouts.map { blackout in
            HTML.join(blackout.split(separator: "/", maxSplits: 1).map { "\(String($0))" }, " to ")
        }
        var content: HTML = """
            <dl><dt>Now</dt><dd>\(state)</dd><dt>Next opening</dt><dd>\(next)</dd>\
            <dt>Blackouts</dt><dd>\(list(blackouts, orElse: "none"))</dd></dl>

            """
        if maintenance.windows.isEmpty {
            content += "<p>No window is set: nothing is restarted unless somebody asks for it.</p>\n"
        } else {
            let rows = maintenance.windows.prefix(maximumRows).map { window -> [HTML] in
                [
                    "\(window.name)", "<code>\(window.cron)</code>", "\(window.timeZone)",
                    "\(TimeText.length(Double(window.durationSeconds)))",
                ]
            }
            content += table(
                "Windows", ["Name", "Opens (cron)", "Time zone", "Lasts"], rows,
                more: maintenance.windows.count - maximumRows)
        }
        return section("Maintenance windows", content)
    }

    static func conditions(_ report: StatusReport, _ now: Date) -> HTML {
        guard !report.conditions.isEmpty else { return "" }
        let rows = report.conditions.prefix(maximumRows).map { condition -> [HTML] in
            [
                "\(condition.type)", "\(condition.status)",
                "\(condition.reason)<span class=\"n\">\(condition.message)</span>",
                TimeText.html(condition.lastTransitionTime, now: now),
            ]
        }
        return section(
            "Conditions", table("What the coordinator concludes", ["Condition", "Status", "Reason", "Since"], rows))
    }

    static func history(_ report: StatusReport, _ now: Date) -> HTML {
        guard !report.history.isEmpty else { return "" }
        let rows = report.history.prefix(maximumRuns).map { run -> [HTML] in
            let outcome: HTML =
                switch run.outcome {
                case .succeeded: Mark.good("succeeded")
                case .withdrawn: "withdrawn"
                case .suspended: Mark.bad("suspended")
                case .running: Mark.busy("running")
                }
            let took: HTML = run.endedAt.map { "\(TimeText.length($0.timeIntervalSince(run.startedAt)))" } ?? "–"
            return [
                TimeText.html(run.startedAt, now: now), outcome, "\(run.restartedPods) of \(run.duePods)", took,
                run.reasons.isEmpty ? "–" : HTML.join(run.reasons.prefix(maximumRows).map { "\($0)" }, "; "),
            ]
        }
        return section(
            "Last restarts",
            table(
                "The latest first", ["Began", "Outcome", "Pods", "Took", "Why"], rows,
                more: report.history.count - maximumRuns))
    }
}
