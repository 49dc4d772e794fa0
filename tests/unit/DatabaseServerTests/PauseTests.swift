import DatabaseReplication
import Glibc
import Reactor
import TestSupport
import Testing

@testable import DatabaseServer

@Suite("A pause of writes") struct PauseTests {
    @Test("A read of an expired key neither shows nor deletes it, and nothing is propagated until the pause is over")
    func lazyExpiry() throws {
        let harness = try ServerHarness()
        let replica = try harness.connectReplica()
        let client = try harness.connect()
        harness.expect(client, "SET short 1 PX 30\r\nCLIENT PAUSE 60000 WRITE\r\n", gives: "+OK\r\n+OK\r\n")
        harness.turns(2)
        let offset = harness.server.history.offset
        harness.wait("the key is expired") { harness.ask(client, "GET short\r\n") == "$-1\r\n" }
        #expect(harness.ask(client, "EXISTS short\r\n") == ":0\r\n")
        #expect(harness.ask(client, "RANDOMKEY\r\n") == "$-1\r\n")
        #expect(harness.ask(client, "DBSIZE\r\n") == ":1\r\n")
        harness.turns(3)
        #expect(harness.server.history.offset == offset)
        #expect(harness.ask(client, "CLIENT UNPAUSE\r\n") == "+OK\r\n")
        harness.wait("the deletion is propagated") {
            replica.pull()
            return replica.text.hasSuffix(request("DEL", "short"))
        }
    }

    @Test("Sentinels' hello messages are delivered in a pause and not propagated; other messages wait") func messages()
        throws
    {
        let harness = try ServerHarness()
        _ = try harness.connectReplica()
        let listener = try harness.connect()
        _ = harness.ask(listener, request("SUBSCRIBE", "__sentinel__:hello", "other"))
        let sentinel = try harness.connect()
        #expect(harness.ask(sentinel, "CLIENT PAUSE 60000 WRITE\r\n") == "+OK\r\n")
        let offset = harness.server.history.offset
        harness.expect(
            sentinel, "PUBLISH __sentinel__:hello a\r\nPING\r\nPUBLISH other b\r\nPING\r\n", gives: ":1\r\n+PONG\r\n")
        harness.expect(listener, "*3\r\n$7\r\nmessage\r\n$18\r\n__sentinel__:hello\r\n$1\r\na\r\n")
        #expect(harness.server.history.offset == offset)
        #expect(harness.ask(try harness.connect(), "CLIENT UNPAUSE\r\n") == "+OK\r\n")
        harness.expect(sentinel, ":1\r\n+PONG\r\n")
    }

    @Test("A read does not evict while writes wait")
    func eviction() throws {
        let harness = try ServerHarness()
        _ = try harness.connectReplica()
        let client = try harness.connect()
        for number in 0..<50 { _ = harness.ask(client, "SET key:\(number) \(String(repeating: "x", count: 500))\r\n") }
        harness.expect(
            client,
            "CONFIG SET maxmemory-policy allkeys-lru\r\nCLIENT PAUSE 60000 WRITE\r\nCONFIG SET maxmemory 10000\r\n",
            gives: "+OK\r\n+OK\r\n+OK\r\n")
        let offset = harness.server.history.offset
        #expect(harness.ask(client, "DBSIZE\r\n") == ":50\r\n")
        harness.turns(3)
        #expect(harness.server.history.offset == offset)
    }
}
