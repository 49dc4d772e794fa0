// The primary's side of replication: who follows us, and what they get.
//
// - Spec: Redis replication protocol: REPLCONF, PSYNC, diskless full sync with an end mark, REPLCONF ACK and GETACK.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import RESP
import Reactor

extension Server {
    // MARK: Negotiation

    func replconf(_ c: CommandContext) {
        if c.count % 2 == 0 { return c.syntaxError() }
        let link = c.client.details.replica ?? ReplicaLink()
        var index = 1
        while index + 1 < c.count {
            if c.isWord(index, "listening-port") {
                guard let port = c.integer(index + 1) else { return }
                link.listeningPort = Int(clamping: port)
            } else if c.isWord(index, "ip-address") {
                link.announcedHost = c.text(index + 1)
            } else if c.isWord(index, "capa") {
                if c.isWord(index + 1, "eof") { link.understandsEndMark = true }
                if c.isWord(index + 1, "psync2") { link.understandsPSYNC2 = true }
            } else if c.isWord(index, "ack") {
                return acknowledged(c, link, index)
            } else if c.isWord(index, "getack") {
                return
            } else if c.isWord(index, "rdb-only") || c.isWord(index, "rdb-filter-only") || c.isWord(index, "version") {
                // Accepted: they concern what is sent only to their own kind of client.
            } else {
                return c.reply.error("ERR Unrecognized REPLCONF option: \(c.text(index))")
            }
            index += 2
        }
        c.client.details.replica = link
        c.reply.ok()
    }

    /// REPLCONF ACK is never answered.
    private func acknowledged(_ c: CommandContext, _ link: ReplicaLink, _ index: Int) {
        guard c.client.has(.replica), let offset = parseInteger(c[index + 1]) else { return }
        link.acknowledged = max(link.acknowledged, offset)
        link.acknowledgedAt = reactor.monotonicNow
        if index + 3 < c.count, c.isWord(index + 2, "fack"), let onDisk = parseInteger(c[index + 3]) {
            link.acknowledgedOnDisk = max(link.acknowledgedOnDisk, onDisk)
        }
        if link.state == .settling { goOnline(c.client, link) }
        advanceQuorum()
        serveWaiting()
    }

    // MARK: PSYNC

    func psync(_ c: CommandContext, isOldSync: Bool) {
        let client = c.client
        if client.has(.replica) { return }
        if let primary, !primary.isConnected {
            return c.reply.error("NOMASTERLINK Can't SYNC while not connected with my master")
        }
        // What was executed in this turn comes first: it may move the backlog's beginning.
        drainStream()
        var plan = SynchronisationPlan.full(.asked)
        if !isOldSync {
            guard let from = c.integer(2) else { return }
            plan = .plan(requestedID: c.text(1), from: from, history: history, backlog: backlog)
        }
        let link = client.details.replica ?? ReplicaLink()
        client.details.replica = link
        client.insert(.replica)
        client.connection.state.pointee.isGated = false
        link.acknowledgedAt = reactor.monotonicNow
        replicas.append(client)
        makeBacklog()
        switch plan {
        case .partial(let from): continuePartially(c, link, from)
        case .full(let reason):
            if !isOldSync { statistics.partialSyncErrors += c[1].equalsIgnoringCase("?") ? 0 : 1 }
            log.notice(
                "full-sync", "Full resync requested by replica \(client.connection.remoteAddress): \(reason.rawValue)")
            link.state = .waiting
            link.wantsOldSync = isOldSync
            requestFullSync()
        }
        updateStreamEnabled()
    }

    private func continuePartially(_ c: CommandContext, _ link: ReplicaLink, _ from: Int64) {
        statistics.partialSyncs += 1
        c.reply.out.append(link.understandsPSYNC2 ? "+CONTINUE \(history.id)\r\n" : "+CONTINUE\r\n")
        backlog?.copy(from: from, to: c.reply.out)
        link.state = .online
        link.acknowledged = from - 1
        log.notice(
            "partial-sync",
            "Partial resynchronization request from \(c.client.connection.remoteAddress) accepted, from offset \(from)")
    }

    func makeBacklog() {
        guard backlog == nil else { return }
        backlog = ReplicationBacklog(capacity: settings.backlogBytes, endOffset: history.offset)
        // A reader that joins now must learn the database with the next command.
        engine.state.pointee.stream.selectedDatabase = nil
    }

    // MARK: The stream

    var replicationWantsStream: Bool {
        !isReplicaRole && (backlog != nil || !replicas.isEmpty || settings.writeQuorum > 0)
    }

    /// Takes what was executed in this turn to the backlog and the replicas. On a replica the stream comes from the primary,
    /// byte for byte, so what the engine wrote is for the log alone.
    func feedReplication(_ bytes: ByteView) {
        if !isReplicaRole { sendToReplicas(bytes) }
    }

    /// Appends bytes to the replication stream.
    func sendToReplicas(_ bytes: ByteView) {
        guard let backlog, bytes.count > 0 else { return }
        backlog.append(bytes)
        history.offset += Int64(bytes.count)
        for client in replicas {
            guard let link = client.details.replica else { continue }
            switch link.state {
            case .online: client.connection.output.append(bytes)
            case .receivingSnapshot, .settling: enqueue(client, link, bytes)
            case .negotiating, .waiting: break
            }
        }
    }

    private func enqueue(_ client: Client, _ link: ReplicaLink, _ bytes: ByteView) {
        let queue = link.queue ?? OutputBuffer.create(capacity: 64 << 10)
        link.queue = queue
        queue.append(bytes)
        let limit = settings.outputLimits[1].hardBytes
        if limit > 0, queue.count > max(limit, settings.backlogBytes) {
            log.warning(
                "output-limit", "Replica \(client.connection.remoteAddress) closed: its sync is slower than the writes")
            client.connection.close(.local("output buffer limit"))
        }
    }

    func goOnline(_ client: Client, _ link: ReplicaLink) {
        link.state = .online
        if let queue = link.queue {
            client.connection.output.append(queue.view)
            queue.destroy()
            link.queue = nil
        }
        log.notice("replica-online", "Synchronization with replica \(client.connection.remoteAddress) succeeded")
    }

    /// Once a second: pings, timeouts.
    func superviseReplicas() {
        let now = reactor.monotonicNow
        let limit = Int64(settings.replicationTimeoutSeconds) * 1000
        for client in replicas {
            guard let link = client.details.replica else { continue }
            switch link.state {
            case .online, .settling:
                if now - link.acknowledgedAt > limit {
                    log.warning("replica-timeout", "Disconnecting timedout replica \(client.connection.remoteAddress)")
                    client.connection.close(.local("replication timeout"))
                }
            case .waiting:
                // A sign of life while the replica waits for its sync to begin.
                client.connection.output.append("\n")
            case .negotiating, .receivingSnapshot: break
            }
        }
        guard !replicas.isEmpty, !isReplicaRole else { return }
        if now - lastReplicationPing >= Int64(settings.replicationPingSeconds) * 1000 {
            lastReplicationPing = now
            drainStream()
            sendToReplicas(ByteView("*1\r\n$4\r\nPING\r\n"))
        }
    }

    func forgetReplica(_ client: Client) {
        guard client.has(.replica) else { return }
        replicas.removeAll { $0 == client }
        client.remove(.replica)
        client.details.replica = nil
        fullSyncEnded()
    }

    /// Ends the links of all replicas: they come back and ask anew, since our history is another one now.
    func disconnectReplicas(_ reason: String) {
        for client in replicas { client.connection.close(.local(reason)) }
    }

    /// Replicas that are online and have acknowledged lately.
    func goodReplicas(maximumLagSeconds: Int) -> Int {
        replicas.reduce(0) { count, client in
            guard let link = client.details.replica, link.state == .online else { return count }
            return reactor.monotonicNow - link.acknowledgedAt <= Int64(maximumLagSeconds) * 1000 ? count + 1 : count
        }
    }

    // MARK: WAIT

    func wait(_ c: CommandContext) {
        guard let wanted = c.integer(1) else { return }
        guard let timeout = parseInteger(c[2]) else {
            return c.reply.error("ERR timeout is not an integer or out of range")
        }
        guard timeout >= 0 else { return c.reply.error("ERR timeout is negative") }
        if isReplicaRole {
            return c.reply.error(
                "ERR WAIT cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
            )
        }
        drainStream()
        let target = history.offset
        let reached = replicasThatReached(target)
        if Int64(reached) >= wanted || isExecutingTransaction { return c.reply.integer(reached) }
        let client = c.client
        client.insert(.blocked)
        let waiting = WaitingClient(clientID: client.id, offset: target, wanted: Int(clamping: wanted))
        if timeout > 0 {
            waiting.timer = reactor.schedule(after: timeout) { [unowned self] in endWaiting(waiting) }
        }
        waitingClients.append(waiting)
        sendToReplicas(ByteView("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n"))
    }

    private func replicasThatReached(_ offset: Int64) -> Int {
        replicas.reduce(0) { count, client in
            guard let link = client.details.replica, link.state == .online else { return count }
            return link.acknowledged >= offset ? count + 1 : count
        }
    }

    func serveWaiting() {
        if !logWaiters.isEmpty { serveLogWaiters() }
        for waiting in waitingClients where replicasThatReached(waiting.offset) >= waiting.wanted {
            endWaiting(waiting)
        }
    }

    /// Forgets that a client waits; it gets no reply.
    func dropWaiting(_ client: Client) {
        dropLogWait(client)
        guard let index = waitingClients.firstIndex(where: { $0.clientID == client.id }) else { return }
        let waiting = waitingClients.remove(at: index)
        if let timer = waiting.timer { reactor.cancel(timer) }
    }

    /// Ends a client's WAIT as if its time were over; false when it is in none.
    func endWaiting(of client: Client) -> Bool {
        if endLogWait(of: client) { return true }
        guard let waiting = waitingClients.first(where: { $0.clientID == client.id }) else { return false }
        endWaiting(waiting)
        return true
    }

    private func endWaiting(_ waiting: WaitingClient) {
        guard let index = waitingClients.firstIndex(where: { $0 === waiting }) else { return }
        waitingClients.remove(at: index)
        if let timer = waiting.timer { reactor.cancel(timer) }
        guard let client = clients[waiting.clientID] else { return }
        lateReply(client).integer(replicasThatReached(waiting.offset))
        resume(client)
    }
}

/// A client in WAIT.
final class WaitingClient {
    let clientID: UInt64
    let offset: Int64
    let wanted: Int
    var timer: TimerID?

    init(clientID: UInt64, offset: Int64, wanted: Int) {
        self.clientID = clientID
        self.offset = offset
        self.wanted = wanted
    }
}
