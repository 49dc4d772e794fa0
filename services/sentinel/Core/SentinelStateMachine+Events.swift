// Events for people and subscribers, and the persistence of what must survive a crash.

extension SentinelStateMachine {
    // MARK: Events

    func emit(_ level: EventLevel, _ type: String, _ payload: String) {
        actions.append(.emit(SentinelEvent(level, type, payload, isPublished: level != .debug)))
    }

    func emit(
        _ level: EventLevel, _ type: String, _ group: MonitoredPrimary, _ instance: Instance, _ rest: String = ""
    ) {
        emit(level, type, describe(group, instance) + rest)
        if level == .warning { notifyScript(group, type, describe(group, instance) + rest) }
    }

    /// `<type> <name> <ip> <port> @ <master-name> <master-ip> <master-port>`, without the part from the at sign for the
    /// primary itself.
    func describe(_ group: MonitoredPrimary, _ instance: Instance) -> String {
        let endpoint = announced(instance.endpoint)
        let base = "\(instance.kind.rawValue) \(displayName(group, instance)) \(endpoint.host) \(endpoint.port)"
        guard instance.kind != .primary else { return base }
        let primary = announced(group.primary.endpoint)
        return base + " @ \(group.name) \(primary.host) \(primary.port)"
    }

    func displayName(_ group: MonitoredPrimary, _ instance: Instance) -> String {
        switch instance.kind {
        case .primary: group.name
        case .replica: displayName(announced(instance.endpoint))
        case .sentinel: instance.runID ?? displayName(announced(instance.endpoint))
        }
    }

    private func displayName(_ endpoint: Endpoint) -> String {
        endpoint.host.utf8.contains(UInt8(ascii: ":")) ? "[\(endpoint.host)]:\(endpoint.port)" : endpoint.description
    }

    // MARK: Persistence

    /// A reply that must not leave before the state it speaks of is durable.
    struct Gated {
        let version: UInt64
        let requester: RequesterID
        let reply: Reply
        /// Goes out when the state cannot be made durable.
        let fallback: Reply
    }

    /// Notes that the persistent state has changed; it is written at the end of the turn.
    func markChanged() { version += 1 }

    /// Answers once the state of `version` is durable.
    func respond(_ requester: RequesterID, _ reply: Reply, after version: UInt64, fallback: Reply) {
        if version <= durableVersion {
            actions.append(.respond(requester, reply))
        } else if gated.count >= timing.maximumGated {
            actions.append(.respond(requester, fallback))
        } else {
            gated.append(Gated(version: version, requester: requester, reply: reply, fallback: fallback))
        }
    }

    func persisted(_ version: UInt64) {
        if persisting == version { persisting = nil }
        durableVersion = max(durableVersion, min(version, self.version))
        let ready = gated.filter { $0.version <= durableVersion }
        gated.removeAll { $0.version <= durableVersion }
        for entry in ready { actions.append(.respond(entry.requester, entry.reply)) }
    }

    func persistenceFailed(_ version: UInt64, _ reason: String) {
        if persisting == version { persisting = nil }
        retryPersistenceAt = now + 1000
        emit(.warning, "-persistence-failed", reason)
        let waiting = gated
        gated = []
        for entry in waiting { actions.append(.respond(entry.requester, entry.fallback)) }
    }

    func persistIfNeeded() {
        if isWithheld, groups.isEmpty { return }
        guard persisting == nil, durableVersion < version else { return }
        guard now >= retryPersistenceAt else { return schedule(retryPersistenceAt) }
        persisting = version
        actions.append(.persist(version: version, configuration.directives))
    }

    /// The state as settings: what a restart begins with.
    ///
    /// From the promotion on the promoted replica is the primary here, so that a crash during the rest of the failover
    /// does not bring the old one back.
    public var configuration: SentinelConfiguration {
        var result = global
        result.currentEpoch = currentEpoch
        result.primaries = groups.map { group in
            let current = group.currentPrimary
            var settings = SentinelConfiguration.Primary(
                name: group.name, endpoint: current.endpoint, quorum: group.quorum)
            settings.downAfter = group.downAfter
            settings.failoverTimeout = group.failoverTimeout
            settings.parallelSyncs = group.parallelSyncs
            settings.authPassword = group.authPassword
            settings.authUser = group.authUser
            settings.rebootDownAfter = group.rebootDownAfter
            settings.writeQuorum = group.writeQuorum
            settings.renamedCommands = group.renamedCommands
            settings.notificationScript = group.notificationScript
            settings.reconfigurationScript = group.reconfigurationScript
            settings.configEpoch = group.configEpoch
            settings.leaderEpoch = group.leaderEpoch
            settings.replicas = group.databases.filter { $0 !== current }.map(\.endpoint)
            settings.sentinels = group.sentinels.map { .init(endpoint: $0.endpoint, runID: $0.runID) }
            return settings
        }
        return result
    }
}
