// Links: opening, closing, what is sent on them regularly, and which reply belongs to what.

extension SentinelStateMachine {
    // MARK: Opening and closing

    func maintainLinks(_ group: MonitoredPrimary, _ instance: Instance) {
        maintain(group, instance, .command, \.command)
        if instance.isDatabase { maintain(group, instance, .pubSub, \.pubSub) }
        closeSilentLinks(group, instance)
    }

    private func maintain(
        _ group: MonitoredPrimary, _ instance: Instance, _ kind: LinkKind,
        _ slot: ReferenceWritableKeyPath<Instance, LinkSlot>
    ) {
        if let link = instance[keyPath: slot].link {
            guard link.connectedAt == nil else { return }
            let deadline = link.openedAt + timing.connectTimeout
            guard now >= deadline else { return schedule(deadline) }
            actions.append(.disconnect(link.id))
            linkFailed(link.id, .timedOut)
        }
        guard now >= instance[keyPath: slot].nextAttempt else { return schedule(instance[keyPath: slot].nextAttempt) }
        let id = LinkID(rawValue: nextNumber())
        links[id] = LinkOwner(group: group, instance: instance, kind: kind)
        instance[keyPath: slot].link = Link(id: id, openedAt: now, lastActivity: now)
        let peer: PeerKind = instance.isDatabase ? .database : .sentinel
        actions.append(.connect(id, LinkTarget(endpoint: instance.endpoint, peer: peer, kind: kind)))
        schedule(now + timing.connectTimeout)
    }

    /// A link on which nothing comes back may be dead without the system knowing: open another one.
    private func closeSilentLinks(_ group: MonitoredPrimary, _ instance: Instance) {
        let age = min(timing.minimumLinkAge, max(group.downAfter * 2, timing.shortestLinkAge))
        if let link = instance.command.link, let connectedAt = link.connectedAt, let since = instance.unansweredSince,
            now - connectedAt > age, now - since > group.downAfter / 2,
            now - instance.lastPong > group.downAfter / 2
        {
            drop(instance, .command)
        }
        if let link = instance.pubSub.link, let connectedAt = link.connectedAt,
            now - connectedAt > timing.minimumLinkAge, now - link.lastActivity > timing.helloPeriod * 3,
            instance.unansweredSince == nil || now - connectedAt > timing.minimumLinkAge * 2
        {
            drop(instance, .pubSub)
        }
    }

    /// Closes a link of our own accord; `maintainLinks` opens another.
    func drop(_ instance: Instance, _ kind: LinkKind) {
        let slot = kind == .command ? instance.command : instance.pubSub
        guard let link = slot.link else { return }
        actions.append(.disconnect(link.id))
        links[link.id] = nil
        forgetLink(of: instance, kind)
    }

    func dropAll(_ instance: Instance) {
        drop(instance, .command)
        drop(instance, .pubSub)
    }

    private func forgetLink(of instance: Instance, _ kind: LinkKind) {
        switch kind {
        case .command:
            instance.command.link = nil
            instance.informationAsked = nil
            instance.opinionAsked = nil
        case .pubSub:
            instance.pubSub.link = nil
        }
    }

    func linkFailed(_ id: LinkID, _ failure: LinkFailure) {
        guard let owner = links.removeValue(forKey: id) else { return }
        let instance = owner.instance
        forgetLink(of: instance, owner.kind)
        switch owner.kind {
        case .command:
            back(&instance.command)
            if failure == .refused || failure == .unreachable { instance.isRefused = true }
        case .pubSub:
            back(&instance.pubSub)
        }
    }

    /// The first attempt after the loss of a healthy link comes at once, later ones ever later.
    private func back(_ slot: inout LinkSlot) {
        slot.nextAttempt = now + slot.backoff
        slot.backoff = min(max(slot.backoff * 2, timing.reconnectMinimum), timing.reconnectMaximum)
    }

    func linkConnected(_ id: LinkID, localHost: String) {
        guard let owner = links[id] else { return }
        let instance = owner.instance
        switch owner.kind {
        case .command:
            instance.command.link?.connectedAt = now
            instance.command.link?.localHost = localHost
            authenticate(owner, id)
            send(.clientSetName("sentinel-\(myID.prefix(8))-cmd"), to: instance, .other)
            sendPing(instance)
            if instance.isDatabase { askInformation(instance) }
            instance.lastHelloPublished = now - timing.helloPeriod
        case .pubSub:
            instance.pubSub.link?.connectedAt = now
            instance.pubSub.link?.lastActivity = now
            authenticate(owner, id)
            send(.clientSetName("sentinel-\(myID.prefix(8))-pubsub"), to: instance, .other, on: .pubSub)
            send(.subscribeHello, to: instance, .subscribe, on: .pubSub)
            send(.subscribeHandover, to: instance, .subscribe, on: .pubSub)
        }
    }

    private func authenticate(_ owner: LinkOwner, _ id: LinkID) {
        let command: Command
        if owner.instance.isDatabase {
            guard let password = owner.group.authPassword else { return }
            command = .auth(user: owner.group.authUser, password: password)
        } else {
            guard let password = global.sentinelPassword ?? peerPassword else { return }
            command = .auth(user: global.sentinelPassword == nil ? nil : global.sentinelUser, password: password)
        }
        send(command, to: owner.instance, .auth, on: owner.kind)
    }

    func noteActivity(on id: LinkID) {
        guard let owner = links[id] else { return }
        switch owner.kind {
        case .command: owner.instance.command.link?.lastActivity = now
        case .pubSub:
            owner.instance.pubSub.link?.lastActivity = now
            owner.instance.pubSub.backoff = 0
        }
    }

    // MARK: Sending

    /// Sends unless the link is not there or has too many commands without a reply.
    @discardableResult
    func send(
        _ command: Command, to instance: Instance, _ pending: Link.Pending, on kind: LinkKind = .command
    ) -> Bool {
        let request = RequestID(rawValue: nextNumber())
        let id: LinkID
        switch kind {
        case .command:
            guard let link = instance.command.link, link.connectedAt != nil,
                link.pending.count < timing.maximumPendingRequests
            else { return false }
            instance.command.link?.pending.append((request, pending))
            id = link.id
        case .pubSub:
            guard let link = instance.pubSub.link, link.connectedAt != nil,
                link.pending.count < timing.maximumPendingRequests
            else { return false }
            instance.pubSub.link?.pending.append((request, pending))
            id = link.id
        }
        actions.append(.send(id, request, command))
        return true
    }

    func sendPing(_ instance: Instance) {
        guard send(.ping, to: instance, .ping) else { return }
        instance.lastPingSent = now
        if instance.unansweredSince == nil { instance.unansweredSince = now }
    }

    func askInformation(_ instance: Instance) {
        guard instance.informationAsked == nil, send(.info, to: instance, .information) else { return }
        instance.informationAsked = now
        instance.informationLastAsked = now
    }

    func pingPeriod(_ group: MonitoredPrimary) -> Milliseconds {
        min(max(group.downAfter / timing.pingsPerDownPeriod, 20), timing.pingPeriod)
    }

    func sendPeriodic(_ group: MonitoredPrimary, _ instance: Instance) {
        guard instance.isConnected else { return }
        if instance.isDatabase, instance.informationAsked == nil {
            // Counted from the last question too: an answer that makes no sense must not be asked for without pause.
            let period = informationPeriod(group, instance)
            let pause = max(min(period, timing.busyInformationPeriod), timing.failoverInformationPeriod)
            let due = max(
                (instance.informationRefreshed ?? .min / 2) + period, instance.informationLastAsked + pause)
            if now >= due { askInformation(instance) } else { schedule(due) }
        }
        let ping = instance.lastPingSent + pingPeriod(group)
        if now >= ping {
            sendPing(instance)
            schedule(now + pingPeriod(group))
        } else {
            schedule(ping)
        }
        if now - instance.lastHelloPublished >= timing.helloPeriod { publishHello(group, to: instance) }
    }

    /// How old what INFO said may become.
    private func informationPeriod(_ group: MonitoredPrimary, _ instance: Instance) -> Milliseconds {
        if let failover = group.failover {
            switch failover.phase {
            case .selectReplica where instance.kind == .replica:
                return (instance.informationRefreshed ?? .min) < failover.phaseSince ? 0 : timing.busyInformationPeriod
            case .handOver(let promoted) where promoted === instance || group.primary === instance:
                return timing.failoverInformationPeriod
            case .waitPromotion(let promoted) where promoted === instance:
                return timing.failoverInformationPeriod
            case .reconfigureReplicas where instance.kind == .replica:
                switch instance.reconfiguration {
                case .sent, .inProgress: return timing.failoverInformationPeriod
                case .none, .done: break
                }
            default: break
            }
        }
        if instance.isFormerPrimary { return timing.busyInformationPeriod / 4 }
        if instance.kind == .replica,
            group.failover != nil || group.primary.isSubjectivelyDown || !instance.isPrimaryLinkUp
        {
            return timing.busyInformationPeriod
        }
        // Replicas find their primary in the seconds after a start or a switch: they should be known soon after.
        if instance.kind == .primary, now - group.configuredSince < timing.settlingPeriod {
            return timing.busyInformationPeriod
        }
        if instance.reportedRole.rawValue != instance.kind.rawValue { return timing.busyInformationPeriod }
        return timing.informationPeriod
    }

    // MARK: Replies

    func received(_ reply: Reply, to request: RequestID, on id: LinkID) {
        guard let owner = links[id] else { return }
        noteActivity(on: id)
        let instance = owner.instance
        let kind: Link.Pending
        switch owner.kind {
        case .command:
            guard let index = instance.command.link?.pending.firstIndex(where: { $0.request == request }),
                let pending = instance.command.link?.pending.remove(at: index)
            else { return }
            kind = pending.kind
        case .pubSub:
            guard let index = instance.pubSub.link?.pending.firstIndex(where: { $0.request == request }),
                let pending = instance.pubSub.link?.pending.remove(at: index)
            else { return }
            kind = pending.kind
        }
        switch kind {
        case .ping: receivedPong(reply, from: instance, owner.group)
        case .information:
            instance.informationAsked = nil
            if let text = reply.text { receivedInformation(text, from: instance, owner.group) }
        case .opinion(let epoch, let asCandidate):
            receivedOpinion(reply, from: instance, owner.group, asCandidate ? epoch : nil)
        case .fence(let epoch):
            if let offset = reply.integerValue { instance.fenced = (epoch, offset) }
        case .pause: writesPaused(reply, owner.group)
        case .replicaOf, .auth:
            if case .error(let text) = reply {
                emit(.warning, kind == .auth ? "-auth-failed" : "-command-failed", owner.group, instance, " \(text)")
            }
        case .subscribe, .other: break
        }
    }

    /// A db that loads its data or has lost its primary is alive; any other error means that it does not serve us.
    private func receivedPong(_ reply: Reply, from instance: Instance, _ group: MonitoredPrimary) {
        instance.lastPong = now
        switch reply {
        case .simple("PONG"): instance.rebootedSince = nil
        case .error(let text) where text.hasPrefix("LOADING") || text.hasPrefix("MASTERDOWN"): break
        case .error(let text):
            if text.hasPrefix("BUSY"), instance.isDatabase, instance.isSubjectivelyDown, !instance.hasTriedScriptKill {
                instance.hasTriedScriptKill = true
                send(.scriptKill, to: instance, .other)
            }
            return
        default: return
        }
        instance.lastAvailable = now
        instance.hasAnswered = true
        instance.unansweredSince = nil
        instance.isRefused = false
        instance.command.backoff = 0
    }

    // MARK: Names

    func resolved(_ host: String, _ address: String?) {
        guard let address, isNumericAddress(address), addresses.count < 10_000 else { return }
        addresses[host.lowercased()] = address
    }

    /// Whether two endpoints mean the same process: same port, and same name or same address.
    func isSame(_ left: Endpoint, _ right: Endpoint) -> Bool {
        guard left.port == right.port else { return false }
        if left.host == right.host { return true }
        return numeric(left.host) == numeric(right.host)
    }

    private func numeric(_ host: String) -> String { addresses[host.lowercased()] ?? host.lowercased() }

    /// The host as the outside sees it: by name only with `announce-hostnames`.
    func announced(_ endpoint: Endpoint) -> Endpoint {
        guard !global.announceHostnames, !isNumericAddress(endpoint.host) else { return endpoint }
        if let address = addresses[endpoint.host.lowercased()] { return Endpoint(address, endpoint.port) }
        if now - (askedNames[endpoint.host] ?? .min / 2) > 1000, askedNames.count < 10_000 {
            askedNames[endpoint.host] = now
            actions.append(.resolve(host: endpoint.host))
        }
        return endpoint
    }
}
