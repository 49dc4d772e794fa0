// Taking steps.
import FoundationEssentials
import KubernetesAPI
import RESP
import RESPClient
import Telemetry

extension Coordinator {
    /// Takes the next step of the plan, if there is one.
    ///
    /// - Returns: whether a run is under way.
    func advance(_ snapshot: ClusterReader.Snapshot) async throws -> Bool {
        let facts = snapshot.facts
        let circumstances = circumstances(facts)
        let cluster = facts.observation(circumstances)
        let maintenance = maintenance(facts)
        updateConditions(facts, cluster, circumstances, maintenance)
        await tellWarnings(facts.warnings(circumstances), snapshot)
        let isDue = RestartPlan.isDue(cluster, settings.policy)
        guard isDue || state.run != nil || state.progress.savedReplicas != nil else {
            announce("restart-due", nil, .notice, "Nothing has to be restarted any more")
            try await saveState()
            return false
        }
        let reasons = facts.reasonSummary(circumstances)
        let due = reasons.joined(separator: "; ")
        if isDue, announce("restart-due", due, .notice, "A restart is due: \(due)") {
            await tell(.normal, "RestartDue", due, snapshot)
        }
        let step = RestartPlan.next(
            cluster, state.progress, settings.policy, now: circumstances.now, windowEnd: maintenance.openUntil)
        let hasNoRun = state.run == nil && state.progress.savedReplicas == nil
        if hasNoRun, case .suspend(let why) = step {
            announce("restart-waits", why, .notice, "The restart waits: \(why)")
            try await saveState()
            return false
        }
        announced["restart-waits"] = nil
        if state.run == nil { await beginRun(reasons, facts, snapshot, maintenance) }
        note(step, facts, cluster, circumstances.now)
        // What is about to be done is in the cluster before it is done.
        try await saveState()
        try await take(step, snapshot)
        if case .suspend = step { return false }
        return true
    }

    private func beginRun(
        _ reasons: [String], _ facts: ClusterFacts, _ snapshot: ClusterReader.Snapshot, _ maintenance: Maintenance
    ) async {
        let now = clock()
        state.run = StatusReport.Run(
            startedAt: now, reasons: reasons, outcome: .running, step: "beginning", stepSince: now, restartedPods: 0,
            duePods: 0)
        state.startingPods = Dictionary(
            (facts.dbs + facts.sentinels).map { ($0.name, $0.uid) }, uniquingKeysWith: { $1 })
        let window = maintenance.openWindow.map { " in window '\($0)'" } ?? ""
        log.event(.notice, "run-begun", "A restart begins\(window): \(reasons.joined(separator: "; "))")
        await tell(.normal, "RestartBegun", "begun\(window): \(reasons.joined(separator: "; "))", snapshot)
    }

    /// Writes into the state what is about to be done.
    private func note(_ step: RestartStep, _ facts: ClusterFacts, _ cluster: ClusterObservation, _ now: Date) {
        let pods = facts.dbs + facts.sentinels
        let restarted = pods.count { pod in state.startingPods[pod.name].map { $0 != pod.uid } ?? false }
        let stale = (cluster.dbs + cluster.sentinels).count { !$0.isCurrent }
        if var run = state.run {
            run.restartedPods = restarted
            run.duePods = max(run.duePods, stale, restarted)
            run.outcome = if case .suspend = step { .suspended } else { .running }
            if run.step != step.text {
                run.step = step.text
                run.stepSince = now
                log.event(.notice, "step", step.text)
            }
            state.run = run
        }
        if case .remember(let progress) = step { state.progress = progress }
        if case .finished = step {
            let hasDone = restarted > 0 || state.progress.savedReplicas != nil
            state.endRun(hasDone ? .succeeded : .withdrawn, step.text, now: now)
        }
    }

    private func take(_ step: RestartStep, _ snapshot: ClusterReader.Snapshot) async throws {
        board.count { $0.steps[step.kind, default: 0] += 1 }
        switch step {
        case .remember, .wait: return
        case .suspend(let why):
            if announced["suspended"] != why { await tell(.normal, "RestartSuspended", why, snapshot) }
            announced["suspended"] = why
            return
        case .finished:
            let run = state.history.first
            board.count { $0.runs[run?.outcome.rawValue ?? "", default: 0] += 1 }
            let text = "\(run?.restartedPods ?? 0) pods were restarted; all is whole and serves the wanted certificate"
            log.event(.notice, "run-ended", text, ["outcome": run?.outcome.rawValue ?? ""])
            return await tell(.normal, "RestartFinished", text, snapshot)
        case .scale(let id, let replicas): try await scale(id, to: replicas, snapshot)
        case .handOver(let pod): try await handOver(from: pod, snapshot)
        case .evict(let pod, let uid): try await evict(pod, uid, snapshot)
        }
        announced["suspended"] = nil
    }

    // MARK: Steps

    /// Annotation and replicas change in one request: there is no moment at which a workload is stopped and nobody knows how many
    /// it had.
    private func scale(_ id: WorkloadID, to replicas: Int, _ snapshot: ClusterReader.Snapshot) async throws {
        var annotations: [String: JSON] = [:]
        if replicas == 0 {
            let saved = state.progress.savedReplicas?[id.description] ?? 0
            annotations[Annotation.replicas] = .string("\(saved)")
        } else {
            annotations[Annotation.replicas] = .null
            if let certificate = snapshot.facts.certificate {
                annotations[Annotation.certificate] = .string(certificate.fingerprint)
            }
        }
        try await client.mergePatch(
            .deployments, id.name, namespace: id.namespace,
            ["metadata": ["annotations": .object(annotations)], "spec": ["replicas": .integer(replicas)]])
        await tell(
            .normal, replicas == 0 ? "WorkloadStopped" : "WorkloadStarted", "\(id) is scaled to \(replicas)", snapshot)
    }

    /// Any sentinel of the majority can order it.
    private func handOver(from pod: String, _ snapshot: ClusterReader.Snapshot) async throws {
        let sentinels = snapshot.sentinelTargets.compactMap { target -> PeerSurvey.Question? in
            guard let address = target.address,
                let facts = snapshot.facts.sentinels.first(where: { $0.name == target.name }),
                case .sentinel(true, pod) = facts.answer.content
            else { return nil }
            var question = PeerSurvey.Question(address, ["SENTINEL", "FAILOVER", settings.primaryName])
            question.serverName = target.dnsName
            return question
        }
        guard let first = sentinels.first else {
            let text = "No sentinel takes \(pod) for the primary"
            announce("hand-over-refused", text, .warning, text)
            return
        }
        let answer = await peers.ask([first], timeout: settings.probeTimeout)[0]
        if let reply = answer.last, !reply.isError {
            announced["hand-over-refused"] = nil
            return await tell(.normal, "HandOver", "the sentinels choose another primary than \(pod)", snapshot)
        }
        board.count { $0.failedSteps += 1 }
        let reason = answer.last?.errorText ?? answer.problem ?? "no answer"
        // An order that is under way already is no news.
        if !reason.hasPrefix("INPROG") {
            let text = "The hand-over from \(pod) was refused: \(reason)"
            announce("hand-over-refused", text, .warning, text)
        }
    }

    private func evict(_ pod: String, _ uid: String, _ snapshot: ClusterReader.Snapshot) async throws {
        switch try await client.evict(pod, namespace: namespace, uid: uid) {
        case .evicted:
            announced["eviction-refused"] = nil
            await tell(.normal, "PodEvicted", "\(pod) is restarted", snapshot)
        case .gone: break
        case .refused(let reason, _):
            board.count { $0.refusedEvictions += 1 }
            let text = "\(pod) may not be restarted now: \(reason)"
            if announce("eviction-refused", text, .warning, text) {
                await tell(.warning, "EvictionRefused", text, snapshot)
            }
        }
    }

    // MARK: Telling

    func tell(_ kind: EventRecorder.Kind, _ reason: String, _ text: String, _ snapshot: ClusterReader.Snapshot) async {
        await recorder.record(kind, reason, text, about: snapshot.dbSet)
    }

    private func tellWarnings(_ warnings: [String], _ snapshot: ClusterReader.Snapshot) async {
        let text = warnings.joined(separator: "; ")
        guard announced["attention"] ?? "" != text else { return }
        announced["attention"] = text
        guard !text.isEmpty else { return }
        log.event(.warning, "attention", text)
        await tell(.warning, "Attention", text, snapshot)
    }

    private func updateConditions(
        _ facts: ClusterFacts, _ cluster: ClusterObservation, _ circumstances: ClusterFacts.Circumstances,
        _ maintenance: Maintenance
    ) {
        let now = circumstances.now
        let obstacle = cluster.obstacle
        state.set(
            "Whole", obstacle == nil, obstacle == nil ? "AllInSync" : "Degraded",
            obstacle ?? "one primary, all replicas in sync, all pods ready, the sentinels agree", now: now)
        let reasons = facts.reasonSummary(circumstances)
        state.set(
            "RestartDue", !reasons.isEmpty, reasons.isEmpty ? "NothingDue" : "Due",
            reasons.isEmpty ? "all pods run what is wanted" : reasons.joined(separator: "; "), now: now)
        let isOpen = maintenance.openUntil != nil
        state.set(
            "WindowOpen", isOpen, isOpen ? "Open" : "Closed",
            isOpen ? "window '\(maintenance.openWindow ?? "")' is open" : "no window is open", now: now)
        let warnings = facts.warnings(circumstances)
        state.set(
            "CertificateValid", facts.certificate.map { $0.notAfter > now },
            warnings.isEmpty ? "Valid" : "Attention",
            warnings.isEmpty
                ? "all pods serve the certificate of the Secret, or have time to" : warnings.joined(separator: "; "),
            now: now)
    }
}

extension ClusterFacts {
    /// The reasons of all that is due, as `reason: pods`.
    func reasonSummary(_ circumstances: Circumstances) -> [String] {
        var names: [(reason: String, names: [String])] = []
        func add(_ name: String, _ reasons: [String]) {
            for reason in reasons {
                if let index = names.firstIndex(where: { $0.reason == reason }) {
                    names[index].names.append(name)
                } else {
                    names.append((reason, [name]))
                }
            }
        }
        for pod in dbs { add(pod.name, dueReasons(pod, dbSet, circumstances)) }
        for pod in sentinels { add(pod.name, dueReasons(pod, sentinelSet, circumstances)) }
        for workload in workloads { add(workload.id.description, dueReasons(workload)) }
        return names.map { "\($0.names.joined(separator: ", ")): \($0.reason)" }
    }
}

extension RestartStep {
    /// For people.
    public var text: String {
        switch self {
        case .remember(let progress):
            progress.isRestored
                ? "noting that the workloads are back"
                : "noting the replicas of the workloads before they are stopped"
        case .scale(let id, 0): "stopping \(id)"
        case .scale(let id, let replicas): "starting \(id) with \(replicas) replicas"
        case .handOver(let pod): "handing over from \(pod) to a replica"
        case .evict(let pod, _): "restarting \(pod)"
        case .wait(let reason): "waiting: \(reason)"
        case .suspend(let reason): "interrupted: \(reason)"
        case .finished: "done"
        }
    }

    /// For metrics.
    var kind: String {
        switch self {
        case .remember: "remember"
        case .scale(_, 0): "stop-workload"
        case .scale: "start-workload"
        case .handOver: "hand-over"
        case .evict: "evict"
        case .wait: "wait"
        case .suspend: "suspend"
        case .finished: "finish"
        }
    }
}
