import DatabaseReplication
import Glibc
import Reactor
import TestSupport
import Testing

@testable import DatabaseServer

@Suite("A planned stop of a primary") struct HandoverTests {
    /// A server with a replica that is online and a sentinel that listens.
    private func cluster() throws -> (harness: ServerHarness, replica: RawSocket, sentinel: RawSocket) {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let sentinel = try harness.connect()
        _ = harness.ask(sentinel, request("SUBSCRIBE", "__dssm__:handover"))
        return (harness, replica, sentinel)
    }

    private func acknowledge(_ harness: ServerHarness, _ replica: RawSocket) {
        replica.send(request("REPLCONF", "ACK", "\(harness.server.history.offset)"))
    }

    @Test("It asks the sentinels, answers held writes with READONLY when it is demoted, and then ends")
    func handOver() throws {
        let (harness, replica, sentinel) = try cluster()
        let writer = try harness.connect()
        harness.server.shutDown(save: nil)
        writer.send("GET a\r\nSET a 1\r\nSET b 2\r\n")
        harness.wait("the sentinel is asked") {
            sentinel.pull()
            return sentinel.text.hasPrefix("*3\r\n$7\r\nmessage\r\n$17\r\n__dssm__:handover\r\n")
        }
        acknowledge(harness, replica)
        harness.expect(writer, "$-1\r\n")
        #expect(!harness.server.persistence.isEnded)
        // What a sentinel sends to a former primary.
        let leader = try harness.connect()
        leader.send("MULTI\r\nREPLICAOF 127.0.0.1 1\r\nCLIENT KILL TYPE normal\r\nEXEC\r\n")
        let refusal = "-READONLY You can't write against a read only replica.\r\n"
        harness.expect(writer, refusal + refusal)
        harness.wait("the writer is closed") {
            writer.pull()
            return writer.isClosedByPeer
        }
        harness.wait("it ends") { harness.server.persistence.isEnded }
        harness.expect(leader, "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n")
    }

    @Test("Without sentinels it ends when its replicas have everything") func withoutSentinels() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        _ = harness.ask(try harness.connect(), "SET a 1\r\n")
        harness.server.shutDown(save: nil)
        harness.turns(5)
        #expect(!harness.server.persistence.isEnded)
        acknowledge(harness, replica)
        harness.wait("it ends") { harness.server.persistence.isEnded }
    }

    @Test("It does not wait longer than shutdown-timeout, and not at all when it is hurried or NOW")
    func bounds() throws {
        for way in ["timeout", "hurry", "now"] {
            let (harness, _, _) = try cluster()
            harness.server.settings.shutdownTimeoutSeconds = way == "timeout" ? 1 : 1000
            harness.server.shutDown(save: nil, isNow: way == "now")
            if way == "hurry" { harness.server.signalled(SIGTERM) }
            harness.wait("it ends by \(way)", seconds: 5) { harness.server.persistence.isEnded }
        }
    }

    @Test("When its replicas leave for a successor it waits for its own order, but not long") func lonely() throws {
        let (harness, replica, _) = try cluster()
        harness.server.settings.shutdownTimeoutSeconds = 1000
        harness.server.shutDown(save: nil)
        harness.turns(3)
        replica.close()
        harness.wait("the replica is gone") { harness.server.replicas.isEmpty }
        let since = Reactor.monotonicMilliseconds()
        harness.wait("it ends") { harness.server.persistence.isEnded }
        #expect(Reactor.monotonicMilliseconds() - since >= 900)
    }

    @Test("SHUTDOWN ABORT takes it back: the sentinels are told and writes go on") func abort() throws {
        let (harness, _, sentinel) = try cluster()
        let client = try harness.connect()
        #expect(harness.ask(client, "SHUTDOWN ABORT\r\n") == "-ERR No shutdown in progress.\r\n")
        harness.server.shutDown(save: nil)
        let writer = try harness.connect()
        harness.expect(writer, "SET a 1\r\n", gives: "")
        #expect(harness.ask(client, "CLIENT UNPAUSE\r\n") == "+OK\r\n")
        harness.expect(writer, "")
        #expect(harness.ask(client, "SHUTDOWN ABORT\r\n") == "+OK\r\n")
        harness.expect(writer, "+OK\r\n")
        sentinel.pull()
        #expect(sentinel.text.hasSuffix("$1\r\n0\r\n"))
        #expect(!harness.server.isShuttingDown)
    }
}
