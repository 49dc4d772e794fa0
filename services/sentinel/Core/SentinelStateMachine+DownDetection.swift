// Is it down? First in our own view (subjectively), then in the view of a quorum (objectively).

extension SentinelStateMachine {
    func checkSubjectivelyDown(_ group: MonitoredPrimary, _ instance: Instance) {
        let isDown: Bool
        if instance.isRefused {
            isDown = true
        } else if let since = silenceStart(of: instance) {
            isDown = now - since > group.downAfter
            if !isDown { schedule(since + group.downAfter + 1) }
        } else {
            isDown = false
        }
        let result = isDown || hasWrongRole(group, instance) || isLosingDataByReboot(group, instance)
        if result, instance.subjectivelyDownSince == nil {
            instance.subjectivelyDownSince = now
            emit(.warning, "+sdown", group, instance)
            if instance === group.primary {
                for replica in group.replicas { askInformation(replica) }
            }
        } else if !result, instance.subjectivelyDownSince != nil {
            instance.subjectivelyDownSince = nil
            instance.hasTriedScriptKill = false
            emit(.warning, "-sdown", group, instance)
        }
    }

    /// Since when nothing valid has come back, nil if nothing is missing.
    private func silenceStart(of instance: Instance) -> Milliseconds? {
        if let since = instance.unansweredSince { return since }
        return instance.isConnected ? nil : instance.lastAvailable
    }

    /// A primary that insists on being a replica serves nobody.
    private func hasWrongRole(_ group: MonitoredPrimary, _ instance: Instance) -> Bool {
        guard instance.kind == .primary, instance.reportedRole == .replica else { return false }
        // One that has looked for its role for so long will not find it: it has lost its data, and waits for a successor.
        if let since = instance.undecidedSince, now - since > group.downAfter { return true }
        return now - instance.reportedRoleSince > group.downAfter + timing.informationPeriod * 2
    }

    private func isLosingDataByReboot(_ group: MonitoredPrimary, _ instance: Instance) -> Bool {
        guard instance.kind == .primary, let since = instance.rebootedSince else { return false }
        return now - since > group.rebootDownAfter
    }

    func checkObjectivelyDown(_ group: MonitoredPrimary) {
        var count = 0
        if group.primary.isSubjectivelyDown {
            count = 1 + group.sentinels.count { $0.considersPrimaryDown }
        }
        if count >= group.quorum {
            if group.objectivelyDownSince == nil {
                group.objectivelyDownSince = now
                emit(.warning, "+odown", group, group.primary, " #quorum \(count)/\(group.quorum)")
            }
        } else if group.objectivelyDownSince != nil {
            group.objectivelyDownSince = nil
            group.electionAt = nil
            group.failedAttempts = 0
            emit(.warning, "-odown", group, group.primary)
        }
    }

    /// Asks the other sentinels whether they think that the primary is down and, as a candidate, for their votes.
    func askOthers(_ group: MonitoredPrimary) {
        for sentinel in group.sentinels {
            if let at = sentinel.opinionAt, now - at > timing.opinionLifetime { sentinel.considersPrimaryDown = false }
        }
        if let failover = group.failover, case .waitStart = failover.phase {
            guard isOwnVoteDurable(group, failover.epoch) else { return }
            for sentinel in group.sentinels where sentinel.answeredEpoch < failover.epoch {
                let pending = Link.Pending.opinion(askedEpoch: failover.epoch, asCandidate: true)
                guard sentinel.command.link?.isPending(pending) == false else { continue }
                ask(group, sentinel, pending, failover.epoch, candidate: myID)
            }
            return
        }
        guard group.failover == nil, let since = group.primary.subjectivelyDownSince else { return }
        let age = now - since
        let period = timing.askPeriods[age < 1000 ? 0 : age < 5000 ? 1 : 2]
        for sentinel in group.sentinels where sentinel.isConnected {
            let wait = sentinel.command.link?.isAskingForOpinion == true ? max(period, 1000) : period
            if let asked = sentinel.opinionAsked, now - asked < wait {
                schedule(asked + wait)
                continue
            }
            let pending = Link.Pending.opinion(askedEpoch: currentEpoch, asCandidate: false)
            ask(group, sentinel, pending, currentEpoch, candidate: nil)
            schedule(now + period)
        }
    }

    private func ask(
        _ group: MonitoredPrimary, _ sentinel: Instance, _ pending: Link.Pending, _ epoch: Epoch, candidate: String?
    ) {
        let primary = announced(group.primary.endpoint)
        if send(.isMasterDown(primary, epoch: epoch, candidate: candidate), to: sentinel, pending) {
            sentinel.opinionAsked = now
        }
    }

    /// The answer to `askOthers`: down or not, for whom it voted, in which epoch.
    func receivedOpinion(
        _ reply: Reply, from sentinel: Instance, _ group: MonitoredPrimary, _ candidateEpoch: Epoch?
    ) {
        if let candidateEpoch { sentinel.answeredEpoch = max(sentinel.answeredEpoch, candidateEpoch) }
        guard case .array(let parts) = reply, parts.count == 3, let isDown = parts[0].integerValue,
            let leader = parts[1].text, let epoch = parts[2].integerValue, epoch >= 0
        else { return }
        sentinel.opinionAt = now
        sentinel.considersPrimaryDown = isDown == 1
        if leader != "*", isRunID(leader), Epoch(epoch) <= highestEpoch {
            sentinel.vote = (leader, Epoch(epoch))
            if Epoch(epoch) > currentEpoch { adoptEpoch(Epoch(epoch), group) }
        }
    }
}
