import ByteStorage
import Glibc
import TestSupport
import Testing

@testable import Reactor

@Suite("Connections") struct ConnectionTests {
    @Test("What is sent comes back, over IPv4, IPv6 and a unix socket")
    func echo() throws {
        let harness = try ReactorHarness()
        let v4 = try harness.listenTCP(host: "127.0.0.1")
        let v6 = try harness.listenTCP(host: "::1")
        for socket in [
            try harness.connect(), try #require(RawSocket(port: v4)), try #require(RawSocket(port: v6, isIPv6: true)),
        ] {
            socket.send("hello")
            harness.wait("the echo") {
                socket.pull()
                return socket.text == "hello"
            }
        }
        #expect(harness.handler.accepted.map(\.remoteHost).suffix(2) == ["127.0.0.1", "::1"])
        #expect(harness.handler.accepted.first?.remoteAddress == "/unixsocket:0")
    }

    @Test("Fifty megabytes go both ways through a slow socket")
    func large() throws {
        let harness = try ReactorHarness()
        let socket = try harness.connect()
        let total = 50 << 20
        let piece = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        var sent = 0
        var received = 0
        var isEqual = true
        harness.wait("all of it", seconds: 60) {
            while sent < total {
                let from = sent % piece.count
                let count = socket.send(from == 0 ? piece : Array(piece[from...]))
                sent += count
                if count == 0 { break }
            }
            socket.pull()
            for byte in socket.received {
                isEqual = isEqual && byte == piece[received % piece.count]
                received += 1
            }
            socket.received = []
            return received >= total
        }
        #expect(isEqual && received == sent)
        harness.reactor.turn()
        #expect(harness.handler.accepted.first?.pendingOutput == 0)
    }

    @Test("A paused connection is not read, and goes on with what is there when it is resumed")
    func paused() throws {
        let harness = try ReactorHarness()
        let socket = try harness.connect()
        harness.wait("accepted") { harness.handler.accepted.count == 1 }
        let connection = try #require(harness.handler.accepted.first)
        connection.setReadingPaused(true)
        socket.send("abc")
        for _ in 0..<5 { harness.reactor.turn(blocking: false) }
        socket.pull()
        #expect(socket.received.isEmpty && connection.bytesIn == 0)
        connection.setReadingPaused(false)
        harness.wait("the echo") {
            socket.pull()
            return socket.text == "abc"
        }
        // Input that was left unconsumed is offered again on resuming.
        var offered = 0
        harness.handler.onInput = { connection in
            offered += 1
            if offered == 1 {
                connection.setReadingPaused(true)
            } else {
                connection.consumeInput(connection.input.count)
            }
        }
        socket.send("rest")
        harness.wait("offered") { offered == 1 }
        for _ in 0..<5 { harness.reactor.turn(blocking: false) }
        #expect(offered == 1)
        connection.setReadingPaused(false)
        harness.wait("offered again") { offered == 2 }
    }

    @Test("The end of a paused peer is noticed at once if it is asked for, although bytes before it were not read")
    func endWhilePaused() throws {
        let harness = try ReactorHarness()
        for isAsked in [true, false] {
            harness.handler.closed = []
            let socket = try harness.connect()
            harness.wait("accepted") { harness.handler.accepted.count == 1 }
            let connection = try #require(harness.handler.accepted.first)
            connection.setReadingPaused(true, endsWithPeer: isAsked)
            socket.send("never read")
            for _ in 0..<3 { harness.reactor.turn(blocking: false) }
            socket.finishSending()
            for _ in 0..<5 { harness.reactor.turn(blocking: false) }
            #expect(harness.handler.closed.map(\.reason) == (isAsked ? [.peerClosed] : []))
            if !isAsked {
                connection.setReadingPaused(false)
                harness.wait("the end comes after the bytes") { harness.handler.closed.count == 1 }
                #expect(connection.state.pointee.bytesReceived == 10 || !harness.handler.closed.isEmpty)
            }
        }
    }

    @Test("Closing after the flush sends everything first")
    func closeAfterFlush() throws {
        let harness = try ReactorHarness()
        let socket = try harness.connect()
        harness.handler.onInput = { connection in
            connection.consumeInput(connection.input.count)
            connection.output.append(String(repeating: "z", count: 4 << 20))
            connection.closeAfterFlush()
        }
        socket.send("go")
        harness.wait("all and the end") {
            socket.pull()
            return socket.isClosedByPeer
        }
        #expect(socket.received.count == 4 << 20)
        #expect(harness.handler.closed.count == 1 && harness.reactor.openConnections == 1)
    }

    @Test("A peer that does not read cannot hold a closing connection beyond its deadline")
    func closeDeadline() throws {
        let harness = try ReactorHarness()
        let socket = try harness.connect()
        harness.handler.onInput = { connection in
            connection.consumeInput(connection.input.count)
            connection.output.append(String(repeating: "z", count: 8 << 20))
            connection.closeAfterFlush(withinMilliseconds: 50)
        }
        socket.send("go")
        harness.wait("the deadline", seconds: 2) { harness.handler.closed.count == 1 }
        #expect(harness.handler.closed.first?.reason == .local("timed out while closing"))
    }

    @Test("A reset by the peer is reported once, also while reading is paused")
    func reset() throws {
        let harness = try ReactorHarness()
        let port = try harness.listenTCP(host: "127.0.0.1")
        for isPaused in [false, true] {
            let before = harness.handler.closed.count
            let socket = try #require(RawSocket(port: port))
            harness.wait("accepted") { harness.handler.accepted.count == 1 }
            if isPaused { harness.handler.accepted.first?.setReadingPaused(true) }
            socket.reset()
            harness.wait("closed") { harness.handler.closed.count == before + 1 }
        }
        #expect(harness.reactor.openConnections == 2)
    }

    @Test("A handler may close any connection at any time, itself and its neighbours of the same turn")
    func closingNeighbours() throws {
        let harness = try ReactorHarness()
        let sockets = try (0..<8).map { _ in try harness.connect() }
        harness.wait("accepted") { harness.handler.accepted.count == 8 }
        harness.handler.onInput = { connection in
            connection.output.append("never seen")
            for other in harness.handler.accepted { other.close(.local("all at once")) }
            #expect(!connection.isOpen)
        }
        for socket in sockets { socket.send("x") }
        harness.wait("all are closed") { harness.handler.closed.count == 8 }
        for _ in 0..<3 { harness.reactor.turn(blocking: false) }
        #expect(harness.reactor.openConnections == 1 && harness.handler.closed.count == 8)
    }

    @Test("Two thousand connections come and go without a trace")
    func churn() throws {
        let harness = try ReactorHarness()
        for _ in 0..<20 {
            let sockets = try (0..<100).map { _ in try harness.connect() }
            harness.wait("accepted") { harness.handler.accepted.count == 100 }
            for (index, socket) in sockets.enumerated() where index % 3 == 0 { socket.send("partial") }
            harness.reactor.turn(blocking: false)
            for (index, socket) in sockets.enumerated() {
                if index % 2 == 0 { socket.close() } else { harness.handler.accepted.last?.close(.local("test")) }
            }
            for socket in sockets { socket.close() }
            harness.wait("gone") { harness.handler.accepted.isEmpty }
        }
        #expect(harness.handler.closed.count == 2000 && harness.reactor.openConnections == 1)
        #expect(Set(harness.handler.closed.map(\.id)).count == 2000)
    }

    @Test("A failed connect is reported: refused, unknown name, no answer in time")
    func failedConnects() throws {
        let harness = try ReactorHarness()
        let refused = harness.reactor.connect(host: "127.0.0.1", port: 1, tag: 5)
        let refusedID = refused.id
        harness.wait("refused") { harness.handler.closed.contains { $0.id == refusedID } }
        #expect(harness.handler.closed.last?.reason == .socket(ECONNREFUSED))
        // A listener that accepts nothing more, as its queue is full, gives no answer.
        let unknownID = harness.reactor.connect(host: "no-such-name.invalid", port: 1, tag: 5).id
        harness.wait("unknown", seconds: 20) { harness.handler.closed.contains { $0.id == unknownID } }
        if case .resolution? = harness.handler.closed.last?.reason {} else { Issue.record("not a failed resolution") }
        let silentID = harness.reactor.connect(
            host: "192.0.2.1", port: 1, tag: 5, timeoutMilliseconds: 60
        ).id
        harness.wait("timed out") { harness.handler.closed.contains { $0.id == silentID } }
        #expect(harness.reactor.openConnections == 1)
    }

    @Test("Connecting by a name of several addresses finds the one that listens")
    func severalAddresses() throws {
        let harness = try ReactorHarness()
        for host in ["127.0.0.1", "::1"] {
            let port = try harness.listenTCP(host: host)
            let connection = harness.reactor.connect(host: "localhost", port: port, tag: 7)
            connection.output.append("hi")
            harness.wait("opened, or closed for want of an address of that family") {
                harness.handler.opened.contains { $0.tag == 7 } || !harness.handler.closed.isEmpty
            }
            if host == "127.0.0.1" { #expect(harness.handler.closed.isEmpty) }
            harness.handler.closed = []
        }
    }

    @Test("A connect can be closed while its name is being resolved")
    func closedWhileResolving() throws {
        let harness = try ReactorHarness()
        let connection = harness.reactor.connect(host: "localhost", port: 1, tag: 5)
        connection.close(.local("changed my mind"))
        for _ in 0..<20 { harness.reactor.turn() }
        #expect(harness.handler.closed.count == 1 && harness.reactor.openConnections == 1)
    }

    @Test("Without descriptors nothing is accepted, and nothing is lost: accepting goes on when there are some")
    func outOfDescriptors() throws {
        let harness = try ReactorHarness()
        let socket = try harness.connect()
        var old = rlimit()
        getrlimit(__rlimit_resource_t(7), &old)
        // No room for one more: the lowest free descriptor is beyond the limit.
        let probe = dup(0)
        close(probe)
        var tight = rlimit(rlim_cur: rlim_t(probe), rlim_max: old.rlim_max)
        #expect(setrlimit(__rlimit_resource_t(7), &tight) == 0)
        for _ in 0..<3 { harness.reactor.turn(blocking: false) }
        #expect(harness.handler.accepted.isEmpty)
        setrlimit(__rlimit_resource_t(7), &old)
        socket.send("x")
        harness.wait("accepted later") {
            socket.pull()
            return socket.text == "x"
        }
    }
}

extension Connection {
    var bytesIn: UInt64 { state.pointee.bytesReceived }
}
