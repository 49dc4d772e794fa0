// Between the state machine and the world: its actions performed, its links, its timer, its file.

import ByteStorage
import CLinux
import RESP
import Reactor
import SentinelCore
import ServerConfiguration
import Telemetry

/// A connection that the state machine asked for.
final class PeerLink {
    let id: LinkID
    let target: LinkTarget
    let connection: Connection
    var parser = ReplyParser(maximumBytes: PeerLink.maximumReplyBytes)
    /// Commands without a reply, oldest first.
    var pending: [RequestID] = []

    /// INFO of a db with very many replicas stays far below this.
    static let maximumReplyBytes = 4 << 20

    init(id: LinkID, target: LinkTarget, connection: Connection) {
        self.id = id
        self.target = target
        self.connection = connection
    }
}

extension SentinelServer {
    /// Gives an event to the state machine and does what it says.
    func handle(_ event: Event) { perform(machine.handle(event, now: Reactor.monotonicMilliseconds())) }

    func perform(_ actions: [Action]) {
        for action in actions {
            switch action {
            case .connect(let id, let target): connect(id, target)
            case .disconnect(let id):
                guard let link = links.removeValue(forKey: id) else { continue }
                linksByConnection[link.connection.id] = nil
                link.connection.close(.local("given up"))
            case .send(let id, let request, let command): send(command, request, on: id)
            case .respond(let requester, let reply): respond(requester, reply)
            case .emit(let event): emit(event)
            case .persist(let version, let directives): persist(version, directives)
            case .resolve(let host): resolve(host)
            case .setTimer(let time): setTimer(time)
            case .runScript(let id, let words, let limit): runScript(id, words, limit)
            case .crash(let text):
                log.event(.warning, "simulated-crash", text)
                sink.finish()
                _exit(99)
            }
        }
        forwardingTargetMayHaveChanged()
    }

    private func setTimer(_ time: Milliseconds) {
        if let timer { reactor.cancel(timer) }
        timer = reactor.schedule(after: time - Reactor.monotonicMilliseconds()) { [unowned self] in
            timer = nil
            handle(.timer)
        }
    }

    private func emit(_ event: SentinelEvent) {
        statistics.eventCounts[event.type, default: 0] += 1
        statistics.lastEvent = (event.type, event.payload)
        let level: LogLevel =
            switch event.level {
            case .debug: .debug
            case .verbose: .verbose
            case .notice: .notice
            case .warning: .warning
            }
        sink.log(level, event: event.type, "\(event.type) \(event.payload)")
        if event.isPublished { publish(event.type, event.payload) }
    }

    // MARK: Links

    private func connect(_ id: LinkID, _ target: LinkTarget) {
        guard (1...65535).contains(target.endpoint.port) else { return }
        let connection = reactor.connect(
            host: target.endpoint.host, port: UInt16(target.endpoint.port), tag: ConnectionTag.peer,
            tls: settings.tlsReplication ? tlsClientContext : nil)
        let link = PeerLink(id: id, target: target, connection: connection)
        links[id] = link
        linksByConnection[connection.id] = link
    }

    func peerOpened(_ connection: Connection) {
        guard let link = linksByConnection[connection.id] else { return }
        connection.setKeepAlive(seconds: settings.tcpKeepAliveSeconds)
        let host = link.target.endpoint.host
        if !isNumericAddress(host), let address = Self.peerAddress(of: connection) {
            handle(.resolved(host: host, address: address))
        }
        handle(.linkConnected(link.id, localHost: connection.localHost))
    }

    func peerReceived(_ connection: Connection) {
        guard let link = linksByConnection[connection.id] else { return }
        while connection.isOpen {
            switch link.parser.parse(connection.input) {
            case .incomplete: return
            case .failed(let error): return connection.close(.local("protocol error: \(error.text)"))
            case .value(let value, let length):
                connection.consumeInput(length)
                received(value, on: link)
            }
        }
    }

    private func received(_ value: ReplyValue, on link: PeerLink) {
        if link.target.kind == .pubSub, let parts = value.elements, parts.count == 3, parts[0].text == "message",
            let channel = parts[1].text, let payload = parts[2].text
        {
            return handle(.message(link.id, channel: channel, payload: payload))
        }
        guard !link.pending.isEmpty else { return }
        let request = link.pending.removeFirst()
        handle(.reply(link.id, request, Self.reply(value)))
    }

    func peerClosed(_ connection: Connection, _ reason: CloseReason) {
        guard let link = linksByConnection.removeValue(forKey: connection.id) else { return }
        links[link.id] = nil
        if case .tls(let text) = reason {
            statistics.tlsFailures += 1
            log.event(.warning, "tls-failure", "TLS with \(link.target.endpoint) failed: \(text)")
        } else {
            log.event(.debug, "link-lost", "Link to \(link.target.endpoint) lost: \(reason.text)")
        }
        handle(.linkFailed(link.id, Self.failure(reason)))
    }

    private func send(_ command: Command, _ request: RequestID, on id: LinkID) {
        guard let link = links[id], link.connection.isOpen else { return }
        let words = machine.words(of: command, on: id)
        let writer = ReplyWriter(link.connection.output)
        writer.array(words.count)
        for word in words { writer.bulk(word) }
        link.pending.append(request)
    }

    private static func failure(_ reason: CloseReason) -> LinkFailure {
        switch reason {
        case .peerClosed: .closed
        case .local(let text): text.hasPrefix("timed out") ? .timedOut : .protocolError
        case .tls: .handshake
        case .resolution: .unresolved
        case .socket(ECONNREFUSED): .refused
        case .socket(EHOSTUNREACH), .socket(ENETUNREACH), .socket(EHOSTDOWN): .unreachable
        case .socket(ETIMEDOUT): .timedOut
        case .socket: .reset
        }
    }

    static func reply(_ value: ReplyValue) -> Reply {
        switch value {
        case .simple(let text): .simple(text)
        case .error(let text): .error(text)
        case .integer(let number): .integer(number)
        case .bulk(let bytes), .verbatim(_, let bytes): .bulk(String(decoding: bytes, as: UTF8.self))
        case .array(let elements), .set(let elements), .push(let elements): .array(elements.map(reply))
        case .map(let pairs): .map(pairs.flatMap { [reply($0.key), reply($0.value)] })
        case .double(let number): .bulk("\(number)")
        case .boolean(let flag): .integer(flag ? 1 : 0)
        case .bigNumber(let text): .bulk(text)
        case .null: .null
        }
    }

    /// The numeric address of the other end.
    private static func peerAddress(of connection: Connection) -> String? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let isKnown = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                cl_getpeername(connection.fileDescriptor, address, &length) == 0
                    && getnameinfo(address, length, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST) == 0
            }
        }
        guard isKnown else { return nil }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    // MARK: Names

    private func resolve(_ host: String) {
        reactor.resolve(host, 0) { [weak self] answer in
            self?.handle(.resolved(host: host, address: try? answer.get().first?.hostText))
        }
    }

    // MARK: Answers

    func respond(_ requester: RequesterID, _ reply: Reply) {
        guard let answer = requesters.removeValue(forKey: requester), let client = clients[answer.client] else {
            return
        }
        fill(client, answer.slot) { Self.write(reply, $0) }
    }

    static func write(_ reply: Reply, _ writer: ReplyWriter) {
        switch reply {
        case .simple(let text): writer.simple(text)
        case .error(let text): writer.error(text)
        case .integer(let number): writer.integer(number)
        case .bulk(let text): writer.bulk(text)
        case .null: writer.null()
        case .nullArray: writer.nullArray()
        case .array(let elements):
            writer.array(elements.count)
            for element in elements { write(element, writer) }
        case .map(let elements):
            writer.map(elements.count / 2)
            for element in elements { write(element, writer) }
        }
    }
}

/// @unchecked Sendable: travels through a worker and back; the server is used on the loop's thread only.
final class WeakServer: @unchecked Sendable {
    private(set) weak var server: SentinelServer?
    init(_ server: SentinelServer) { self.server = server }
}
