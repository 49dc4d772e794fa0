// The SENTINEL command and the publication of hello messages, as they come from clients, operators and other sentinels.
//
// The words of errors and the names of fields are those of stock Redis Sentinel 7: clients and scripts look for them.

extension SentinelStateMachine {
    static let noSuchPrimary = Reply.error("ERR No such master with that name")

    /// Executes a SENTINEL or PUBLISH command and answers it, now or once the answer is durable.
    func execute(_ words: [String], for requester: RequesterID) {
        guard let name = words.first?.lowercased() else {
            return actions.append(.respond(requester, .error("ERR empty command")))
        }
        if name == "publish" { return actions.append(.respond(requester, executePublish(words))) }
        guard words.count >= 2 else {
            return actions.append(.respond(requester, wrongNumber("sentinel")))
        }
        let subcommand = words[1].lowercased()
        let arguments = Array(words.dropFirst(2))
        guard let range = Self.argumentCounts[subcommand] else {
            let text = "ERR unknown subcommand '\(words[1].prefix(128))'. Try SENTINEL HELP."
            return actions.append(.respond(requester, .error(text)))
        }
        guard range.contains(arguments.count) else {
            return actions.append(.respond(requester, wrongNumber("sentinel|\(subcommand)")))
        }
        if subcommand == "is-master-down-by-addr" { return executeIsMasterDown(arguments, requester) }
        actions.append(.respond(requester, reply(to: subcommand, arguments)))
    }

    private static let argumentCounts: [String: ClosedRange<Int>] = [
        "myid": 0...0, "masters": 0...0, "master": 1...1, "replicas": 1...1, "slaves": 1...1, "sentinels": 1...1,
        "is-master-down-by-addr": 4...4, "reset": 1...1, "get-master-addr-by-name": 1...1, "failover": 1...1,
        "pending-scripts": 0...0, "monitor": 4...4, "flushconfig": 0...0, "remove": 1...1, "ckquorum": 1...1,
        "set": 3...1000, "config": 2...1000, "help": 0...0, "debug": 0...1000,
        "info-cache": 0...1000, "simulate-failure": 0...1000,
    ]

    private func wrongNumber(_ command: String) -> Reply {
        .error("ERR wrong number of arguments for '\(command)' command")
    }

    private func reply(to subcommand: String, _ arguments: [String]) -> Reply {
        switch subcommand {
        case "myid": return .bulk(myID)
        case "masters": return .array(groups.map { fields(of: $0.primary, $0) })
        case "reset": return .integer(Int64(reset(matching: arguments[0])))
        case "pending-scripts": return pendingScripts
        case "debug": return debug(arguments)
        case "info-cache": return informationCache(arguments)
        case "simulate-failure": return simulateFailure(arguments)
        case "monitor": return monitor(arguments)
        case "config": return executeConfig(arguments)
        case "help": return .array(Self.help.map { .simple($0) })
        case "flushconfig":
            markChanged()
            return .ok
        case "get-master-addr-by-name":
            guard let group = group(arguments[0]) else { return .nullArray }
            let endpoint = announced(group.currentPrimary.endpoint)
            return .array([.bulk(endpoint.host), .bulk(String(endpoint.port))])
        default: break
        }
        guard let group = group(arguments[0]) else { return Self.noSuchPrimary }
        switch subcommand {
        case "master": return fields(of: group.primary, group)
        case "replicas", "slaves":
            return .array(group.replicas.filter(\.isAnnounced).map { fields(of: $0, group) })
        case "sentinels": return .array(group.sentinels.map { fields(of: $0, group) })
        case "failover": return orderFailover(group)
        case "ckquorum": return checkQuorum(group)
        case "remove":
            remove(group)
            return .ok
        default: return set(group, Array(arguments.dropFirst()))
        }
    }

    public func group(named name: String) -> Bool { group(name) != nil }

    func group(_ name: String) -> MonitoredPrimary? { groups.first { $0.name == name } }

    private func executePublish(_ words: [String]) -> Reply {
        guard words.count == 3 else { return wrongNumber("publish") }
        guard words[1] == helloChannel, receiveHello(words[2]) else {
            return .error("ERR Only HELLO messages are accepted by Sentinel instances.")
        }
        return .integer(1)
    }

    // MARK: Between sentinels

    /// `IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid or *>`: an opinion and, for a run id, a vote.
    private func executeIsMasterDown(_ arguments: [String], _ requester: RequesterID) {
        guard let port = Int(arguments[1]), (1...65535).contains(port) else {
            return actions.append(.respond(requester, .error("ERR Invalid port")))
        }
        guard let epoch = Epoch(arguments[2]), epoch <= highestEpoch else {
            return actions.append(.respond(requester, .error("ERR value is not an integer or out of range")))
        }
        let endpoint = Endpoint(arguments[0], port)
        // During the last phases of a failover the old primary is no longer the one of the configuration.
        let group = groups.first { isSame($0.currentPrimary.endpoint, endpoint) }
        let isDown = tiltSince == nil && group.map { $0.currentPrimary.isSubjectivelyDown } == true
        let opinion = Reply.integer(isDown ? 1 : 0)
        let withoutVote = Reply.array([opinion, .bulk("*"), .integer(0)])
        if let group, !isDown, tiltSince == nil { probe(group) }
        let candidate = arguments[3]
        guard let group, candidate != "*", isRunID(candidate) else {
            return actions.append(.respond(requester, withoutVote))
        }
        vote(group, epoch: epoch, for: candidate)
        guard let leader = group.leader else {
            let reply = Reply.array([opinion, .bulk("*"), .integer(Int64(group.leaderEpoch))])
            return actions.append(.respond(requester, reply))
        }
        let reply = Reply.array([opinion, .bulk(leader), .integer(Int64(group.leaderEpoch))])
        respond(requester, reply, after: group.voteVersion, fallback: withoutVote)
    }

    /// Somebody has doubts about a primary that looks well from here: look again now.
    private func probe(_ group: MonitoredPrimary) {
        if group.primary.command.link == nil {
            group.primary.command.nextAttempt = now
        } else if now - group.primary.lastPingSent >= timing.busyTick {
            sendPing(group.primary)
        }
    }

    // MARK: For operators

    private func orderFailover(_ group: MonitoredPrimary) -> Reply {
        guard group.failover == nil else { return .error("INPROG Failover already in progress") }
        guard bestReplica(group) != nil else { return .error("NOGOODSLAVE No suitable replica to promote") }
        startFailover(group, .order)
        return .ok
    }

    private func checkQuorum(_ group: MonitoredPrimary) -> Reply {
        let usable = 1 + group.sentinels.count { $0.isConnected && !$0.isSubjectivelyDown }
        var problems: [String] = []
        if usable < group.quorum {
            problems.append("Not enough available Sentinels to reach the specified quorum for this master.")
        }
        if usable < group.majority {
            problems.append("Not enough available Sentinels to reach the majority and authorize a failover.")
        }
        if problems.isEmpty {
            return .simple("OK \(usable) usable Sentinels. Quorum and failover authorization can be reached")
        }
        return .error("NOQUORUM \(usable) usable Sentinels. " + problems.joined(separator: " "))
    }

    private func reset(matching pattern: String) -> Int {
        let matching = groups.filter { matchesGlob(pattern, $0.name) }
        for group in matching {
            for instance in group.replicas + group.sentinels { dropAll(instance) }
            group.replicas = []
            group.sentinels = []
            group.failover = nil
            group.objectivelyDownSince = nil
            group.electionAt = nil
            group.leaveToLeaderUntil = 0
            group.handoverWantedUntil = nil
            group.failedAttempts = 0
            dropAll(group.primary)
            group.primary.command = LinkSlot()
            group.primary.pubSub = LinkSlot()
            group.primary.runID = nil
            group.primary.resetState(now: now)
            emit(.warning, "+reset-master", group, group.primary)
            markChanged()
        }
        return matching.count
    }

    private func monitor(_ arguments: [String]) -> Reply {
        let name = arguments[0]
        guard let quorum = Int(arguments[3]) else { return .error("ERR Invalid quorum") }
        guard quorum >= 1 else { return .error("ERR Quorum must be 1 or greater.") }
        guard let port = Int(arguments[2]) else { return .error("ERR Invalid port") }
        guard (1...65535).contains(port) else { return .error("ERR Invalid port number.") }
        guard quorum <= 1000 else { return .error("ERR Invalid quorum") }
        let host = arguments[1]
        guard isPlausibleHost(host), global.resolveHostnames || isNumericAddress(host) else {
            return .error("ERR Invalid IP address or hostname specified")
        }
        guard isValidPrimaryName(name) else { return .error("ERR Invalid master name.") }
        guard group(name) == nil else { return .error("ERR Duplicate master name.") }
        guard groups.count < 100 else { return .error("ERR Too many monitored masters.") }
        let group = makeGroup(.init(name: name, endpoint: Endpoint(host, port), quorum: quorum))
        groups.append(group)
        emit(.warning, "+monitor", group, group.primary, " quorum \(quorum)")
        markChanged()
        return .ok
    }

    private func remove(_ group: MonitoredPrimary) {
        emit(.warning, "-monitor", group, group.primary)
        for instance in group.everyone { dropAll(instance) }
        groups.removeAll { $0 === group }
        markChanged()
    }

    private static let help = [
        "SENTINEL <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CKQUORUM <master-name>", "    Say whether enough sentinels are reachable for quorum and majority.",
        "CONFIG GET <param> [<param> ...]", "    Show parameters of this process.",
        "CONFIG SET <param> <value> [<param> <value> ...]", "    Change parameters of this process.",
        "DEBUG [<param> <value> ...]", "    Show the periods of this process, or change some.",
        "FAILOVER <master-name>", "    Replace the primary now.",
        "FLUSHCONFIG", "    Write the settings file with the current state.",
        "GET-MASTER-ADDR-BY-NAME <master-name>", "    Host and port of the current primary.",
        "INFO-CACHE [<master-name> ...]", "    The last INFO of each db, and its age.",
        "IS-MASTER-DOWN-BY-ADDR <ip> <port> <current-epoch> <runid>", "    Between sentinels: opinion and vote.",
        "MASTER <master-name>", "    State of one monitored primary.",
        "MASTERS", "    State of all monitored primaries.",
        "MONITOR <name> <ip> <port> <quorum>", "    Begin to monitor a primary.",
        "MYID", "    The run id of this sentinel.",
        "PENDING-SCRIPTS", "    Scripts that run or wait.",
        "REMOVE <master-name>", "    Stop monitoring a primary.",
        "REPLICAS <master-name>", "    State of the replicas of a primary.",
        "RESET <pattern>", "    Forget replicas and sentinels of the primaries that match, and find them again.",
        "SENTINELS <master-name>", "    State of the other sentinels of a primary.",
        "SET <master-name> <option> <value> [<option> <value> ...]", "    Change settings of a monitored primary.",
        "SIMULATE-FAILURE (CRASH-AFTER-ELECTION|CRASH-AFTER-PROMOTION|HELP)", "    End the process at that point.",
        "HELP", "    This text.",
    ]
}
