import DatabaseEngine
import Reactor
import TestSupport
import Testing

@testable import DatabaseServer

@Suite("Pipelines, blocking and pausing") struct PipelineTests {
    @Test("A protocol error comes after the replies of the valid commands before it, then the connection ends")
    func protocolError() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        client.send("PING\r\nSET a 1\r\n*1\r\n:3\r\nSET a 2\r\n")
        harness.expect(client, "+PONG\r\n+OK\r\n-ERR Protocol error: expected '$', got ':'\r\n")
        #expect(client.isClosedByPeer)
        harness.expect(try harness.connect(), "GET a\r\n", gives: "$1\r\n1\r\n")
    }

    @Test("Commands of one batch see what those before them did to the collection: made, emptied, replaced, expired")
    func collectionsInBatch() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        harness.expect(
            client,
            "HSET h f 1\r\nHGET h f\r\nHDEL h f\r\nHGET h f\r\nHSET h f 2\r\nDEL h\r\nSADD h f\r\nHGET h f\r\nSISMEMBER h f\r\n"
                + "SREM h f\r\nZADD h 1 f\r\nZADD h NX CH 2 f g\r\nZSCORE h f\r\nSET h text\r\nZSCORE h f\r\nHSET i f 1\r\n"
                + "PEXPIRE i 0\r\nHGET i f\r\nSELECT 1\r\nHGET h f\r\nHSET h f other\r\nSELECT 0\r\nGET h\r\n",
            gives:
                ":1\r\n$1\r\n1\r\n:1\r\n$-1\r\n:1\r\n:1\r\n:1\r\n-\(wrongType)\r\n:1\r\n:1\r\n:1\r\n-ERR syntax error\r\n"
                + "$1\r\n1\r\n+OK\r\n-\(wrongType)\r\n:1\r\n:1\r\n$-1\r\n+OK\r\n$-1\r\n:1\r\n+OK\r\n$4\r\ntext\r\n")
    }

    @Test(
        "Within one batch, the first command past the memory limit is refused, and every one after it that takes memory"
    )
    func memoryLimitInBatch() throws {
        let harness = try ServerHarness()
        let limit = harness.server.engine.usedBytes + 20_000
        harness.server.settings.engine.maxMemoryBytes = limit
        harness.server.applySettings()
        let client = try harness.connect()
        client.send(
            (0..<40).map { "SET k\($0) \(String(repeating: "x", count: 1000))\r\n" }.joined() + "DBSIZE\r\nGET k39\r\n")
        let written = 20
        harness.expect(
            client,
            String(repeating: "+OK\r\n", count: written)
                + String(repeating: "-OOM command not allowed when used memory > 'maxmemory'.\r\n", count: 40 - written)
                + ":\(written)\r\n$-1\r\n")
        #expect(harness.server.engine.usedBytes > limit)
        #expect(harness.server.engine.usedBytes <= limit + 1100)
    }

    @Test("Within one batch, keys are evicted as soon as the memory limit is passed")
    func evictionInBatch() throws {
        let harness = try ServerHarness()
        let limit = harness.server.engine.usedBytes + 20_000
        harness.server.settings.engine.maxMemoryBytes = limit
        harness.server.settings.engine.maxMemoryPolicy = .allKeysRandom
        harness.server.applySettings()
        let client = try harness.connect()
        harness.expect(
            client, (0..<60).map { "SET k\($0) \(String(repeating: "x", count: 1000))\r\n" }.joined(),
            gives: String(repeating: "+OK\r\n", count: 60))
        #expect(harness.server.engine.usedBytes <= limit + 1100)
        #expect(harness.server.engine.keyCount(0) < 25)
    }

    private let wrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"

    @Test("QUIT ends a pipeline: nothing after it is executed")
    func quit() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        client.send("SET a 1\r\nQUIT\r\nSET a 2\r\n")
        harness.expect(client, "+OK\r\n+OK\r\n")
        #expect(client.isClosedByPeer)
        harness.expect(try harness.connect(), "GET a\r\n", gives: "$1\r\n1\r\n")
    }

    @Test("RESET in a pipeline drops the transaction, the watches, the subscriptions and the database")
    func reset() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        harness.expect(
            client, "SELECT 3\r\nWATCH k\r\nMULTI\r\nSET a 1\r\nRESET\r\nGET a\r\nEXEC\r\nCLIENT GETNAME\r\n",
            gives: "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n+RESET\r\n$-1\r\n-ERR EXEC without MULTI\r\n$-1\r\n")
        #expect(harness.server.watchers.isEmpty)
    }

    @Test("What a blocked client sent ahead is executed when it is served, though the last command has not come whole")
    func blockedWithPartialRest() throws {
        let harness = try ServerHarness()
        let waiting = try harness.connect()
        let other = try harness.connect()
        waiting.send("BLPOP list 0\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\nxxx")
        harness.expect(waiting, "")
        harness.expect(other, "RPUSH list v\r\n", gives: ":1\r\n")
        harness.expect(waiting, "*2\r\n$4\r\nlist\r\n$1\r\nv\r\n+PONG\r\n")
        waiting.send(String(repeating: "x", count: 99_997) + "\r\n")
        harness.expect(waiting, "+OK\r\n")
        harness.expect(other, "STRLEN k\r\n", gives: ":100000\r\n")
    }

    @Test("A command that CLIENT PAUSE holds is executed once, in order with what follows it")
    func pause() throws {
        let harness = try ServerHarness()
        let held = try harness.connect()
        let other = try harness.connect()
        harness.expect(other, "CLIENT PAUSE 100000 WRITE\r\n", gives: "+OK\r\n")
        held.send("GET n\r\nINCR n\r\nINCR n\r\nPING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$50000\r\nx")
        harness.expect(held, "$-1\r\n")
        harness.expect(other, "GET n\r\nCLIENT UNPAUSE\r\n", gives: "$-1\r\n+OK\r\n")
        harness.expect(held, ":1\r\n:2\r\n+PONG\r\n")
        harness.expect(other, "GET n\r\n", gives: "$1\r\n2\r\n")
    }

    @Test("Nothing expires on its own while clients are paused")
    func pauseStopsExpiry() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        let before = harness.ask(client, "CLIENT PAUSE 100000 WRITE\r\n")
        #expect(before == "+OK\r\n")
        harness.server.endPause()
        harness.expect(client, "SET k v PX 1\r\nCLIENT PAUSE 100000 WRITE\r\n", gives: "+OK\r\n+OK\r\n")
        let start = monotonicMilliseconds()
        harness.wait("time passes") { monotonicMilliseconds() - start > 20 }
        harness.expect(client, "DBSIZE\r\n", gives: ":1\r\n")
        harness.server.endPause()
        harness.wait("the key expires after the pause") { harness.server.engine.keyCount(0) == 0 }
    }

    @Test("A pause skips no reply: CLIENT REPLY SKIP still holds for the command that it delayed")
    func pauseAndSkip() throws {
        let harness = try ServerHarness()
        let held = try harness.connect()
        let other = try harness.connect()
        harness.expect(other, "CLIENT PAUSE 100000 WRITE\r\n", gives: "+OK\r\n")
        held.send("CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n")
        harness.expect(held, "")
        harness.expect(other, "CLIENT UNPAUSE\r\n", gives: "+OK\r\n")
        harness.expect(held, "$1\r\n1\r\n")
    }

    @Test("CLIENT REPLY OFF silences everything, ON ends it, SKIP silences one command")
    func clientReply() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        harness.expect(
            client,
            "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\nCLIENT REPLY OFF\r\nGET a\r\nNOSUCH\r\nCLIENT REPLY SKIP\r\nPING\r\n"
                + "CLIENT REPLY ON\r\nPING\r\nCLIENT REPLY SKIP\r\nCLIENT REPLY SKIP\r\nPING\r\nECHO x\r\n",
            gives: "$1\r\n1\r\n+OK\r\n+PONG\r\n$1\r\nx\r\n")
    }

    @Test("A client with CLIENT REPLY OFF gets no reply from a blocking command either")
    func replyOffBlocked() throws {
        let harness = try ServerHarness()
        let silent = try harness.connect()
        let other = try harness.connect()
        silent.send("CLIENT REPLY OFF\r\nBLPOP list 0\r\n")
        harness.turns(3)
        harness.expect(other, "RPUSH list v\r\nLLEN list\r\n", gives: ":1\r\n:0\r\n")
        silent.send("CLIENT REPLY ON\r\n")
        harness.expect(silent, "+OK\r\n")
    }

    @Test("AUTH lifts the limits for what was pipelined behind it")
    func authenticationInPipeline() throws {
        let harness = try ServerHarness { $0.password = "secret" }
        let client = try harness.connect()
        let large = "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + String(repeating: "x", count: 20_000) + "\r\n"
        let many = request("MSET", "a", "1", "b", "2", "c", "3", "d", "4", "e", "5", "f", "6")
        // In two parts: the second turn sees the long bulk with the limits of the first.
        harness.expect(client, request("AUTH", "secret") + many + large, gives: "+OK\r\n+OK\r\n+OK\r\n")
        let stranger = try harness.connect()
        stranger.send(many)
        harness.expect(stranger, "-ERR Protocol error: unauthenticated multibulk length\r\n")
    }

    @Test("A client killed by another in the same batch executes nothing more")
    func killedInBatch() throws {
        let harness = try ServerHarness()
        let killer = try harness.connect()
        let victim = try harness.connect()
        let id = harness.ask(victim, "CLIENT ID\r\n").filter(\.isNumber)
        killer.send("CLIENT KILL ID \(id)\r\n")
        victim.send("SET a 1\r\nSUBSCRIBE c\r\n")
        harness.expect(killer, ":1\r\n")
        harness.expect(killer, "GET a\r\nPUBLISH c m\r\n", gives: "$-1\r\n:0\r\n")
    }

    @Test("Many clients that block, are served, time out and leave leave nothing behind")
    func blockedChurn() throws {
        let harness = try ServerHarness()
        let other = try harness.connect()
        for round in 0..<20 {
            let waiting = try harness.connect()
            waiting.send("BLPOP a b \(round % 2 == 0 ? "0" : "0.01")\r\n")
            harness.wait("blocked") { harness.server.blocked.count == 1 }
            switch round % 4 {
            case 0: waiting.close()
            case 1: harness.expect(waiting, "*-1\r\n")
            case 2:
                harness.expect(other, "RPUSH b x\r\n", gives: ":1\r\n")
                harness.expect(waiting, "*2\r\n$1\r\nb\r\n$1\r\nx\r\n")
            default:
                let id = harness.server.clients.values.first { $0.details.blocking != nil }?.id ?? 0
                _ = harness.ask(other, "CLIENT UNBLOCK \(id) ERROR\r\n")
            }
            harness.wait("nobody is blocked") { harness.server.blocked.count == 0 }
            waiting.close()
        }
        #expect(harness.server.blocked.byKey.isEmpty)
        harness.wait("all are gone") { harness.server.clients.count == 1 }
        #expect(harness.server.retired.isEmpty)
    }

    @Test("A subscriber that takes nothing is closed by its soft limit though nothing more is sent to it")
    func softLimit() throws {
        let harness = try ServerHarness {
            $0.outputLimits[2].softBytes = 1000
            $0.outputLimits[2].softSeconds = 0
        }
        let slow = try harness.connect()
        let other = try harness.connect()
        harness.expect(slow, "SUBSCRIBE c\r\n", gives: "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
        let message = String(repeating: "m", count: 4 << 20)
        var rest = Array("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$\(message.utf8.count)\r\n\(message)\r\n".utf8)
        harness.wait("the message is delivered") {
            rest.removeFirst(other.send(rest))
            other.pull()
            return other.text == ":1\r\n"
        }
        harness.wait("the subscriber is closed", seconds: 3) { harness.server.clients.count == 1 }
    }

    @Test("MONITOR shows the commands of a transaction, then EXEC")
    func monitorTransaction() throws {
        let harness = try ServerHarness()
        let monitor = try harness.connect()
        let client = try harness.connect()
        harness.expect(monitor, "MONITOR\r\n", gives: "+OK\r\n")
        harness.expect(
            client, "MULTI\r\nSET a 1\r\nEXEC\r\n", gives: "+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
        monitor.pull()
        let shown = monitor.text.split(separator: "\r\n").map { $0.split(separator: "] ", maxSplits: 1).last ?? "" }
        #expect(shown == ["\"MULTI\"", "\"SET\" \"a\" \"1\"", "\"EXEC\""])
    }

    @Test("A watched key that had expired before WATCH does not fail the transaction")
    func watchExpired() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        harness.server.engine.state.pointee.activeExpire = false
        harness.expect(client, "SET k v PX 1\r\n", gives: "+OK\r\n")
        let start = monotonicMilliseconds()
        harness.wait("time passes") { monotonicMilliseconds() - start > 5 }
        harness.expect(
            client, "WATCH k\r\nMULTI\r\nSET a 1\r\nEXEC\r\n", gives: "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n")
    }

    @Test("A watched key that expires before EXEC fails the transaction")
    func watchedExpires() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        harness.expect(
            client, "SET k v PX 2\r\nWATCH k\r\nMULTI\r\nSET a 1\r\n", gives: "+OK\r\n+OK\r\n+OK\r\n+QUEUED\r\n")
        let start = monotonicMilliseconds()
        harness.wait("time passes") { monotonicMilliseconds() - start > 5 }
        harness.expect(client, "EXEC\r\n", gives: "*-1\r\n")
    }
}
