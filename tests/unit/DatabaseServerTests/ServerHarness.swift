import DatabaseEngine
import DatabaseReplication
import Glibc
import Reactor
import Telemetry
import TestSupport
import Testing

@testable import DatabaseServer

/// A real server in this thread, on a unix socket, turned by hand.
final class ServerHarness {
    let server: Server
    let folder: String
    private let path: String
    private var clients: [RawSocket] = []

    init(_ adjust: (inout ServerSettings) -> Void = { _ in }) throws {
        var template = Array("/tmp/dssm-server-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
        path = "\(folder)/socket"
        var settings = ServerSettings()
        settings.port = 0
        settings.unixSocket = path
        settings.directory = folder
        settings.saveRules = []
        adjust(&settings)
        let sink = LogSink(service: "test", role: .primary, level: .warning, format: .text)
        _ = sink.open(file: "\(folder)/log")
        server = Server(settings: settings, log: ServerLog(sink))
        try server.start()
    }

    deinit {
        for client in clients { client.close() }
        turns(3)
        for name in ["socket", "log"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    func turn() {
        server.reactor.turn(blocking: false)
        server.reactor.runWorkAfterTurn()
    }

    func turns(_ count: Int) { for _ in 0..<count { turn() } }

    func connect() throws -> RawSocket {
        let socket = try #require(RawSocket(path: path))
        clients.append(socket)
        turns(2)
        return socket
    }

    /// Turns until `condition` holds.
    func wait(
        _ what: Comment, seconds: Double = 10, sourceLocation: SourceLocation = #_sourceLocation,
        until condition: () -> Bool
    ) {
        let isDone = poll(seconds: seconds, step: { turn() }, until: condition)
        #expect(isDone, what, sourceLocation: sourceLocation)
    }

    /// Expects exactly `reply` to arrive, and nothing after it in some more turns.
    func expect(
        _ client: RawSocket, _ reply: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        _ = poll(
            seconds: 5,
            step: {
                turn()
                client.pull()
            }, until: { client.received.count >= reply.utf8.count || client.isClosedByPeer })
        turns(3)
        client.pull()
        #expect(client.text.debugDescription == reply.debugDescription, sourceLocation: sourceLocation)
        client.received = []
    }

    /// Sends and expects exactly one reply text.
    func expect(
        _ client: RawSocket, _ request: String, gives reply: String, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        client.send(request)
        expect(client, reply, sourceLocation: sourceLocation)
    }

    /// Sends, and returns what has come when a reply that ends a line is there.
    func ask(_ client: RawSocket, _ request: String) -> String {
        client.send(request)
        _ = poll(
            seconds: 5,
            step: {
                turn()
                client.pull()
            }, until: { client.received.last == 10 || client.isClosedByPeer })
        turns(3)
        client.pull()
        defer { client.received = [] }
        return client.text
    }

    /// A client that has become a replica by a full sync; what it received so far is dropped.
    func connectReplica() throws -> RawSocket {
        let socket = try connect()
        socket.send("REPLCONF capa eof capa psync2\r\nPSYNC ? -1\r\n")
        wait("the snapshot is sent") {
            socket.pull()
            return server.replicas.contains { $0.details.replica?.state == .settling }
        }
        socket.send("REPLCONF ACK \(server.history.offset)\r\n")
        wait("the replica is online") {
            socket.pull()
            return server.replicas.allSatisfy { $0.details.replica?.state == .online }
        }
        turns(2)
        socket.pull()
        socket.received = []
        return socket
    }
}

func request(_ words: String...) -> String {
    "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
}
