// What a person on call has to know first, derived from a report: each finding is one sentence with its severity.
//
// A pod that is away while a run restarts it is no fault: such findings are notices as long as the run makes progress.
import FoundationEssentials

struct StatusFinding: Equatable, Sendable {
    enum Severity: Int, Comparable, Sendable {
        /// Worth knowing; nothing to do.
        case notice
        /// Redundancy is reduced, or will be: see to it today.
        case warning
        /// Service is lost, or about to be: see to it now.
        case critical

        static func < (left: Severity, right: Severity) -> Bool { left.rawValue < right.rawValue }
    }

    var severity: Severity
    var text: HTML
}

struct StatusFindings {
    /// A look at the cluster that is older is told to be old.
    static let staleAfterSeconds: Double = 60
    /// A step that lasts longer is told to be stuck.
    static let stuckAfterSeconds: Double = 600
    /// Days before its end at which a certificate is reported, or a quarter of its life where that is shorter and known.
    static let expiryWarningDays: Double = 14

    let report: StatusReport
    let now: Date
    private(set) var all: [StatusFinding] = []

    init(_ report: StatusReport, now: Date) {
        self.report = report
        self.now = now
        observation()
        if let cluster = report.cluster {
            let before = all.count
            pods(cluster)
            roles(cluster)
            if let obstacle = cluster.obstacle, !all[before...].contains(where: { $0.severity > .notice }), !isMoving {
                add(.warning, "No pod may be restarted now: \(obstacle).")
            }
            certificates(cluster)
            workloads(cluster)
        }
        attention()
        run()
        leadership()
        // Stable: what was found first stays first among equals.
        all = all.enumerated().sorted { ($1.element.severity, $0.offset) < ($0.element.severity, $1.offset) }
            .map(\.element)
    }

    /// A run is under way and has done something lately.
    private var isMoving: Bool {
        guard let run = report.run, run.outcome == .running else { return false }
        return now.timeIntervalSince(run.stepSince) <= StatusFindings.stuckAfterSeconds
    }

    private mutating func add(_ severity: StatusFinding.Severity, _ text: HTML) {
        all.append(StatusFinding(severity: severity, text: text))
    }

    /// What a restart explains while it goes on.
    private mutating func addUnlessRestarting(_ severity: StatusFinding.Severity, _ text: HTML) {
        add(isMoving ? .notice : severity, text)
    }

    private mutating func observation() {
        guard report.cluster != nil else {
            if let problem = report.problem {
                add(.critical, "The cluster could not be observed since this program started: \(problem)")
            }
            return
        }
        let age = report.observedAt.map { TimeText.length(now.timeIntervalSince($0)) }
        if let problem = report.problem {
            let seen: HTML = age.map { "What is shown was seen \($0) ago." } ?? "What is shown is old."
            add(.warning, "The cluster cannot be observed: \(problem) \(seen)")
        } else if let observed = report.observedAt, let age,
            now.timeIntervalSince(observed) > StatusFindings.staleAfterSeconds
        {
            add(.warning, "What is shown is old: it was seen \(age) ago.")
        }
    }

    private mutating func pods(_ cluster: StatusReport.Cluster) {
        for (kind, pods) in [("db", cluster.dbs), ("sentinel", cluster.sentinels)] {
            let ready = pods.filter(\.isReady).count
            if ready == 0 {
                add(.critical, "No \(kind) pod is ready.")
            } else if pods.count < cluster.wantedPods {
                let missing = cluster.wantedPods - pods.count
                addUnlessRestarting(
                    .warning,
                    missing == 1
                        ? "A \(kind) pod is missing: there are \(pods.count) of \(cluster.wantedPods)."
                        : "\(missing) \(kind) pods are missing: there are \(pods.count) of \(cluster.wantedPods).")
            }
            for pod in pods {
                switch (pod.isReady, pod.problem) {
                case (true, nil): break
                case (true, let problem?) where pod.role == .unknown:
                    addUnlessRestarting(.warning, "\(pod.name) could not be asked: \(problem)")
                case (true, let problem?): addUnlessRestarting(.warning, "\(pod.name): \(problem)")
                case (false, nil): addUnlessRestarting(.warning, "\(pod.name) is not ready.")
                case (false, let problem?): addUnlessRestarting(.warning, "\(pod.name) is not ready: \(problem)")
                }
            }
        }
    }

    private mutating func roles(_ cluster: StatusReport.Cluster) {
        let primaries = cluster.dbs.filter { $0.role == .primary }
        if primaries.isEmpty {
            // A hand-over takes a moment in which nobody is the primary; that is no reason to wake anyone, but it is the headline.
            add(isMoving ? .warning : .critical, "There is no primary: writes fail.")
        } else if primaries.count > 1 {
            let names = HTML.join(primaries.map { "\($0.name)" }, ", ")
            add(
                .critical,
                "There are \(primaries.count) primaries: \(names). Writes to all but one of them will be lost.")
        }
        if !cluster.hasSentinelQuorum {
            add(.critical, "The sentinels have no quorum: nobody replaces a primary that fails.")
        }
        // Of a pod that is not ready, and without a primary, it goes without saying.
        for pod in cluster.dbs
        where pod.role == .replica && pod.isInSync == false && pod.isReady && !primaries.isEmpty {
            let lag = StatusPage.lag(pod)
            addUnlessRestarting(.warning, "\(pod.name) is not in sync with the primary\(lag).")
        }
        for pod in cluster.dbs where pod.role == .unknown && pod.isReady && pod.problem == nil {
            addUnlessRestarting(.warning, "\(pod.name) does not say whether it is the primary or a replica.")
        }
    }

    /// How a certificate's end is to be reported; nil: it is far.
    static func expiry(_ certificate: StatusReport.Certificate, now: Date) -> StatusFinding.Severity? {
        let left = certificate.notAfter.timeIntervalSince(now)
        if left <= 0 { return .critical }
        var limit = expiryWarningDays * 86400
        if let start = certificate.notBefore {
            limit = min(limit, certificate.notAfter.timeIntervalSince(start) / 4)
        }
        return left < limit ? .warning : nil
    }

    private mutating func certificates(_ cluster: StatusReport.Cluster) {
        func state(_ certificate: StatusReport.Certificate) -> HTML {
            let left = certificate.notAfter.timeIntervalSince(now)
            return left <= 0 ? "expired \(TimeText.length(-left)) ago" : "expires in \(TimeText.length(left))"
        }
        if let certificate = cluster.certificate {
            if let severity = StatusFindings.expiry(certificate, now: now) {
                add(severity, "The certificate in the Secret \(state(certificate)).")
            }
        } else {
            add(.warning, "There is no Secret with a certificate that can be read.")
        }
        // Pods that serve what is in the Secret are told of by the line above.
        var expiring: [String: [StatusReport.Pod]] = [:]
        for pod in cluster.dbs + cluster.sentinels {
            guard let certificate = pod.certificate, certificate.fingerprint != cluster.certificate?.fingerprint,
                StatusFindings.expiry(certificate, now: now) != nil
            else { continue }
            expiring[certificate.fingerprint, default: []].append(pod)
        }
        for pods in expiring.values.sorted(by: { $0[0].name < $1[0].name }) {
            guard let certificate = pods[0].certificate, let severity = StatusFindings.expiry(certificate, now: now)
            else { continue }
            let names = HTML.join(pods.map { "\($0.name)" }, ", ")
            add(
                severity, "The certificate that \(names) \(pods.count == 1 ? "serves" : "serve") \(state(certificate))."
            )
        }
    }

    /// What a restart would not mend: the coordinator says it in the message of a condition.
    private mutating func attention() {
        for condition in report.conditions where condition.reason == "Attention" {
            add(.warning, "Attention: \(condition.message).")
        }
    }

    private mutating func workloads(_ cluster: StatusReport.Cluster) {
        for workload in cluster.workloads {
            let name: HTML = "\(workload.namespace)/\(workload.name)"
            if let saved = workload.savedReplicas, saved > 0, workload.wantedReplicas == 0 {
                addUnlessRestarting(
                    .critical,
                    "\(name) is stopped, and its traffic; \(saved) \(saved == 1 ? "replica waits" : "replicas wait") to come back."
                )
            } else if workload.readyReplicas < workload.wantedReplicas {
                addUnlessRestarting(
                    .warning, "\(name): \(workload.readyReplicas) of \(workload.wantedReplicas) replicas are ready.")
            }
        }
    }

    private mutating func run() {
        guard let run = report.run else {
            restartDue()
            return
        }
        switch run.outcome {
        case .running where !isMoving:
            add(
                .warning,
                "The restart has not moved for \(TimeText.length(now.timeIntervalSince(run.stepSince))): \(run.step).")
        case .suspended:
            let next: HTML =
                report.maintenance.nextOpening.map {
                    "It goes on in the next window, \(TimeText.html($0, now: now))."
                } ?? "No window will open for it."
            add(
                report.maintenance.nextOpening == nil ? .warning : .notice,
                "A restart is suspended after \(run.restartedPods) of \(run.duePods) pods: \(run.step). \(next)")
        case .running, .succeeded, .withdrawn: break
        }
    }

    private mutating func restartDue() {
        guard let cluster = report.cluster else { return }
        let due =
            (cluster.dbs + cluster.sentinels).filter { !$0.dueReasons.isEmpty }.count
            + cluster.workloads.filter { !$0.dueReasons.isEmpty }.count
        guard due > 0 else { return }
        let what: HTML = due == 1 ? "A restart is due" : "\(due) restarts are due"
        if report.maintenance.openUntil != nil {
            add(.notice, "\(what); a window is open.")
        } else if let next = report.maintenance.nextOpening {
            add(.notice, "\(what). The next window opens \(TimeText.html(next, now: now)).")
        } else {
            add(.warning, "\(what), and no window will open.")
        }
    }

    private mutating func leadership() {
        guard let leader = report.leader else {
            add(.warning, "No instance leads: nothing is restarted.")
            return
        }
        if leader != report.instance {
            add(.notice, "This instance stands by; \(leader) leads and knows more.")
        }
    }
}
