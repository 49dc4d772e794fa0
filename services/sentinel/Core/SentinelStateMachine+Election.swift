// Election: one vote per epoch, a majority decides who leads the failover.
//
// All sentinels usually see a crash within the same millisecond. If all began an election at once, each would vote for
// itself and nobody would win; so they begin in the order of their run ids, a few tens of milliseconds apart, and a
// sentinel that is asked for its vote before its turn comes leaves the failover to the candidate. A vote that splits
// nevertheless is repeated in a new epoch after a short random wait.

/// Epochs beyond this come from a broken or hostile peer: there must always be room to count on.
let highestEpoch: Epoch = 1 << 62

extension SentinelStateMachine {
    // MARK: Votes

    func adoptEpoch(_ epoch: Epoch, _ group: MonitoredPrimary) {
        guard epoch > currentEpoch, epoch <= highestEpoch else { return }
        currentEpoch = epoch
        markChanged()
        emit(.warning, "+new-epoch", "\(epoch)")
    }

    /// Gives this sentinel's vote in `epoch` to `candidate`, unless it has been given already or must not be given.
    func vote(_ group: MonitoredPrimary, epoch: Epoch, for candidate: String) {
        guard epoch <= highestEpoch else { return }
        adoptEpoch(epoch, group)
        guard group.leaderEpoch < epoch, currentEpoch <= epoch, mayVote(group) else { return }
        group.leader = candidate
        group.leaderEpoch = epoch
        markChanged()
        group.voteVersion = version
        emit(.warning, "+vote-for-leader", "\(candidate) \(epoch)")
        guard candidate != myID else { return }
        group.leaveToLeaderUntil =
            now + min(max(group.failoverTimeout, 1000), timing.leaderGrace) + random(below: 500)
        group.electionAt = nil
        if let failover = group.failover, !failover.isBeyondReturn {
            abortFailover(group, "-failover-abort-not-elected")
        }
    }

    private func mayVote(_ group: MonitoredPrimary) -> Bool {
        // Whoever comes back without memory might vote twice in the epoch of an election under way.
        if isNewcomer, now - startedAt < timing.newcomerSilence { return false }
        // Between the order to promote and its result a second failover would promote a second replica.
        if let failover = group.failover, case .waitPromotion = failover.phase { return false }
        return true
    }

    func isOwnVoteDurable(_ group: MonitoredPrimary, _ epoch: Epoch) -> Bool {
        group.leader == myID && group.leaderEpoch == epoch && group.voteVersion <= durableVersion
    }

    // MARK: Candidacy

    func startElectionIfNeeded(_ group: MonitoredPrimary) {
        guard group.failover == nil else { return }
        if let until = group.handoverWantedUntil, now >= until { group.handoverWantedUntil = nil }
        guard group.objectivelyDownSince != nil || group.handoverWantedUntil != nil else {
            group.electionAt = nil
            return
        }
        if now < group.leaveToLeaderUntil {
            // The leader we voted for may have died too. Otherwise it has its time.
            let leader = group.sentinels.first { $0.runID == group.leader }
            guard leader?.isSubjectivelyDown == true else { return schedule(group.leaveToLeaderUntil) }
            group.leaveToLeaderUntil = now
        }
        if isNewcomer, now - startedAt < timing.newcomerSilence {
            return schedule(startedAt + timing.newcomerSilence)
        }
        let start = group.electionAt ?? now + turnInElection(group)
        group.electionAt = start
        guard now >= start else { return schedule(start) }
        startFailover(group, group.objectivelyDownSince != nil ? .failure : .wish)
    }

    /// How long to wait before standing for election: the sentinels that are up take turns in the order of their run ids.
    private func turnInElection(_ group: MonitoredPrimary) -> Milliseconds {
        let rank = group.sentinels.count { !$0.isSubjectivelyDown && ($0.runID ?? "~") < myID }
        return Milliseconds(rank) * timing.electionRankStep + random(below: timing.electionJitter)
    }

    func startFailover(_ group: MonitoredPrimary, _ cause: Failover.Cause) {
        guard currentEpoch < highestEpoch else { return }
        adoptEpoch(currentEpoch + 1, group)
        group.electionAt = nil
        group.failover = Failover(epoch: currentEpoch, startedAt: now, cause: cause, phaseSince: now)
        emit(.warning, "+try-failover", group, group.primary)
        vote(group, epoch: currentEpoch, for: myID)
    }

    /// Counts the votes and goes on, gives up or waits.
    func evaluateElection(_ group: MonitoredPrimary, _ failover: Failover) {
        let age = now - failover.startedAt
        let own = isOwnVoteDurable(group, failover.epoch) ? 1 : 0
        let votes = own + group.sentinels.count { $0.vote?.leader == myID && $0.vote?.epoch == failover.epoch }
        let needed = max(group.majority, group.quorum)
        if own == 1, votes >= needed { return winElection(group) }
        if failover.isForced {
            guard age >= timing.forcedElectionPatience else {
                return schedule(failover.startedAt + timing.forcedElectionPatience)
            }
            if own == 1 { return winElection(group) }
            return waitForOwnVote(group, failover)
        }
        if currentEpoch > failover.epoch || group.leaderEpoch > failover.epoch {
            return abortFailover(group, "-failover-abort-not-elected")
        }
        let undecided = group.sentinels.count { $0.answeredEpoch < failover.epoch }
        if own == 1, votes + undecided < needed {
            abortFailover(group, "-failover-abort-not-elected")
        } else if age >= min(timing.electionTimeout, max(group.failoverTimeout, 100)) {
            abortFailover(group, "-failover-abort-not-elected", retryAfter: timing.electionTimeout / 4)
        } else {
            schedule(failover.startedAt + min(timing.electionTimeout, max(group.failoverTimeout, 100)))
        }
    }

    /// A forced failover needs no majority, but this sentinel's own vote in its epoch. A newcomer may not vote at once, and the
    /// vote has to reach the disk.
    private func waitForOwnVote(_ group: MonitoredPrimary, _ failover: Failover) {
        let silentUntil = isNewcomer ? startedAt + timing.newcomerSilence : startedAt
        if now < silentUntil { return schedule(silentUntil) }
        if group.leaderEpoch < failover.epoch { vote(group, epoch: failover.epoch, for: myID) }
        let limit = max(failover.startedAt, silentUntil) + timing.forcedElectionPatience + timing.electionTimeout
        guard now < limit, group.leader == myID, group.leaderEpoch == failover.epoch else {
            return abortFailover(group, "-failover-abort-not-elected")
        }
        schedule(limit)
    }

    private func winElection(_ group: MonitoredPrimary) {
        emit(.warning, "+elected-leader", group, group.primary)
        crashIfSimulated(.crashAfterElection)
        // Fenced replicas could not catch up with a primary that works: there the fence comes after the handover.
        if fencesNeeded(group) > 0, !isHandover(group) {
            enter(group, .fencing)
        } else {
            enter(group, .selectReplica)
        }
    }

    // MARK: Giving up

    /// Ends a failover that did not succeed; the next attempt comes after a wait that grows with every failure.
    func abortFailover(_ group: MonitoredPrimary, _ event: String, retryAfter: Milliseconds = 0) {
        guard let failover = group.failover else { return }
        emit(.warning, event, group, group.primary)
        if failover.isPaused { send(.unpause, to: group.primary, .other) }
        endFailover(group)
        group.failedAttempts += 1
        let spread = min((timing.electionRankStep * 2) << Milliseconds(min(group.failedAttempts, 6)), 2000)
        let wait = min(retryAfter << Milliseconds(min(group.failedAttempts - 1, 5)), timing.retryMaximum)
        group.electionAt = now + timing.electionJitter + wait + random(below: spread)
        if failover.epoch == group.fencedEpoch { unfence(group) }
    }

    func endFailover(_ group: MonitoredPrimary) {
        group.failover = nil
        for replica in group.replicas { replica.reconfiguration = .none }
    }
}
