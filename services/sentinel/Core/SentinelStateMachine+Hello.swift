// Hello messages: how sentinels find each other and how the newest configuration spreads.

/// `ip,port,runid,current_epoch,master_name,master_ip,master_port,master_config_epoch`
///
/// - Spec: Redis Sentinel documentation, "Sentinels and replicas auto discovery".
public struct HelloMessage: Equatable, Sendable {
    public var sender: Endpoint
    public var runID: String
    public var currentEpoch: Epoch
    public var primaryName: String
    public var primary: Endpoint
    public var configEpoch: Epoch

    public init(
        sender: Endpoint, runID: String, currentEpoch: Epoch, primaryName: String, primary: Endpoint, configEpoch: Epoch
    ) {
        self.sender = sender
        self.runID = runID
        self.currentEpoch = currentEpoch
        self.primaryName = primaryName
        self.primary = primary
        self.configEpoch = configEpoch
    }

    /// nil if the text has not exactly eight fields or one of them cannot be what it should be.
    public init?(_ text: String) {
        guard text.utf8.count <= 2048 else { return nil }
        let fields = text.split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        guard fields.count == 8, isPlausibleHost(fields[0]), let port = Int(fields[1]), (1...65535).contains(port),
            isRunID(fields[2]), let current = Epoch(fields[3]), current <= highestEpoch, isPlausibleHost(fields[5]),
            let primaryPort = Int(fields[6]), (1...65535).contains(primaryPort), let config = Epoch(fields[7]),
            config <= highestEpoch
        else { return nil }
        self.init(
            sender: Endpoint(fields[0], port), runID: fields[2], currentEpoch: current, primaryName: fields[4],
            primary: Endpoint(fields[5], primaryPort), configEpoch: config)
    }

    public var text: String {
        "\(sender.host),\(sender.port),\(runID),\(currentEpoch),\(primaryName),\(primary.host),\(primary.port),\(configEpoch)"
    }
}

extension SentinelStateMachine {
    // MARK: Sending

    func publishHello(_ group: MonitoredPrimary, to instance: Instance) {
        guard let link = instance.command.link, link.connectedAt != nil else { return }
        let host = global.announceHost.isEmpty ? link.localHost : global.announceHost
        guard !host.isEmpty else { return }
        let hello = HelloMessage(
            sender: Endpoint(host, global.announcePort == 0 ? listenPort : global.announcePort), runID: myID,
            currentEpoch: currentEpoch, primaryName: group.name, primary: announced(group.currentPrimary.endpoint),
            configEpoch: group.configEpoch)
        if send(.publishHello(hello.text), to: instance, .other) { instance.lastHelloPublished = now }
    }

    func publishHelloToAll(_ group: MonitoredPrimary) {
        for instance in group.everyone { publishHello(group, to: instance) }
    }

    // MARK: Receiving

    /// - Returns: false if the text is not a hello message.
    func receiveHello(_ text: String) -> Bool {
        guard let hello = HelloMessage(text) else { return false }
        guard hello.runID != myID, let group = groups.first(where: { $0.name == hello.primaryName }) else {
            return true
        }
        guard let sentinel = findOrAdd(hello, group) else { return true }
        sentinel.lastHello = now
        sentinel.claimed = (hello.configEpoch, hello.primary)
        if hello.currentEpoch > currentEpoch { adoptEpoch(hello.currentEpoch, group) }
        if hello.configEpoch > group.configEpoch {
            adoptConfiguration(hello, group, sentinel)
        } else if hello.configEpoch < group.configEpoch, now - sentinel.lastHelloPublished >= timing.tick {
            // It has missed something: tell it now rather than with the next regular hello.
            publishHello(group, to: sentinel)
        }
        return true
    }

    private func adoptConfiguration(_ hello: HelloMessage, _ group: MonitoredPrimary, _ sentinel: Instance) {
        group.configEpoch = hello.configEpoch
        markChanged()
        if isSame(hello.primary, group.currentPrimary.endpoint) {
            return
        }
        // A failover of our own that has promoted its replica is part of history: it ends before the next change.
        if group.currentPrimary !== group.primary { switchPrimary(group, to: group.currentPrimary) }
        emit(.warning, "+config-update-from", group, sentinel)
        emitSwitch(group, to: hello.primary)
        reconfigureClients(group, to: hello.primary, isLeader: false)
        switchPrimary(group, to: hello.primary)
    }

    /// The sentinel that says hello: known, known under another address, a successor at the same address, or new.
    private func findOrAdd(_ hello: HelloMessage, _ group: MonitoredPrimary) -> Instance? {
        let byID = group.sentinels.first { $0.runID == hello.runID }
        let rivals = group.sentinels.filter { $0 !== byID && isSame($0.endpoint, hello.sender) }
        if let byID {
            if !isSame(byID.endpoint, hello.sender) { move(hello, byID) }
            remove(rivals, group, hello)
            return byID
        }
        if let anonymous = rivals.first(where: { $0.runID == nil }) {
            anonymous.runID = hello.runID
            markChanged()
            return anonymous
        }
        remove(rivals, group, hello)
        guard group.sentinels.count < timing.maximumSentinels else { return nil }
        let sentinel = makeInstance(.sentinel, hello.sender)
        sentinel.runID = hello.runID
        group.sentinels.append(sentinel)
        emit(.notice, "+sentinel", group, sentinel)
        markChanged()
        return sentinel
    }

    /// The same sentinel has a new address, for all primaries that it watches.
    private func move(_ hello: HelloMessage, _ known: Instance) {
        for group in groups {
            for sentinel in group.sentinels where sentinel.runID == hello.runID {
                if sentinel === known {
                    emit(
                        .notice, "+sentinel-address-switch", group, group.primary,
                        " ip \(hello.sender.host) port \(hello.sender.port) for \(hello.runID)")
                }
                dropAll(sentinel)
                sentinel.endpoint = hello.sender
                sentinel.command = LinkSlot()
                sentinel.unansweredSince = nil
                sentinel.isRefused = false
                sentinel.lastAvailable = now
            }
        }
        markChanged()
    }

    /// Sentinels whose address another one has now are gone for good.
    private func remove(_ rivals: [Instance], _ group: MonitoredPrimary, _ hello: HelloMessage) {
        for rival in rivals {
            emit(
                .notice, "-dup-sentinel", group, rival,
                " #duplicate of \(hello.sender.host):\(hello.sender.port) or \(hello.runID)")
            dropAll(rival)
            group.sentinels.removeAll { $0 === rival }
            markChanged()
        }
    }
}
