// Failover: what the elected leader does, step by step. Each step begins as soon as what it waits for is there.
//
//     waitStart -> [fencing] -> selectReplica -> [handOver -> [fencing -> selectReplica]] -> sendReplicaOfNoOne
//               -> waitPromotion -> reconfigureReplicas -> updateConfiguration
//
// Handover (only of a primary that works: an operator orders it, or the primary asks for it because it is about to stop): its
// writes wait until the chosen replica has everything, then the replica is promoted and the old primary told to follow it.
// Nothing is lost.
//
// Fencing (only with a write quorum N > 0): before offsets are read, at least R - N + 1 of the R replicas stop following
// the old primary under this failover's epoch. The old primary can then gather at most N - 1 acknowledgements, so
// whatever it still acknowledges it had before, and every acknowledged write is on at least one fenced replica; the one
// with the highest offset among the fenced is promoted.

extension SentinelStateMachine {
    func stepFailover(_ group: MonitoredPrimary) {
        // At most one pass over the phases: each step leads to a later phase or ends the failover.
        for _ in 0..<8 {
            guard let failover = group.failover else { return }
            let before = failover.phase.name
            switch failover.phase {
            case .waitStart: evaluateElection(group, failover)
            case .fencing: stepFencing(group, failover)
            case .selectReplica: stepSelection(group, failover)
            case .handOver(let promoted): stepHandover(group, failover, promoted)
            case .sendReplicaOfNoOne(let promoted): stepOrder(group, failover, promoted)
            case .waitPromotion(let promoted): stepPromotion(group, failover, promoted)
            case .reconfigureReplicas(let promoted): stepReconfiguration(group, failover, promoted)
            case .updateConfiguration(let promoted): return switchPrimary(group, to: promoted)
            }
            if group.failover?.phase.name == before { return }
        }
    }

    func enter(_ group: MonitoredPrimary, _ phase: Failover.Phase) {
        group.failover?.phase = phase
        group.failover?.phaseSince = now
        switch phase {
        case .fencing: emit(.warning, "+failover-state-fencing", group, group.primary)
        case .selectReplica:
            emit(.warning, "+failover-state-select-slave", group, group.primary)
            for replica in group.replicas { askInformation(replica) }
        case .handOver(let promoted):
            emit(.notice, "+failover-state-hand-over", group, promoted)
            send(.pauseWrites(timing.handoverPatience * 2), to: group.primary, .pause)
        case .sendReplicaOfNoOne(let promoted):
            emit(.notice, "+failover-state-send-slaveof-noone", group, promoted)
        case .waitPromotion(let promoted): emit(.notice, "+failover-state-wait-promotion", group, promoted)
        case .reconfigureReplicas: emit(.warning, "+failover-state-reconf-slaves", group, group.primary)
        case .waitStart, .updateConfiguration: break
        }
    }

    // MARK: Fencing

    /// How many replicas must be fenced; 0 without a write quorum.
    func fencesNeeded(_ group: MonitoredPrimary) -> Int {
        group.writeQuorum == 0 ? 0 : max(group.replicas.count - group.writeQuorum + 1, 1)
    }

    private func stepFencing(_ group: MonitoredPrimary, _ failover: Failover) {
        group.fencedEpoch = failover.epoch
        let pending = Link.Pending.fence(failover.epoch)
        for replica in group.replicas where replica.productVersion != nil && replica.fenced?.epoch != failover.epoch {
            if replica.command.link?.isPending(pending) == false {
                send(.fence(failover.epoch), to: replica, pending)
            }
        }
        let fenced = group.replicas.count { $0.fenced?.epoch == failover.epoch }
        if fenced >= fencesNeeded(group) {
            enter(group, .selectReplica)
        } else if now - failover.phaseSince > min(group.failoverTimeout, timing.retryMaximum / 3) {
            abortFailover(group, "-failover-abort-not-fenced", retryAfter: 1000)
        }
    }

    /// After a failover that did not succeed the fenced replicas may follow the primary of the configuration again.
    func unfence(_ group: MonitoredPrimary) {
        for replica in group.replicas where replica.fenced != nil {
            orderReplicaOf(replica, group.primary)
            replica.fenced = nil
        }
    }

    // MARK: Selection

    private func stepSelection(_ group: MonitoredPrimary, _ failover: Failover) {
        let isWaiting = group.replicas.contains {
            $0.isConnected && !$0.isSubjectivelyDown && ($0.informationRefreshed ?? .min) < failover.phaseSince
        }
        if isWaiting, now - failover.phaseSince < timing.offsetPatience {
            return schedule(failover.phaseSince + timing.offsetPatience)
        }
        guard let chosen = bestReplica(group) else {
            return abortFailover(group, "-failover-abort-no-good-slave", retryAfter: 500)
        }
        emit(.warning, "+selected-slave", group, chosen)
        enter(group, isHandover(group) ? .handOver(chosen) : .sendReplicaOfNoOne(chosen))
    }

    /// Whether the failover has still to wait for a replica that has all that the working primary has.
    func isHandover(_ group: MonitoredPrimary) -> Bool {
        guard let failover = group.failover else { return false }
        return failover.isPlanned && !failover.isCaughtUp && !group.primary.isSubjectivelyDown
            && group.primary.isConnected
    }

    // MARK: Handover

    private func stepHandover(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        let primary = group.primary
        // A primary that fails meanwhile is replaced like any other that fails.
        if primary.isSubjectivelyDown || !primary.isConnected { return promoteOrFence(group, promoted) }
        let since = failover.phaseSince
        if failover.isPaused, primary.informationRefreshed != nil, (promoted.informationRefreshed ?? .min) >= since,
            promoted.offset >= primary.offset
        {
            return promoteOrFence(group, promoted)
        }
        guard now - since > timing.handoverPatience else { return schedule(since + timing.handoverPatience + 1) }
        abortFailover(group, "-failover-abort-slave-timeout")
    }

    private func promoteOrFence(_ group: MonitoredPrimary, _ promoted: Instance) {
        group.failover?.isCaughtUp = true
        enter(group, fencesNeeded(group) > 0 ? .fencing : .sendReplicaOfNoOne(promoted))
    }

    /// A db says that it is about to stop, and for how long it waits to be replaced.
    func handoverAsked(_ payload: String, by instance: Instance, _ group: MonitoredPrimary) {
        guard instance === group.primary, group.failover == nil || group.failover?.cause == .wish,
            let patience = Milliseconds(payload), patience >= 0
        else { return }
        guard patience > 0 else {
            group.handoverWantedUntil = nil
            return
        }
        if group.handoverWantedUntil == nil { emit(.notice, "+handover-wanted", group, instance) }
        group.handoverWantedUntil = now + min(patience, timing.handoverWishLifetime)
    }

    /// The primary's writes wait from here on: only what INFO says after this is its last offset.
    func writesPaused(_ reply: Reply, _ group: MonitoredPrimary) {
        guard case .handOver(let promoted) = group.failover?.phase else { return }
        // An old version that cannot do it: promote without, as stock Redis Sentinel does.
        if case .error = reply { return promoteOrFence(group, promoted) }
        group.failover?.isPaused = true
        group.primary.informationRefreshed = nil
        if send(.info, to: group.primary, .information) { group.primary.informationAsked = now }
    }

    /// The replica to promote: lowest priority number, then highest offset, then smallest run id. With a write quorum the
    /// offset comes first: an acknowledged write may be on a single one of the fenced replicas.
    func bestReplica(_ group: MonitoredPrimary) -> Instance? {
        let isOffsetFirst = fencesNeeded(group) > 0
        return group.replicas.filter { isPromotable(group, $0) }.min { left, right in
            if isOffsetFirst, left.offset != right.offset { return left.offset > right.offset }
            if left.priority != right.priority { return left.priority < right.priority }
            if left.offset != right.offset { return left.offset > right.offset }
            return (left.runID ?? "~") < (right.runID ?? "~")
        }
    }

    /// One that says to be a primary already may be promoted: a leader that died after its order left it so, and it may
    /// have the highest offset. Only a primary of former times may not.
    private func isPromotable(_ group: MonitoredPrimary, _ replica: Instance) -> Bool {
        guard !replica.isSubjectivelyDown, replica.isConnected, replica.priority != 0,
            !replica.isFormerPrimary, now - replica.lastAvailable <= timing.pingPeriod * 5,
            let refreshed = replica.informationRefreshed
        else { return false }
        let validity = group.primary.isSubjectivelyDown ? timing.pingPeriod * 5 : timing.informationPeriod * 3
        guard now - refreshed <= validity else { return false }
        guard replica.primaryLinkDownTime <= outage(group) + group.downAfter * 10 else { return false }
        if let failover = group.failover, fencesNeeded(group) > 0, !isHandover(group) {
            return replica.fenced?.epoch == failover.epoch
        }
        return true
    }

    /// For how long replicas cannot have been linked to the primary, whatever they did.
    ///
    /// A sentinel that was started during the outage has not seen its beginning. The replica that lost its link last has.
    private func outage(_ group: MonitoredPrimary) -> Milliseconds {
        guard let since = group.primary.subjectivelyDownSince else { return 0 }
        let known = now - since
        guard !group.primary.hasAnswered else { return known }
        let links = group.replicas.filter { $0.isConnected && $0.informationRefreshed != nil }
        return max(known, links.map(\.primaryLinkDownTime).min() ?? 0)
    }

    // MARK: Promotion

    private func stepOrder(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        // Another election may have taken place while we waited.
        guard group.leaderEpoch == failover.epoch else {
            return abortFailover(group, "-failover-abort-not-elected")
        }
        if orderReplicaOf(promoted, nil) {
            group.failover?.lastPromotionOrder = now
            enter(group, .waitPromotion(promoted))
        } else if promoted.isSubjectivelyDown || now - failover.phaseSince > group.failoverTimeout {
            abortFailover(group, "-failover-abort-slave-timeout")
        }
    }

    private func stepPromotion(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        if let refreshed = promoted.informationRefreshed, refreshed >= failover.phaseSince,
            promoted.reportedRole == .primary
        {
            return finishPromotion(group, failover, promoted)
        }
        if promoted.isSubjectivelyDown || now - failover.phaseSince > group.failoverTimeout {
            return abortFailover(group, "-failover-abort-slave-timeout")
        }
        // The order may have been lost with its link; giving it twice does no harm.
        if now - failover.lastPromotionOrder > timing.busyInformationPeriod, orderReplicaOf(promoted, nil) {
            group.failover?.lastPromotionOrder = now
        }
    }

    /// From here on the new configuration holds, and everybody is told.
    ///
    /// `+switch-master` goes out now. Stock Redis Sentinel's leader sends it only after the last replica is reconfigured;
    /// clients would then wait for a full synchronisation that does not concern them.
    private func finishPromotion(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        group.configEpoch = failover.epoch
        group.failedAttempts = 0
        emit(.warning, "+promoted-slave", group, promoted)
        crashIfSimulated(.crashAfterPromotion)
        emitSwitch(group, to: promoted.endpoint)
        reconfigureClients(group, to: promoted.endpoint, isLeader: true)
        enter(group, .reconfigureReplicas(promoted))
        // After a handover, and when the old primary has come back in time: every write that it takes now is lost.
        if !group.primary.isSubjectivelyDown, orderReplicaOf(group.primary, promoted), failover.isPlanned {
            send(.unpause, to: group.primary, .other)
        }
        markChanged()
        publishHelloToAll(group)
    }

    func emitSwitch(_ group: MonitoredPrimary, to endpoint: Endpoint) {
        let old = announced(group.primary.endpoint)
        let new = announced(endpoint)
        emit(.warning, "+switch-master", "\(group.name) \(old.host) \(old.port) \(new.host) \(new.port)")
    }

    /// - Returns: false if there is no link to send it on.
    @discardableResult
    func orderReplicaOf(_ instance: Instance, _ primary: Instance?) -> Bool {
        guard send(.multi, to: instance, .other) else { return false }
        send(.replicaOf(primary.map { announced($0.endpoint) }), to: instance, .other)
        send(.configRewrite, to: instance, .other)
        send(.clientKill(type: "normal"), to: instance, .other)
        send(.clientKill(type: "pubsub"), to: instance, .other)
        send(.exec, to: instance, .replicaOf)
        // Answered after the order, on the same link; an INFO already under way would show the old role.
        if send(.info, to: instance, .information) { instance.informationAsked = now }
        return true
    }

    // MARK: Reconfiguration of the other replicas

    private func stepReconfiguration(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        var running = 0
        for replica in group.replicas where replica !== promoted {
            if case .sent(let at) = replica.reconfiguration, now - at > timing.replicaReconfigurationTimeout {
                emit(.notice, "-slave-reconf-sent-timeout", group, replica)
                replica.reconfiguration = .done
            }
            switch replica.reconfiguration {
            case .sent, .inProgress: running += 1
            case .none, .done: break
            }
        }
        for replica in group.replicas where replica !== promoted && replica.reconfiguration == .none {
            guard running < group.parallelSyncs else { break }
            guard orderReplicaOf(replica, promoted) else { continue }
            replica.reconfiguration = .sent(at: now)
            emit(.notice, "+slave-reconf-sent", group, replica)
            running += 1
        }
        detectEnd(group, failover, promoted)
    }

    private func detectEnd(_ group: MonitoredPrimary, _ failover: Failover, _ promoted: Instance) {
        // A promoted replica that died is a new failure of the new primary: the configuration must change first.
        let open = group.replicas.filter {
            $0 !== promoted && $0.reconfiguration != .done && !$0.isSubjectivelyDown
        }
        if promoted.isSubjectivelyDown || open.isEmpty {
            emit(.warning, "+failover-end", group, group.primary)
            enter(group, .updateConfiguration(promoted))
        } else if now - failover.phaseSince > group.failoverTimeout {
            emit(.warning, "+failover-end-for-timeout", group, group.primary)
            emit(.warning, "+failover-end", group, group.primary)
            for replica in open where replica.reconfiguration == .none && orderReplicaOf(replica, promoted) {
                emit(.notice, "+slave-reconf-sent-be", group, replica)
            }
            enter(group, .updateConfiguration(promoted))
        }
    }

    /// Follows a replica on its way to the promoted one.
    func noteReconfiguration(_ group: MonitoredPrimary, _ replica: Instance) {
        guard let promoted = group.promoted, replica !== promoted, replica.reportedRole == .replica else { return }
        if case .sent = replica.reconfiguration, let reported = replica.reportedPrimary,
            isSame(reported, promoted.endpoint)
        {
            replica.reconfiguration = .inProgress
            emit(.notice, "+slave-reconf-inprog", group, replica)
        }
        if replica.reconfiguration == .inProgress, replica.isPrimaryLinkUp {
            replica.reconfiguration = .done
            emit(.notice, "+slave-reconf-done", group, replica)
        }
    }
}
