// The replica's side of replication: connect, introduce ourselves, take a snapshot or go on, then follow the stream.
//
// - Spec: Redis replication protocol as a stock 7.x primary speaks it.
import ByteStorage
import CLinux
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import RESP
import Reactor
import Telemetry

extension Server {
    var isReplicaRole: Bool { primary != nil }

    // MARK: Changing roles

    /// Follows `host:port`, or becomes a primary with nil.
    func follow(_ target: (host: String, port: Int)?) {
        guard let target else { return promote() }
        if let primary, !primary.isFenced, primary.host == target.host, primary.port == target.port { return }
        // What was written in this turn is still part of our own history.
        drainStream()
        endPrimaryLink("following another primary")
        unblockAllForReplica()
        settings.replicaOf = target
        let former = primary
        let link = PrimaryLink(host: target.host, port: target.port, now: reactor.monotonicNow)
        // If the new primary continues the history, it continues in the database that the old one had selected.
        link.database = former?.database ?? engine.state.pointee.stream.selectedDatabase ?? 0
        primary = link
        updateEngineRole()
        log.sink.role = .replica
        releaseWritesAfterDemotion()
        disconnectReplicas("now a replica of another server")
        restartQuorum()
        updateStreamEnabled()
        updateLongWay()
        log.notice("replicaof", "REPLICAOF \(target.host):\(target.port) enabled")
        connectToPrimary()
    }

    /// Keys of a replica expire by the primary's word alone. One that takes writes of its own expires them itself: a hidden
    /// expired key would otherwise be added a second time. In a pause nothing may be deleted either: replicas are to reach
    /// the end of a stream that stands still.
    func updateEngineRole() {
        engine.state.pointee.isReplica = isReplicaRole && settings.replicaReadOnly || pause != nil
    }

    private func promote() {
        guard primary != nil else { return }
        drainStream()
        endPrimaryLink("promoted")
        primary = nil
        settings.replicaOf = nil
        history.promote(newID: Server.randomHex(40))
        updateEngineRole()
        engine.state.pointee.stream.selectedDatabase = nil
        log.sink.role = .primary
        disconnectReplicas("this server was promoted")
        makeBacklog()
        restartQuorum()
        updateStreamEnabled()
        updateLongWay()
        log.notice(
            "promoted",
            "MASTER MODE enabled: replication ID \(history.id), former ID \(history.secondID) valid up to offset \(history.secondEndOffset)"
        )
    }

    private static let forcedUnblockText: StaticString =
        "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"

    /// Blocked clients would wait for writes that can no longer come from here.
    private func unblockAllForReplica() {
        for client in clients.values where client.details.blocking != nil {
            unblock(client)
            lateReply(client).error(Server.forcedUnblockText)
            resume(client)
        }
        for waiting in waitingClients {
            guard let client = clients[waiting.clientID] else { continue }
            dropWaiting(client)
            lateReply(client).error(Server.forcedUnblockText)
            resume(client)
        }
    }

    /// Stops following the primary until the next REPLICAOF, so that this replica's acknowledgements cannot complete a quorum of
    /// a primary that is being replaced.
    ///
    /// - Returns: the offset up to which this replica has the stream.
    func fence(epoch: Int64) -> Int64 {
        guard let link = primary else { return history.offset }
        if !link.isFenced {
            link.isFenced = true
            endPrimaryLink("fenced by a sentinel, epoch \(epoch)")
            log.notice(
                "fenced", "Stopped following \(link.host):\(link.port) for epoch \(epoch) at offset \(history.offset)")
        }
        return history.offset
    }

    private func endPrimaryLink(_ reason: String) {
        guard let link = primary else { return }
        if let retry = link.retry { reactor.cancel(retry) }
        link.retry = nil
        if case .receivingSnapshot(let receiver) = link.state { discard(receiver) }
        link.state = .idle
        let connection = link.connection
        link.connection = nil
        if let connection, connection.phase != .closed { connection.close(.local(reason)) }
    }

    private func discard(_ receiver: SnapshotReceiver) {
        _ = close(receiver.file)
        unlink(receiver.path)
    }

    // MARK: Connecting

    func connectToPrimary() {
        guard let link = primary, !link.isFenced, case .idle = link.state else { return }
        log.notice("primary-connect", "Connecting to MASTER \(link.host):\(link.port)")
        link.state = .connecting
        link.connection = reactor.connect(
            host: link.host, port: UInt16(clamping: link.port), tag: ConnectionTag.primaryLink,
            tls: settings.tlsReplication ? tlsClientContext : nil,
            timeoutMilliseconds: Int64(settings.replicationTimeoutSeconds) * 1000)
    }

    func primaryLinkOpened(_ connection: Connection) {
        guard let link = primary, link.connection == connection else {
            return connection.close(.local("no longer wanted"))
        }
        link.lastData = reactor.monotonicNow
        begin(link, .ping)
    }

    func primaryLinkClosed(_ connection: Connection, _ reason: CloseReason) {
        guard let link = primary, link.connection == connection else { return }
        if case .receivingSnapshot(let receiver) = link.state { discard(receiver) }
        if case .loading = link.state {
            // The data came whole; the link is made anew after loading.
            link.connection = nil
            return
        }
        if link.isConnected { link.downSince = reactor.monotonicNow }
        log.warning("primary-link-lost", "Connection with master \(link.host):\(link.port) lost: \(reason.text)")
        link.connection = nil
        link.state = .idle
        scheduleReconnect(link)
    }

    /// At once after the loss of a working link, then in growing steps up to a second.
    private func scheduleReconnect(_ link: PrimaryLink) {
        link.failures += 1
        let delay: Int64 = link.failures == 1 ? 10 : min(1000, 50 << Int64(min(link.failures, 5)))
        link.retry = reactor.schedule(after: delay) { [unowned self] in
            guard primary === link else { return }
            link.retry = nil
            connectToPrimary()
        }
    }

    // MARK: Introduction

    private func begin(_ link: PrimaryLink, _ step: PrimaryLink.Step) {
        guard let connection = link.connection else { return }
        link.state = .handshake(step)
        let writer = ReplyWriter(connection.output)
        func send(_ words: [String]) {
            writer.array(words.count)
            for word in words { writer.bulk(word) }
        }
        switch step {
        case .ping: send(["PING"])
        case .auth:
            guard !settings.primaryPassword.isEmpty else { return begin(link, .port) }
            send(["AUTH"] + (settings.primaryUser.isEmpty ? [] : [settings.primaryUser]) + [settings.primaryPassword])
        case .port:
            let own =
                settings.replicaAnnouncePort > 0
                ? settings.replicaAnnouncePort
                : settings.tlsReplication && settings.tlsPort > 0 ? settings.tlsPort : settings.port
            send(["REPLCONF", "listening-port", String(own)])
        case .address:
            guard !settings.replicaAnnounceHost.isEmpty else { return begin(link, .capabilities) }
            send(["REPLCONF", "ip-address", settings.replicaAnnounceHost])
        case .capabilities: send(["REPLCONF", "capa", "eof", "capa", "psync2"])
        case .psync:
            // Our own history can be continued if the primary knows it: after a lost link, a restart or a failover.
            // One that nobody has followed yet has a history that nobody else can know.
            let canContinue = backlog != nil || history.offset > 0
            link.askedFor = canContinue ? (history.id, history.offset + 1) : ("?", -1)
            log.notice(
                "psync", "Trying a partial resynchronization (request \(link.askedFor.id):\(link.askedFor.offset))")
            send(["PSYNC", link.askedFor.id, String(link.askedFor.offset)])
        }
    }

    func primaryLinkReceived(_ connection: Connection) {
        guard let link = primary, link.connection == connection else { return }
        link.lastData = reactor.monotonicNow
        while connection.isOpen, link.connection == connection, !connection.input.isEmpty {
            switch link.state {
            case .handshake(let step):
                guard let line = takeLine(connection) else { return }
                if !line.isEmpty { answered(link, step, line) }
            case .receivingSnapshot(let receiver):
                receive(link, receiver, connection)
            case .connected:
                followStream(link, connection)
                return
            case .loading, .idle, .connecting: return
            }
        }
    }

    /// Takes a line off the input, without CR LF.
    private func takeLine(_ connection: Connection) -> String? {
        let input = connection.input
        for index in 0..<input.count where input[index] == 10 {
            let end = index > 0 && input[index - 1] == 13 ? index - 1 : index
            let text = input.slice(0, end).string
            connection.consumeInput(index + 1)
            return text
        }
        if input.count > 4096 { connection.close(.local("the primary's answer is too long")) }
        return nil
    }

    private func answered(_ link: PrimaryLink, _ step: PrimaryLink.Step, _ line: String) {
        let isError = line.hasPrefix("-")
        switch step {
        case .ping:
            if isError, !line.hasPrefix("-NOAUTH"), !line.hasPrefix("-NOPERM") { return refuse(link, "PING: \(line)") }
            begin(link, .auth)
        case .auth:
            if isError { return refuse(link, "AUTH: \(line)") }
            begin(link, .port)
        case .port: begin(link, .address)
        case .address: begin(link, .capabilities)
        case .capabilities: begin(link, .psync)
        case .psync: answeredPSYNC(link, line)
        }
    }

    private func refuse(_ link: PrimaryLink, _ problem: String) {
        log.warning("primary-refused", "Master refused us: \(problem)")
        link.connection?.close(.local("refused by the primary"))
    }

    private func answeredPSYNC(_ link: PrimaryLink, _ line: String) {
        let words = line.split(separator: " ").map(String.init)
        if words.first == "+CONTINUE" {
            if words.count > 1 { history.renamed(to: words[1]) }
            statistics.partialSyncs += 0
            log.notice("partial-sync", "Successful partial resynchronization with master.")
            return becomeConnected(link)
        }
        if words.first == "+FULLRESYNC", words.count == 3, let offset = Int64(words[2]) {
            log.notice("full-sync", "Full resync from master: \(words[1]):\(offset)")
            fullSyncTarget = (words[1], offset)
            return
        }
        if line.hasPrefix("$"), let target = fullSyncTarget { return beginSnapshot(link, target, line) }
        refuse(link, "PSYNC: \(line)")
    }

    private func becomeConnected(_ link: PrimaryLink) {
        link.state = .connected
        link.failures = 0
        link.isInTransaction = false
        link.needed = 0
        link.scannedOfTransaction = 0
        link.acknowledgedOffset = -1
        if backlog == nil { backlog = ReplicationBacklog(capacity: settings.backlogBytes, endOffset: history.offset) }
        if let connection = link.connection, !connection.input.isEmpty { connection.revisit() }
    }

    // MARK: Snapshot

    private func beginSnapshot(_ link: PrimaryLink, _ target: (id: String, offset: Int64), _ line: String) {
        let path = "\(settings.directory)/temp-sync-\(getpid()).rdb"
        let file = cl_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return refuse(link, "cannot write \(path): \(String(cString: strerror(cl_errno())))") }
        var remaining: Int?
        var mark: [UInt8] = []
        if line.hasPrefix("$EOF:") {
            mark = Array(line.utf8.dropFirst(5))
        } else {
            remaining = Int(line.dropFirst())
        }
        guard mark.count == 40 || remaining ?? -1 >= 0 else {
            _ = close(file)
            return refuse(link, "unexpected answer \(line)")
        }
        link.state = .receivingSnapshot(
            SnapshotReceiver(
                id: target.id, offset: target.offset, path: path, file: file, remaining: remaining, endMark: mark,
                startedAt: reactor.monotonicNow))
        if remaining == 0 { refuse(link, "an empty snapshot") }
    }

    private func receive(_ link: PrimaryLink, _ receiver: SnapshotReceiver, _ connection: Connection) {
        let input = connection.input
        var length = input.count
        var isComplete = false
        if let remaining = receiver.remaining {
            length = min(length, remaining)
            receiver.remaining = remaining - length
            isComplete = remaining == length
        } else {
            receiver.tail = Array((receiver.tail + input.slice(max(0, length - 40), length).array).suffix(40))
            isComplete = receiver.tail == receiver.endMark
        }
        var written = 0
        while written < length {
            let count = write(receiver.file, input.base + written, length - written)
            if count < 0 {
                if cl_errno() == EINTR { continue }
                return refuse(link, "cannot write \(receiver.path): \(String(cString: strerror(cl_errno())))")
            }
            written += count
        }
        receiver.received += length
        connection.consumeInput(length)
        if isComplete { loadSnapshot(link, receiver, connection) }
    }

    private func loadSnapshot(_ link: PrimaryLink, _ receiver: SnapshotReceiver, _ connection: Connection) {
        if !receiver.endMark.isEmpty { _ = ftruncate(receiver.file, off_t(receiver.received - 40)) }
        _ = close(receiver.file)
        link.state = .loading
        connection.setReadingPaused(true)
        log.notice("sync-loading", "MASTER <-> REPLICA sync: \(receiver.received) bytes received, loading them")
        // Loading takes turns of its own, to answer clients meanwhile.
        reactor.runAfterTurn { [unowned self] in finishFullSync(link, receiver) }
    }

    private func finishFullSync(_ link: PrimaryLink, _ receiver: SnapshotReceiver) {
        defer { unlink(receiver.path) }
        guard primary === link else { return }
        disconnectReplicas("a full sync gave us another history")
        let problem = loadReplicatedSnapshot(receiver.path)
        fullSyncTarget = nil
        guard primary === link else { return }
        if let problem {
            log.warning("sync-failed", "Failed to load the snapshot of the master: \(problem)")
            history.offset = 0
            backlog = nil
            link.state = .idle
            if let connection = link.connection { connection.close(.local("snapshot refused")) }
            link.connection = nil
            return scheduleReconnect(link)
        }
        history.adopt(id: receiver.id, offset: receiver.offset)
        backlog = ReplicationBacklog(capacity: settings.backlogBytes, endOffset: receiver.offset)
        statistics.fullSyncsReceived += 1
        link.database = replicatedDatabase
        log.notice("sync-done", "MASTER <-> REPLICA sync: Finished with success")
        guard let connection = link.connection, connection.isOpen else {
            link.state = .idle
            return scheduleReconnect(link)
        }
        becomeConnected(link)
        connection.setReadingPaused(false)
        acknowledge(link)
        replicatedDatasetChanged()
    }

    // MARK: The stream

    /// Looks for the EXEC of the transaction that `bytes` begin with, from where the last look ended.
    private func hasWholeTransaction(_ link: PrimaryLink, _ bytes: ByteView, _ afterMulti: Int) -> Bool {
        var position = max(afterMulti, link.scannedOfTransaction)
        defer { arena.reset() }
        while position < bytes.count {
            switch requestParser.parse(bytes.base, position, bytes.count, arena) {
            case .command(let next, let count):
                let isEnd = commands.find(arena[arena.count - count])?.id == .exec
                arena.reset()
                position = next
                if isEnd {
                    link.scannedOfTransaction = 0
                    link.needed = 0
                    return true
                }
            case .nothing(let next): position = next
            case .incomplete(let needed):
                link.scannedOfTransaction = position
                link.needed = position + needed
                return false
            // The stream is damaged: applying it will meet the error.
            case .failed: return true
            }
        }
        link.scannedOfTransaction = position
        link.needed = position + 1
        return false
    }

    private func followStream(_ link: PrimaryLink, _ connection: Connection) {
        let input = connection.input
        if input.count < link.needed { return }
        link.needed = 0
        var position = 0
        arena.reset()
        engine.state.pointee.obeysStream = true
        defer {
            engine.state.pointee.obeysStream = false
            connection.consumeInput(position)
        }
        while position < input.count {
            switch requestParser.parse(input.base, position, input.count, arena) {
            case .command(let next, let count):
                let raw = input.slice(position, next)
                if !link.isInTransaction, commands.find(arena[arena.count - count])?.id == .multi {
                    arena.reset()
                    // A transaction is applied whole or not at all: until its EXEC is here, MULTI stays in the input.
                    guard hasWholeTransaction(link, input.slice(position, input.count), next - position) else {
                        return
                    }
                    _ = requestParser.parse(input.base, position, input.count, arena)
                }
                apply(link, arena.pointer(arena.count - count), count, raw)
                relay(raw)
                position = next
                arena.reset()
                if link.connection != connection || !connection.isOpen { return }
            case .nothing(let next):
                relay(input.slice(position, next))
                position = next
            case .incomplete(let needed):
                link.needed = needed
                return
            case .failed(let error):
                log.warning("primary-protocol", "Protocol error from master: \(error.text)")
                return connection.close(.local("protocol error"))
            }
        }
    }

    /// The stream goes on to our own replicas byte for byte, so that offsets mean the same everywhere.
    private func relay(_ raw: ByteView) {
        if backlog == nil { history.offset += Int64(raw.count) } else { sendToReplicas(raw) }
    }

    private func apply(_ link: PrimaryLink, _ arguments: UnsafeMutablePointer<ByteView>, _ count: Int, _ raw: ByteView)
    {
        guard let shape = commands.find(arguments[0]), shape.accepts(argumentCount: count) else {
            return log.warning(
                "primary-command", "The master sent a command that this version does not know: \(arguments[0].string)")
        }
        switch shape.id {
        case .ping: return
        case .select:
            if count == 2, let index = parseInteger(arguments[1]), index >= 0, index < Int64(settings.databases) {
                link.database = Int(index)
            }
            return
        case .multi:
            link.isInTransaction = true
            engine.state.pointee.stream.beginTransaction()
            return
        case .exec:
            link.isInTransaction = false
            engine.state.pointee.stream.endTransaction()
            return
        case .replconf:
            if count == 3, arguments[1].equalsIgnoringCase("getack") { link.acknowledgedOffset = -1 }
            return
        case .publish, .spublish:
            if count == 3 { deliver(channel: arguments[1], message: arguments[2], shard: shape.id == .spublish) }
            return
        default: break
        }
        let hash = shape.firstKey > 0 && Int(shape.firstKey) < count ? engine.hash(arguments[Int(shape.firstKey)]) : 0
        let reply = ReplyWriter(scratchOutput)
        let invocation = Invocation(
            arguments: arguments, count: count, hash: hash, database: link.database, reply: reply)
        commandCalls[Int(shape.id.rawValue)] &+= 1
        statistics.commandsProcessed += 1
        if !watchers.isEmpty { failWatches(shape, invocation) }
        if !engine.execute(shape, invocation, raw: raw) {
            log.warning(
                "primary-command",
                "The master sent a command that a replica does not take: \(commands.spec(shape.id).name)")
        } else if !scratchOutput.isEmpty, scratchOutput.view[0] == UInt8(ascii: "-") {
            statistics.unexpectedErrors += 1
            log.warning(
                "primary-command-failed",
                "A command of the master failed here, the data may differ: \(commands.spec(shape.id).name): \(scratchOutput.view.string)"
            )
        }
        scratchOutput.removeAll()
        if !engine.state.pointee.events.isEmpty { serveEvents() }
    }

    // MARK: Acknowledgement and supervision

    /// At the end of a turn: tells the primary how far we are, if that has changed.
    func acknowledgeIfNeeded() {
        guard let link = primary, link.isConnected else { return }
        if link.acknowledgedOffset != history.offset { acknowledge(link) }
    }

    private func acknowledge(_ link: PrimaryLink) {
        guard let connection = link.connection, connection.isOpen else { return }
        link.acknowledgedOffset = history.offset
        link.lastAcknowledgement = reactor.monotonicNow
        let writer = ReplyWriter(connection.output)
        writer.array(3)
        writer.bulk("REPLCONF")
        writer.bulk("ACK")
        writer.bulk(integer: history.offset)
    }

    /// Once a second.
    func supervisePrimaryLink() {
        guard let link = primary, let connection = link.connection, connection.isOpen else { return }
        let now = reactor.monotonicNow
        if case .loading = link.state { return }
        if now - link.lastData > Int64(settings.replicationTimeoutSeconds) * 1000 {
            log.warning("primary-timeout", "MASTER timeout: no data nor PING received...")
            return connection.close(.local("replication timeout"))
        }
        if case .receivingSnapshot = link.state {
            // A newline keeps a primary patient that counts our silence.
            connection.output.append("\n")
        }
        if link.isConnected, now - link.lastAcknowledgement >= 1000 { acknowledge(link) }
    }
}
