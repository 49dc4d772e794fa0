import ByteStorage
import Glibc
import TestSupport
import Testing

@testable import Reactor

/// Echoes what comes, and notes what happens.
final class EchoHandler: ReactorHandler {
    unowned let reactor: Reactor
    var accepted: [Connection] = []
    var opened: [Connection] = []
    var closed: [(id: UInt64, reason: CloseReason)] = []
    var pending = 0
    /// What is done with input instead of echoing it.
    var onInput: ((Connection) -> Void)?
    var onAccepted: ((Connection) -> Void)?
    var onEndTurn: (() -> Void)?

    init(_ reactor: Reactor) {
        self.reactor = reactor
        reactor.handler = self
    }

    func accepted(_ connection: Connection) {
        accepted.append(connection)
        onAccepted?(connection)
    }
    func opened(_ connection: Connection) { opened.append(connection) }
    func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready where connection.isOpen && !connection.input.isEmpty {
            if let onInput {
                onInput(connection)
            } else {
                connection.output.append(connection.input)
                connection.consumeInput(connection.input.count)
            }
        }
    }
    func closed(_ connection: Connection, _ reason: CloseReason) {
        closed.append((connection.id, reason))
        accepted.removeAll { $0 == connection }
        opened.removeAll { $0 == connection }
    }
    func outputPending(_ connection: Connection) { pending += 1 }
    func endTurn() { onEndTurn?() }
    func idleMilliseconds() -> Int64? { 10 }
    func signalled(_ number: Int32) {}
}

/// A reactor with an echo service on a unix socket, turned by hand.
final class ReactorHarness {
    let reactor = Reactor()
    let handler: EchoHandler
    let path: String
    let listener: Connection

    init() throws {
        handler = EchoHandler(reactor)
        var template = Array("/tmp/dssm-reactor-XXXXXX".utf8CString)
        path = (mkdtemp(&template).map { String(cString: $0) } ?? "/tmp") + "/socket"
        listener = try reactor.listenUnix(path: path, tag: 0)
    }

    deinit {
        unlink(path)
        rmdir(String(path.dropLast(7)))
    }

    func connect() throws -> RawSocket { try #require(RawSocket(path: path)) }

    func wait(
        _ what: Comment, seconds: Double = 10, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: () -> Bool
    ) {
        let isDone = poll(seconds: seconds, step: { reactor.turn() }, until: condition)
        #expect(isDone, what, sourceLocation: sourceLocation)
    }

    /// Listens on a free port of the tests' range.
    func listenTCP(host: String, tls: TLSContextBox? = nil) throws -> UInt16 {
        for port in UInt16(21_200)...21_999 {
            if (try? reactor.listen(host: host, port: port, tag: 1, tls: tls?.context)) != nil { return port }
        }
        throw SocketError(operation: "bind", code: EADDRINUSE)
    }
}
