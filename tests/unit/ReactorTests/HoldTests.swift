import ByteStorage
import TestSupport
import Testing

@testable import Reactor

@Suite("Replies that wait") struct HoldTests {
    /// A harness whose turns raise the ticket as a server does that propagates one byte a request.
    private func gated() throws -> (ReactorHarness, RawSocket) {
        let harness = try ReactorHarness()
        harness.handler.onAccepted = { $0.state.pointee.isGated = true }
        let socket = try harness.connect()
        harness.wait("accepted") { harness.handler.accepted.count == 1 }
        return (harness, socket)
    }

    private func settle(_ harness: ReactorHarness, _ socket: RawSocket) -> String {
        for _ in 0..<4 { harness.reactor.turn(blocking: false) }
        socket.pull()
        return socket.text
    }

    @Test("The replies of each turn leave when their ticket is released, in order")
    func tickets() throws {
        let (harness, socket) = try gated()
        for turn in 1...3 {
            harness.handler.onEndTurn = { harness.reactor.turnTicket = UInt64(turn) }
            socket.send("<\(turn)>")
            #expect(settle(harness, socket) == "")
        }
        #expect(harness.reactor.heldConnectionCount == 1)
        harness.reactor.release(upTo: 1)
        #expect(settle(harness, socket) == "<1>")
        harness.reactor.release(upTo: 1)
        #expect(settle(harness, socket) == "<1>")
        harness.reactor.release(upTo: 3)
        #expect(settle(harness, socket) == "<1><2><3>")
        #expect(harness.reactor.heldConnectionCount == 0)
        socket.send("<4>")
        #expect(settle(harness, socket) == "<1><2><3><4>", "nothing new was propagated: nothing waits")
    }

    @Test("A client that never stops sending still gets what is released")
    func busyClient() throws {
        let (harness, socket) = try gated()
        var ticket: UInt64 = 0
        harness.handler.onEndTurn = {
            ticket += 1
            harness.reactor.turnTicket = ticket
        }
        var sent = ""
        for turn in 1...200 {
            socket.send("[\(turn)]")
            sent += "[\(turn)]"
            harness.reactor.turn(blocking: false)
            if ticket > 5 { harness.reactor.release(upTo: ticket - 5) }
            socket.pull()
            #expect(sent.hasPrefix(socket.text))
        }
        #expect(socket.text.contains("[190]") && !socket.text.contains("[199]"))
        harness.reactor.releaseAll()
        harness.handler.onEndTurn = { harness.reactor.turnTicket = 0 }
        harness.wait("the rest") { settle(harness, socket) == sent }
    }

    @Test("Held replies and a slow socket: nothing leaves early, nothing is lost")
    func slowSocket() throws {
        let (harness, socket) = try gated()
        var ticket: UInt64 = 1
        harness.handler.onEndTurn = { harness.reactor.turnTicket = ticket }
        harness.handler.onInput = { connection in
            let letter = connection.input[0]
            connection.consumeInput(connection.input.count)
            connection.output.append([UInt8](repeating: letter, count: 1 << 20))
        }
        socket.send("a")
        for _ in 0..<3 { harness.reactor.turn(blocking: false) }
        // Released, but more than the socket takes: the rest of it stays released when the next reply has to wait.
        harness.reactor.release(upTo: 1)
        for _ in 0..<3 { harness.reactor.turn(blocking: false) }
        ticket = 2
        socket.send("b")
        for _ in 0..<3 { harness.reactor.turn(blocking: false) }
        harness.wait("all of the first reply") {
            socket.pull()
            return socket.received.count >= 1 << 20
        }
        for _ in 0..<5 { harness.reactor.turn(blocking: false) }
        socket.pull()
        #expect(socket.received.count == 1 << 20 && socket.received.allSatisfy { $0 == 97 })
        harness.reactor.release(upTo: 2)
        harness.wait("the second reply") {
            socket.pull()
            return socket.received.count >= 2 << 20
        }
        #expect(socket.received.count == 2 << 20 && socket.received[(1 << 20)...].allSatisfy { $0 == 98 })
    }

    @Test("A connection that is not gated never waits, and closing after the flush waits for the ticket")
    func exceptions() throws {
        let (harness, socket) = try gated()
        harness.handler.onEndTurn = { harness.reactor.turnTicket = 1 }
        harness.handler.accepted.first?.state.pointee.isGated = false
        socket.send("free")
        #expect(settle(harness, socket) == "free")
        harness.handler.accepted.first?.state.pointee.isGated = true
        harness.handler.onInput = { connection in
            connection.output.append("last")
            connection.consumeInput(connection.input.count)
            connection.closeAfterFlush()
        }
        socket.send("x")
        #expect(settle(harness, socket) == "free" && !socket.isClosedByPeer)
        harness.reactor.release(upTo: 1)
        #expect(settle(harness, socket) == "freelast" && socket.isClosedByPeer)
    }

    @Test("A held connection that closes is forgotten")
    func closedWhileHeld() throws {
        let (harness, socket) = try gated()
        harness.handler.onEndTurn = { harness.reactor.turnTicket = 1 }
        socket.send("x")
        _ = settle(harness, socket)
        #expect(harness.reactor.heldConnectionCount == 1)
        socket.close()
        harness.wait("closed") { harness.handler.closed.count == 1 }
        #expect(harness.reactor.heldConnectionCount == 0)
        harness.reactor.release(upTo: 1)
        harness.reactor.turn(blocking: false)
    }
}
