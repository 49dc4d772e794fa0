import ByteStorage
import DatabaseEngine
import DatabaseReplication
import Glibc
import Reactor
import TestSupport
import Testing

@testable import DatabaseServer

@Suite("Replication stream") struct ReplicationStreamTests {
    @Test("A transaction goes out as SELECT, MULTI, its changes with their databases, EXEC")
    func transaction() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let client = try harness.connect()
        client.send("MULTI\r\nSET a 1\r\nGET a\r\nSELECT 3\r\nSET b 2\r\nEXEC\r\nset c 3\r\n")
        let expected =
            request("SELECT", "0") + request("MULTI") + request("SET", "a", "1") + request("SELECT", "3")
            + request("SET", "b", "2") + request("EXEC") + request("set", "c", "3")
        harness.expect(replica, expected)
        #expect(harness.server.history.offset == Int64(expected.utf8.count))
    }

    @Test("A transaction that changes nothing is not propagated")
    func readOnlyTransaction() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let client = try harness.connect()
        client.send("MULTI\r\nGET a\r\nDEL nothing\r\nEXEC\r\n")
        harness.expect(replica, "")
    }

    @Test("PSYNC in the turn of a write larger than the backlog asks for a full sync instead of trapping")
    func partialSyncBehindLargeWrite() throws {
        let harness = try ServerHarness { $0.backlogBytes = 16 << 10 }
        let first = try harness.connectReplica()
        let writer = try harness.connect()
        let second = try harness.connect()
        let large = Array(request("SET", "k", String(repeating: "x", count: 50_000)).utf8)
        writer.send(Array(large.dropLast()))
        harness.turns(10)
        writer.send([10])
        second.send("PSYNC \(harness.server.history.id) \(harness.server.history.offset + 1)\r\n")
        harness.wait("the write is executed") { harness.server.history.offset > 50_000 }
        harness.turns(3)
        second.pull()
        #expect(second.text.hasPrefix("+FULLRESYNC"))
        first.close()
    }

    @Test("A partial sync in the turn of a small write gets that write once")
    func partialSyncBehindSmallWrite() throws {
        let harness = try ServerHarness()
        let first = try harness.connectReplica()
        let writer = try harness.connect()
        let second = try harness.connect()
        let from = harness.server.history.offset + 1
        writer.send(request("SET", "k", "v"))
        second.send("REPLCONF capa psync2\r\nPSYNC \(harness.server.history.id) \(from)\r\n")
        let stream = request("SELECT", "0") + request("SET", "k", "v")
        harness.expect(second, "+OK\r\n+CONTINUE \(harness.server.history.id)\r\n" + stream)
        harness.expect(first, stream)
    }

    @Test("What was written in the turn of a REPLICAOF counts to the server's own history")
    func writesBeforeDemotion() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let client = try harness.connect()
        client.send("SET a 1\r\nREPLICAOF 127.0.0.1 1\r\n")
        harness.expect(client, "+OK\r\n+OK\r\n")
        replica.pull()
        let stream = request("SELECT", "0") + request("SET", "a", "1")
        #expect(harness.server.history.offset == Int64(stream.utf8.count))
    }

    @Test("A replica's pipelined commands are dropped when its link is closed in the same batch")
    func closedInBatch() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let client = try harness.connect()
        client.send("REPLICAOF 127.0.0.1 1\r\n")
        replica.send("SUBSCRIBE c\r\n")
        harness.expect(client, "+OK\r\n")
        harness.expect(client, "PUBLISH c m\r\n", gives: ":0\r\n")
        harness.wait("the replica is closed") {
            replica.pull()
            return replica.isClosedByPeer
        }
    }

    @Test("RESET is refused on a replica's link")
    func resetOnReplica() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        harness.expect(replica, "RESET\r\n", gives: "-ERR can only reset normal connections\r\n")
        #expect(harness.server.replicas.count == 1)
    }

    @Test("WAIT forgets a client that leaves, ends by CLIENT UNBLOCK, and when the server becomes a replica")
    func waiting() throws {
        let harness = try ServerHarness()
        let other = try harness.connect()
        func blocked() throws -> RawSocket {
            let client = try harness.connect()
            client.send("SET a 1\r\nWAIT 3 0\r\n")
            harness.wait("waits") { harness.server.waitingClients.count == 1 }
            return client
        }
        try blocked().close()
        harness.wait("the one that left is forgotten") { harness.server.waitingClients.isEmpty }
        for (mode, reply) in [
            ("TIMEOUT", ":0\r\n"), ("ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"),
        ] {
            let client = try blocked()
            let id = harness.server.waitingClients.first?.clientID ?? 0
            harness.expect(other, "CLIENT UNBLOCK \(id) \(mode)\r\n", gives: ":1\r\n")
            harness.expect(client, "+OK\r\n\(reply)")
        }
        let client = try blocked()
        harness.expect(other, "REPLICAOF 127.0.0.1 1\r\n", gives: "+OK\r\n")
        let text = harness.ask(client, "")
        #expect(text.contains("-UNBLOCKED force unblock"))
    }

    /// Makes the server the replica of a primary that the test plays, from offset 100 of its own history on.
    private func followed(_ harness: ServerHarness) throws -> RawSocket {
        let listener = try Listener()
        let client = try harness.connect()
        harness.server.history.offset = 100
        let id = harness.server.history.id
        harness.expect(client, "REPLICAOF 127.0.0.1 \(listener.port)\r\n", gives: "+OK\r\n")
        var primary: RawSocket?
        harness.wait("the replica connects") {
            primary = primary ?? listener.accept()
            return primary != nil
        }
        let link = try #require(primary)
        var answered = 0
        harness.wait("PSYNC asks for the history to go on") {
            link.pull()
            let lines = link.text
            for word in ["PING", "listening-port", "psync2"] where answered < 3 && lines.contains(word) {
                if ["PING", "listening-port", "psync2"].firstIndex(of: word) == answered {
                    link.send(answered == 0 ? "+PONG\r\n" : "+OK\r\n")
                    answered += 1
                }
            }
            return lines.contains(request("PSYNC", id, "101"))
        }
        link.send("+CONTINUE\r\n")
        harness.wait("the link is up") { harness.server.primary?.isConnected ?? false }
        return link
    }

    @Test("A replica applies a transaction whole: nothing of it is seen before its EXEC, however the stream is cut")
    func transactionOnReplica() throws {
        let harness = try ServerHarness()
        let link = try followed(harness)
        let transaction = request("MULTI") + request("SET", "a", "1") + request("SET", "b", "2") + request("EXEC")
        let bytes = Array((request("SELECT", "0") + transaction + request("SET", "c", "3")).utf8)
        let end = (request("SELECT", "0") + transaction).utf8.count
        func arrived() -> UInt64 { harness.server.primary?.connection?.state.pointee.bytesReceived ?? 0 }
        for (index, byte) in bytes.enumerated() {
            let before = arrived()
            link.send([byte])
            harness.wait("the byte") { arrived() > before }
            let count = harness.server.engine.keyCount(0)
            #expect(count == (index + 1 < end ? 0 : index + 1 < bytes.count ? 2 : 3), "after \(index + 1) bytes")
        }
        #expect(harness.server.history.offset == 100 + Int64(bytes.count))
        link.received = []
        link.send(request("REPLCONF", "GETACK", "*"))
        let offset = 100 + bytes.count + request("REPLCONF", "GETACK", "*").utf8.count
        harness.wait("the acknowledgement tells the offset") {
            link.pull()
            return link.text.contains(request("REPLCONF", "ACK", String(offset)))
        }
    }

    /// Sends all of it, however little the socket takes at a time.
    private func send(_ link: RawSocket, _ bytes: [UInt8], _ harness: ServerHarness) {
        var position = 0
        harness.wait("all is sent") {
            if position < bytes.count {
                position += link.send(Array(bytes[position..<min(bytes.count, position + 65_536)]))
            }
            return position == bytes.count
        }
    }

    @Test("A transaction without end is applied as it comes once it is longer than client-query-buffer-limit")
    func endlessTransaction() throws {
        let harness = try ServerHarness { $0.queryBufferLimit = 1 << 20 }
        let link = try followed(harness)
        send(link, Array((request("SELECT", "0") + request("MULTI")).utf8), harness)
        let value = String(repeating: "v", count: 1000)
        var sent = 0
        func more(_ count: Int) {
            let commands = (sent..<sent + count).map { request("SET", "key:\($0)", value) }.joined()
            sent += count
            send(link, Array(commands.utf8), harness)
        }
        more(500)
        harness.turns(20)
        #expect(harness.server.engine.keyCount(0) == 0, "it may still end")
        more(1500)
        harness.wait("it is applied without its end") { harness.server.engine.keyCount(0) == 2000 }
        #expect(harness.server.primary?.connection?.input.count ?? 0 < 2000, "nothing is kept")
        send(link, Array((request("EXEC") + request("MULTI") + request("SET", "last", "1")).utf8), harness)
        harness.turns(5)
        #expect(harness.server.engine.keyCount(0) == 2000, "the next one is whole again")
        send(link, Array(request("EXEC").utf8), harness)
        harness.wait("applied") { harness.server.engine.keyCount(0) == 2001 }
        #expect(harness.server.primary?.isConnected ?? false)
    }

    @Test("A primary may send a command of more than a million arguments, alone and within a transaction")
    func longCommands() throws {
        let harness = try ServerHarness()
        let link = try followed(harness)
        func delete(_ key: String, _ count: Int) -> [UInt8] {
            Array("*\(count + 2)\r\n$3\r\nDEL\r\n$1\r\n\(key)\r\n".utf8)
                + Array(String(repeating: "$1\r\nx\r\n", count: count).utf8)
        }
        let bytes =
            Array((request("SELECT", "0") + request("MSET", "a", "1", "b", "1")).utf8) + delete("a", 1_050_000)
            + Array((request("MULTI") + request("SET", "c", "1")).utf8) + delete("b", 100_000)
            + Array(request("EXEC").utf8)
        send(link, bytes, harness)
        harness.wait("all is applied", seconds: 60) { harness.server.history.offset == 100 + Int64(bytes.count) }
        let client = try harness.connect()
        harness.expect(client, "EXISTS a b c\r\nGET c\r\n", gives: ":1\r\n$1\r\n1\r\n")
    }

    @Test("A snapshot for a replica that wants its length first does not count against the output limit")
    func snapshotAndOutputLimit() throws {
        let harness = try ServerHarness {
            $0.outputLimits[1] = OutputLimit(hardBytes: 1 << 20)
            $0.backlogBytes = 64 << 10
        }
        let writer = try harness.connect()
        for number in 0..<8 {
            let value = String(repeating: "0123456789abcdef", count: 32 << 10)
            send(writer, Array(request("SET", "key:\(number)", value).utf8), harness)
        }
        harness.wait("the data is there") { harness.server.engine.keyCount(0) == 8 }
        let replica = try harness.connect()
        replica.send("PSYNC ? -1\r\n")
        harness.wait("the snapshot is on its way") {
            harness.server.replicas.first?.details.replica?.state == .online
        }
        harness.turns(20)
        let client = try #require(harness.server.replicas.first)
        #expect(client.connection.pendingOutput > 2 << 20, "far more than the limit waits")
        harness.server.checkOutputLimit(client)
        #expect(client.connection.isOpen)
        // The stream behind it does count.
        for number in 0..<4 {
            let value = String(repeating: "0123456789abcdef", count: 32 << 10)
            send(writer, Array(request("SET", "more:\(number)", value).utf8), harness)
        }
        harness.wait("it is closed for the stream that it does not take") { harness.server.replicas.isEmpty }
    }
}

/// A listening socket of the loopback interface.
final class Listener {
    private let fd: Int32
    let port: UInt16

    init() throws {
        let fd = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.fd = fd
        var one: Int32 = 1
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, 4)
        var bound: UInt16?
        for candidate in UInt16(21_000)...21_999 where bound == nil {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = candidate.bigEndian
            _ = inet_pton(AF_INET, "127.0.0.1", &address.sin_addr)
            let result = withUnsafePointer(to: address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(fd, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0, listen(fd, 8) == 0 { bound = candidate }
        }
        port = try #require(bound)
        _ = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK)
    }

    deinit { close(fd) }

    func accept() -> RawSocket? {
        let socket = Glibc.accept(fd, nil, nil)
        return socket >= 0 ? RawSocket(fd: socket) : nil
    }
}
