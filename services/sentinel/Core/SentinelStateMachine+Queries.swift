// What a sentinel tells about itself and its instances. Nothing here changes anything.

extension SentinelStateMachine {
    // MARK: SENTINEL MASTER, REPLICAS, SENTINELS

    /// The description of an instance, fields in the order of stock Redis Sentinel.
    func fields(of instance: Instance, _ group: MonitoredPrimary) -> Reply {
        let endpoint = announced(instance.endpoint)
        var fields = Fields()
        fields.add("name", displayName(group, instance))
        fields.add("ip", endpoint.host)
        fields.add("port", endpoint.port)
        fields.add("runid", instance.runID ?? "")
        fields.add("flags", flags(of: instance, group).joined(separator: ","))
        fields.add("link-pending-commands", instance.command.pendingCount + instance.pubSub.pendingCount)
        fields.add("link-refcount", 1)
        if instance === group.primary, let failover = group.failover {
            fields.add("failover-state", failover.phase.name)
        }
        fields.add("last-ping-sent", instance.unansweredSince.map { now - $0 } ?? 0)
        fields.add("last-ok-ping-reply", now - instance.lastAvailable)
        fields.add("last-ping-reply", now - instance.lastPong)
        if let since = instance.subjectivelyDownSince { fields.add("s-down-time", now - since) }
        if instance === group.primary, let since = group.objectivelyDownSince { fields.add("o-down-time", now - since) }
        fields.add("down-after-milliseconds", group.downAfter)
        if instance.isDatabase {
            fields.add("info-refresh", instance.informationRefreshed.map { now - $0 } ?? 0)
            fields.add("role-reported", instance.reportedRole.rawValue)
            fields.add("role-reported-time", now - instance.reportedRoleSince)
        }
        switch instance.kind {
        case .primary: addPrimary(group, &fields)
        case .replica: addReplica(instance, &fields)
        case .sentinel:
            fields.add("last-hello-message", now - instance.lastHello)
            fields.add("voted-leader", instance.vote?.leader ?? "?")
            fields.add("voted-leader-epoch", instance.vote?.epoch ?? 0)
        }
        return .map(fields.values)
    }

    private struct Fields {
        var values: [Reply] = []
        mutating func add(_ name: String, _ value: some CustomStringConvertible) {
            values.append(.bulk(name))
            values.append(.bulk(value.description))
        }
    }

    private func addPrimary(_ group: MonitoredPrimary, _ fields: inout Fields) {
        fields.add("config-epoch", group.configEpoch)
        fields.add("num-slaves", group.replicas.count)
        fields.add("num-other-sentinels", group.sentinels.count)
        fields.add("quorum", group.quorum)
        fields.add("failover-timeout", group.failoverTimeout)
        fields.add("parallel-syncs", group.parallelSyncs)
    }

    private func addReplica(_ instance: Instance, _ fields: inout Fields) {
        fields.add("master-link-down-time", instance.primaryLinkDownTime)
        fields.add("master-link-status", instance.isPrimaryLinkUp ? "ok" : "err")
        fields.add("master-host", instance.reportedPrimary?.host ?? "?")
        fields.add("master-port", instance.reportedPrimary?.port ?? 0)
        fields.add("slave-priority", instance.priority)
        fields.add("slave-repl-offset", instance.offset)
        fields.add("replica-announced", instance.isAnnounced ? 1 : 0)
    }

    private func flags(of instance: Instance, _ group: MonitoredPrimary) -> [String] {
        var flags: [String] = []
        if instance.isSubjectivelyDown { flags.append("s_down") }
        if instance === group.primary, group.objectivelyDownSince != nil { flags.append("o_down") }
        flags.append(instance.kind.rawValue)
        if !instance.isConnected { flags.append("disconnected") }
        if instance.considersPrimaryDown { flags.append("master_down") }
        if instance === group.primary, let failover = group.failover {
            flags.append("failover_in_progress")
            if failover.isForced { flags.append("force_failover") }
        }
        if instance === group.promoted { flags.append("promoted") }
        switch instance.reconfiguration {
        case .none: break
        case .sent: flags.append("reconf_sent")
        case .inProgress: flags.append("reconf_inprog")
        case .done: flags.append("reconf_done")
        }
        if instance.hasTriedScriptKill { flags.append("script_kill_sent") }
        if instance.rebootedSince != nil { flags.append("master_reboot") }
        return flags
    }

    // MARK: INFO, ROLE and metrics

    /// The Sentinel section of INFO.
    public func informationSection(now: Milliseconds) -> String {
        var text = "# Sentinel\r\nsentinel_masters:\(groups.count)\r\nsentinel_tilt:\(tiltSince == nil ? 0 : 1)\r\n"
        text += "sentinel_tilt_since_seconds:\(tiltSince.map { (now - $0) / 1000 } ?? -1)\r\n"
        text += "sentinel_running_scripts:\(scripts.count(where: \.isRunning))\r\n"
        text += "sentinel_scripts_queue_length:\(scripts.count)\r\n"
        text += "sentinel_simulate_failure_flags:\(simulatedFailures.rawValue)\r\n"
        for (index, state) in primaryStates.enumerated() {
            text += "master\(index):name=\(state.name),status=\(state.status),address=\(state.primary),"
            text += "slaves=\(state.replicas),sentinels=\(state.sentinels)\r\n"
        }
        return text
    }

    /// A summary of one monitored primary for INFO, health checks and metrics.
    public struct PrimaryState: Equatable, Sendable {
        public var name: String
        /// `ok`, `sdown` or `odown`.
        public var status: String
        /// Where clients find the primary.
        public var primary: Endpoint
        /// The same with the host as it was configured, for connections of our own.
        public var target: Endpoint
        public var replicas: Int
        public var usableReplicas: Int
        /// This one included.
        public var sentinels: Int
        public var usableSentinels: Int
        public var quorum: Int
        public var majority: Int
        public var configEpoch: Epoch
        public var isFailingOver: Bool
        /// Whether commands may be sent to `primary` now.
        public var isServing: Bool
    }

    public var primaryStates: [PrimaryState] { groups.map(state) }

    public func primaryState(named name: String) -> PrimaryState? { group(name).map(state) }

    private func state(_ group: MonitoredPrimary) -> PrimaryState {
        let current = group.currentPrimary
        let isDown = current.isSubjectivelyDown
        return PrimaryState(
            name: group.name, status: group.objectivelyDownSince != nil ? "odown" : isDown ? "sdown" : "ok",
            primary: announced(current.endpoint), target: current.endpoint, replicas: group.replicas.count,
            usableReplicas: group.replicas.count { $0.isConnected && !$0.isSubjectivelyDown && $0.isPrimaryLinkUp },
            sentinels: group.voters,
            usableSentinels: 1 + group.sentinels.count { $0.isConnected && !$0.isSubjectivelyDown },
            quorum: group.quorum, majority: group.majority, configEpoch: group.configEpoch,
            isFailingOver: group.failover != nil,
            isServing: !isDown && current.isConnected && current.reportedRole == .primary)
    }

    public var primaryNames: [String] { groups.map(\.name) }
    public var isInTilt: Bool { tiltSince != nil }
    public var epoch: Epoch { currentEpoch }
    /// Whether the state that would be lost in a crash has been written.
    public var isDurable: Bool { durableVersion >= version }
    public var unrespondedCount: Int { gated.count }

    /// For whom this sentinel last voted about a primary, and in which epoch.
    public func lastVote(_ name: String) -> (leader: String?, epoch: Epoch)? {
        group(name).map { ($0.leader, $0.leaderEpoch) }
    }
}

extension SentinelStateMachine {
    /// Where commands may be sent now, by the host as it was configured; nil while the primary is down, is being replaced
    /// or does not act as one.
    public func servingPrimary(named name: String) -> Endpoint? {
        guard let current = group(name)?.currentPrimary, !current.isSubjectivelyDown, current.isConnected,
            current.reportedRole == .primary, current.informationRefreshed != nil
        else { return nil }
        return current.endpoint
    }

    /// Whether a db of a monitored primary does not answer.
    public func isDead(_ endpoint: Endpoint, of name: String) -> Bool {
        guard let database = group(name)?.databases.first(where: { $0.endpoint == endpoint }) else { return true }
        return database.isSubjectivelyDown || !database.isConnected
    }

    /// What the dbs of a monitored primary ask for.
    public func credentials(of name: String) -> (user: String?, password: String)? {
        guard let group = group(name), let password = group.authPassword else { return nil }
        return (group.authUser, password)
    }
}
