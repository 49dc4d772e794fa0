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

    func endPrimaryLink(_ reason: String) {
        guard let link = primary else { return }
        if let retry = link.retry { reactor.cancel(retry) }
        link.retry = nil
        if case .receivingSnapshot(let receiver) = link.state { discard(receiver) }
        link.state = .idle
        let connection = link.connection
        link.connection = nil
        if let connection, connection.phase != .closed { connection.close(.local(reason)) }
    }

    func discard(_ receiver: SnapshotReceiver) {
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
    func scheduleReconnect(_ link: PrimaryLink) {
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

    func refuse(_ link: PrimaryLink, _ problem: String) {
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

    func becomeConnected(_ link: PrimaryLink) {
        link.state = .connected
        link.failures = 0
        link.isInTransaction = false
        link.needed = 0
        link.scannedOfTransaction = 0
        link.progress = nil
        link.acknowledgedOffset = -1
        if backlog == nil { backlog = ReplicationBacklog(capacity: settings.backlogBytes, endOffset: history.offset) }
        if let connection = link.connection, !connection.input.isEmpty { connection.revisit() }
    }

    // MARK: Acknowledgement and supervision

    /// At the end of a turn: tells the primary how far we are, if that has changed.
    func acknowledgeIfNeeded() {
        guard let link = primary, link.isConnected else { return }
        if link.acknowledgedOffset != history.offset { acknowledge(link) }
    }

    func acknowledge(_ link: PrimaryLink) {
        guard let connection = link.connection, connection.isOpen else { return }
        link.acknowledgedOffset = history.offset
        link.lastAcknowledgement = reactor.monotonicNow
        let writer = ReplyWriter(connection.output)
        let durable = durableReplicationOffset()
        writer.array(durable == nil ? 3 : 5)
        writer.bulk("REPLCONF")
        writer.bulk("ACK")
        writer.bulk(integer: history.offset)
        guard let durable else { return }
        link.reportedDurableOffset = durable
        writer.bulk("FACK")
        writer.bulk(integer: durable)
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
