// Changes of the configuration: who is the primary, and bringing the dbs in line with it.

extension SentinelStateMachine {
    /// Makes the instance at `endpoint` the primary of the configuration and the old primary a replica.
    func switchPrimary(_ group: MonitoredPrimary, to endpoint: Endpoint) {
        if let replica = group.replicas.first(where: { isSame($0.endpoint, endpoint) }) {
            switchPrimary(group, to: replica)
        } else {
            switchPrimary(group, to: makeInstance(.replica, endpoint))
        }
    }

    func switchPrimary(_ group: MonitoredPrimary, to promoted: Instance) {
        let old = group.primary
        // What we were about to promote has lost against the new configuration.
        if let abandoned = group.promoted, abandoned !== promoted { abandoned.isFormerPrimary = true }
        endFailover(group)
        group.electionAt = nil
        group.leaveToLeaderUntil = 0
        group.failedAttempts = 0
        group.handoverWantedUntil = nil
        group.objectivelyDownSince = nil
        group.fencedEpoch = nil
        group.replicas.removeAll { $0 === promoted }
        if old !== promoted {
            old.kind = .replica
            old.isFormerPrimary = true
            group.replicas.append(old)
        }
        promoted.kind = .primary
        promoted.isFormerPrimary = false
        group.primary = promoted
        group.configuredSince = now
        for instance in group.databases {
            instance.resetState(now: now)
            if instance.command.link == nil { instance.command.nextAttempt = now }
            askInformation(instance)
        }
        for sentinel in group.sentinels { sentinel.considersPrimaryDown = false }
        for replica in group.replicas { emit(.notice, "+slave", group, replica) }
        markChanged()
        publishHelloToAll(group)
    }

    /// Whether a majority of the sentinels, this one included, has lately claimed the configuration that we hold.
    func isConfigurationAgreed(_ group: MonitoredPrimary) -> Bool {
        let agreeing = group.sentinels.count { sentinel in
            guard let claimed = sentinel.claimed else { return false }
            return now - sentinel.lastHello <= timing.agreementLifetime && claimed.configEpoch == group.configEpoch
                && isSame(claimed.primary, group.primary.endpoint)
        }
        return agreeing + 1 >= group.majority
    }

    /// Whether the primary of the configuration acts as one, so that others can be told to follow it.
    func isPrimarySane(_ group: MonitoredPrimary) -> Bool {
        guard group.primary.reportedRole == .primary, !group.primary.isSubjectivelyDown, group.primary.isConnected,
            let refreshed = group.primary.informationRefreshed
        else { return false }
        return group.failover == nil && now - refreshed < timing.informationPeriod * 2
    }

    /// A primary of former times that came back accepts writes that will be lost: it is told at once, if a majority agrees
    /// on the configuration. (Other instances that claim to be primaries get time, in `correct`: a leader may be promoting
    /// one of them in this moment.)
    func correctFormerPrimaries(_ group: MonitoredPrimary) {
        for replica in group.replicas where replica.isFormerPrimary && replica.reportedRole == .primary {
            guard replica.isConnected, !replica.isRefused, let refreshed = replica.informationRefreshed,
                refreshed >= replica.reportedRoleSince, mayCorrect(replica, every: 1000),
                isPrimarySane(group), isConfigurationAgreed(group)
            else { continue }
            convert(group, replica)
        }
    }

    private func convert(_ group: MonitoredPrimary, _ replica: Instance) {
        guard orderReplicaOf(replica, group.primary) else { return }
        replica.lastCorrection = now
        emit(.notice, "+convert-to-slave", group, replica)
    }

    private func mayCorrect(_ replica: Instance, every period: Milliseconds) -> Bool {
        replica.lastCorrection.map { now - $0 >= period } ?? true
    }

    /// After INFO of a replica: one that claims to be a primary or follows the wrong one for long is corrected.
    func correct(_ group: MonitoredPrimary, _ replica: Instance) {
        guard tiltSince == nil, replica.kind == .replica, group.promoted !== replica, isPrimarySane(group),
            !replica.isSubjectivelyDown
        else { return }
        let isAgreed = isConfigurationAgreed(group)
        switch replica.reportedRole {
        case .primary:
            guard now - replica.reportedRoleSince > timing.correctionDelay,
                mayCorrect(replica, every: timing.correctionDelay)
            else { return }
            convert(group, replica)
        case .replica:
            guard let reported = replica.reportedPrimary, !isSame(reported, group.primary.endpoint) else { return }
            let isStale = group.replicas.contains { $0.isFormerPrimary && isSame($0.endpoint, reported) }
            var delay = isAgreed ? min(timing.correctionDelay, group.failoverTimeout) : group.failoverTimeout
            if isStale && isAgreed { delay = 0 }
            guard now - replica.reportedPrimarySince >= delay, mayCorrect(replica, every: max(delay, 1000)),
                orderReplicaOf(replica, group.primary)
            else { return }
            replica.lastCorrection = now
            emit(.notice, "+fix-slave-config", group, replica)
        }
    }

    /// After INFO of the primary: one that claims to be a replica although a majority holds it for the primary has taken an
    /// old order that was late. It is told once more, before it counts as down for its role: with every db following
    /// another there might be nobody left to promote.
    func correctPrimary(_ group: MonitoredPrimary) {
        let primary = group.primary
        guard primary.reportedRole == .replica, primary.undecidedSince == nil, group.failover == nil, tiltSince == nil,
            now - primary.reportedRoleSince > timing.correctionDelay,
            mayCorrect(primary, every: timing.correctionDelay), isConfigurationAgreed(group),
            orderReplicaOf(primary, nil)
        else { return }
        primary.lastCorrection = now
        emit(.warning, "+fix-master-role", group, primary)
    }
}
