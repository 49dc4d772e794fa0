// Connections to the servers, and blocks going out over them.
import ByteStorage
import Compression
import Logging
import Reactor
import TLS
import Telemetry

/// What is known of one server.
final class ServerLink {
    struct InFlight {
        let block: BufferedBlock
        /// Monotonic milliseconds.
        let sentAt: Int64
    }

    let server: ForwarderSettings.Server
    var connection: Connection?
    var session: ForwardSession?
    /// Sent, and not acknowledged yet, oldest first.
    var inFlight: [InFlight] = []
    var deadline: Int64 = .max
    var openedAt: Int64 = 0
    /// Takes no more: it is closed when the last ack has come.
    var isEnding = false
    /// The reason of the last failure that was logged; nil: it works.
    var problem: String?
    var acknowledgedChunks: UInt64 = 0
    /// A host that ends in a dot is a whole name for DNS; hosts files and addresses know it without.
    var usesBareName = false
    var host: String { usesBareName && server.host.hasSuffix(".") ? String(server.host.dropLast()) : server.host }

    init(_ server: ForwarderSettings.Server) { self.server = server }
}

extension ForwarderService {
    /// Output that may wait on a connection before another chunk is put into it.
    private static let pendingLimit = 512 << 10

    // MARK: Connections

    /// Ten times a second: connects what is due, closes what is overdue.
    func manageLinks() {
        let now = Reactor.monotonicMilliseconds()
        for index in pool.due(now: now) { connect(index, now) }
        for index in links.indices {
            let link = links[index]
            guard link.connection != nil else { continue }
            if pool.phase(index) == .connecting, now >= link.deadline {
                failLink(index, "it did not answer within \(settings.handshakeMilliseconds) ms")
            } else if let oldest = link.inFlight.first, now - oldest.sentAt >= settings.ackMilliseconds {
                statistics.ackTimeouts += 1
                failLink(index, "no ack within \(settings.ackMilliseconds) ms")
            } else if settings.keepAliveSeconds > 0,
                now - link.openedAt >= Int64(settings.keepAliveSeconds) * 1000
            {
                link.isEnding = true
                endIfDone(index)
            }
        }
        for index in pool.superfluous {
            links[index].isEnding = true
            endIfDone(index)
        }
        pump()
    }

    /// Files are read again for each connection: changed certificates need no restart. Returns what is wrong, if anything.
    func refreshTLS() -> String? {
        guard let options = settings.tls else { return nil }
        do throws(TLSError) {
            tlsContext = try TLSContext(settings: options.settings, role: .client)
            tlsProblem = nil
            return nil
        } catch {
            return error.message
        }
    }

    private func connect(_ index: Int, _ now: Int64) {
        let link = links[index]
        if let problem = refreshTLS(), problem != tlsProblem {
            tlsProblem = problem
            log.event(.warning, "tls-reload-failed", "The TLS files cannot be used, the old ones stay: \(problem)")
        }
        var serverName: String?
        if let options = settings.tls {
            serverName = options.verifiesName ? (options.serverName.isEmpty ? nil : options.serverName) : ""
        }
        let connection = reactor.connect(
            host: link.host, port: link.server.port, tag: ConnectionTag.server + index << 8,
            tls: settings.tls == nil ? nil : tlsContext, serverName: serverName,
            timeoutMilliseconds: settings.connectMilliseconds)
        link.connection = connection
        link.isEnding = false
        link.deadline = now + settings.connectMilliseconds + settings.handshakeMilliseconds
        link.openedAt = now
        pool.connecting(index)
    }

    func serverOpened(_ connection: Connection) {
        let index = connection.tag >> 8
        guard links.indices.contains(index), links[index].connection == connection else { return }
        let link = links[index]
        connection.setKeepAlive(seconds: settings.heartbeatSeconds)
        var generator = SystemRandomNumberGenerator()
        let salt = String(generator.next(), radix: 16) + "-" + String(generator.next(), radix: 16)
        let session = ForwardSession(credentials: link.server.credentials, salt: salt)
        link.session = session
        link.deadline = Reactor.monotonicMilliseconds() + settings.handshakeMilliseconds
        if session.phase == .ready { becameReady(index) }
    }

    private func becameReady(_ index: Int) {
        pool.becameReady(index)
        links[index].deadline = .max
        if pool.failures(index) == 0 || links[index].problem?.contains("ack") != true {
            log.event(.notice, "server-ready", "Connected to a server", ["server": links[index].server.name])
            links[index].problem = nil
        }
        pump()
    }

    func serverReceived(_ connection: Connection) {
        let index = connection.tag >> 8
        guard links.indices.contains(index), links[index].connection == connection else { return }
        let link = links[index]
        guard var session = link.session else { return }
        let input = connection.input
        var events: [ForwardSession.Event] = []
        let consumed = session.receive(input, output: connection.output) { events.append($0) }
        connection.consumeInput(consumed)
        link.session = session
        for event in events {
            switch event {
            case .ready: becameReady(index)
            case .acknowledged(let chunk): acknowledged(index, chunk)
            case .failed(let reason): return failLink(index, reason)
            }
        }
    }

    private func acknowledged(_ index: Int, _ chunk: String) {
        let link = links[index]
        guard let position = link.inFlight.firstIndex(where: { $0.block.chunkID == chunk }) else {
            log.event(.verbose, "unknown-ack", "An ack of a chunk that is not waited for", ["server": link.server.name])
            return
        }
        let block = link.inFlight.remove(at: position).block
        buffer.acknowledge(block)
        statistics.acknowledgedChunks += 1
        statistics.acknowledgedRecords += UInt64(block.records)
        link.acknowledgedChunks += 1
        pool.acknowledged(index)
        link.problem = nil
        if link.session?.isKeptAlive == false { link.isEnding = true }
        endIfDone(index)
        pump()
        if shutdownDeadline != nil { finishIfDone() }
    }

    /// Closes a connection in good order once nothing is waited for.
    private func endIfDone(_ index: Int) {
        let link = links[index]
        guard link.isEnding, link.inFlight.isEmpty, let connection = link.connection else { return }
        link.connection = nil
        link.session = nil
        pool.closed(index, now: Reactor.monotonicMilliseconds())
        connection.close(.local("replaced"))
    }

    func serverClosed(_ connection: Connection, _ reason: CloseReason) {
        let index = connection.tag >> 8
        guard links.indices.contains(index), links[index].connection == connection else { return }
        if case .resolution = reason { links[index].usesBareName.toggle() }
        linkBroke(index, reason.text)
    }

    private func failLink(_ index: Int, _ reason: String) {
        guard let connection = links[index].connection else { return }
        linkBroke(index, reason)
        connection.close(.local(reason))
    }

    /// What was under way goes out again, over whatever connection comes first.
    private func linkBroke(_ index: Int, _ reason: String) {
        let link = links[index]
        link.connection = nil
        link.session = nil
        returned.insert(contentsOf: link.inFlight.map(\.block), at: 0)
        statistics.repeatedChunks += UInt64(link.inFlight.count)
        link.inFlight = []
        statistics.connectionFailures += 1
        let now = Reactor.monotonicMilliseconds()
        let delay = pool.failed(index, now: now, random: .random(in: 0..<1))
        // The same reason again is news for debugging only: a server may be away for hours.
        log.event(
            link.problem == reason ? .verbose : .warning, "server-failed",
            "A server cannot be used: \(reason)",
            ["server": link.server.name, "retry_milliseconds": "\(delay)"])
        link.problem = reason
    }

    // MARK: Chunks

    /// Sends as much as the servers take.
    func pump() {
        while let index = pool.choose({ canTake($0) }), let connection = links[index].connection {
            guard let block = returned.isEmpty ? buffer.next() : returned.removeFirst() else { return }
            guard let tag = buffer.load(block, into: entries) else { continue }
            do throws(GzipError) {
                try writer.append(
                    tag: tag, entries: entries.view, records: block.records, chunkID: block.chunkID,
                    into: connection.output)
            } catch {
                returned.insert(block, at: 0)
                return failLink(index, "\(error)")
            }
            links[index].inFlight.append(
                ServerLink.InFlight(block: block, sentAt: Reactor.monotonicMilliseconds()))
            statistics.sentChunks += 1
        }
        entries.shrink(to: 2 * settings.chunkBytes)
    }

    private func canTake(_ index: Int) -> Bool {
        let link = links[index]
        guard let connection = link.connection, connection.isOpen, let session = link.session, session.phase == .ready,
            !link.isEnding, link.inFlight.count < (session.isKeptAlive ? settings.window : 1)
        else { return false }
        return connection.pendingOutput < Self.pendingLimit
    }
}
