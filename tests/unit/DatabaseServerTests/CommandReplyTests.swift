import TestSupport
import Testing

@testable import DatabaseServer

/// Replies in which this server once differed from Redis 7.
@Suite("Replies as Redis gives them") struct CommandReplyTests {
    @Test("A flush or a swap fails the watches of keys that are there, and of no others")
    func flushAndWatch() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        func transaction(_ setUp: String, _ change: String) -> String {
            String(harness.ask(client, "\(setUp)\r\n\(change)\r\nMULTI\r\nPING\r\nEXEC\r\n").suffix(while: "\r\n"))
        }
        for change in ["FLUSHALL", "FLUSHDB", "SWAPDB 0 1"] {
            _ = harness.ask(client, "FLUSHALL\r\n")
            #expect(transaction("WATCH none", change) == "+PONG", "\(change)")
            #expect(transaction("SET k v\r\nWATCH k", change) == "*-1", "\(change)")
        }
        _ = harness.ask(client, "FLUSHALL\r\nSELECT 1\r\nSET k v\r\nSELECT 0\r\n")
        #expect(transaction("WATCH k", "SWAPDB 0 1") == "*-1", "the key appears")
        _ = harness.ask(client, "FLUSHALL\r\nSELECT 1\r\nSET k v\r\nSELECT 0\r\n")
        #expect(transaction("WATCH k", "FLUSHDB") == "+PONG", "the key is in another database")
    }

    @Test("The same holds for flushes of other clients, and WATCH survives the swap of other databases")
    func flushByOthers() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        let other = try harness.connect()
        harness.expect(client, "SET k v\r\nWATCH k\r\n", gives: "+OK\r\n+OK\r\n")
        harness.expect(other, "SWAPDB 2 3\r\nSWAPDB 0 99\r\n", gives: "+OK\r\n-ERR DB index is out of range\r\n")
        harness.expect(client, "MULTI\r\nPING\r\nEXEC\r\n", gives: "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n")
        harness.expect(client, "WATCH k\r\n", gives: "+OK\r\n")
        harness.expect(other, "FLUSHALL\r\n", gives: "+OK\r\n")
        harness.expect(client, "MULTI\r\nPING\r\nEXEC\r\n", gives: "+OK\r\n+QUEUED\r\n*-1\r\n")
    }

    @Test("Without memory a transaction takes no commands, and EXEC fails only if it would need some")
    func outOfMemory() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        let refusal = "-OOM command not allowed when used memory > 'maxmemory'.\r\n"
        harness.expect(
            client, "SET k v\r\nMULTI\r\nSET a 1\r\n", gives: "+OK\r\n+OK\r\n+QUEUED\r\n")
        let other = try harness.connect()
        harness.expect(
            other, "MULTI\r\nGET k\r\nCONFIG SET maxmemory 1\r\nEXEC\r\n",
            gives: "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\nv\r\n+OK\r\n")
        harness.expect(client, "EXEC\r\n", gives: refusal)
        harness.expect(other, "MULTI\r\nGET k\r\nDISCARD\r\nGET k\r\n", gives: "+OK\r\n\(refusal)+OK\r\n$1\r\nv\r\n")
    }

    @Test("Refusals have Redis's words")
    func refusals() throws {
        let harness = try ServerHarness()
        let client = try harness.connect()
        let cases = [
            ("CLIENT SETNAME", "-ERR wrong number of arguments for 'client|setname' command"),
            ("CLIENT ID x", "-ERR wrong number of arguments for 'client|id' command"),
            ("CLIENT FOO", "-ERR unknown subcommand 'FOO'. Try CLIENT HELP."),
            ("CONFIG RESETSTAT x", "-ERR wrong number of arguments for 'config|resetstat' command"),
            ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command"),
            ("OBJECT FOO x", "-ERR unknown subcommand 'FOO'. Try OBJECT HELP."),
            ("PUBSUB NUMPAT x", "-ERR wrong number of arguments for 'pubsub|numpat' command"),
            ("SELECT abc", "-ERR value is not an integer or out of range"),
            ("MOVE k 99", "-ERR DB index is out of range"),
            ("SLOWLOG GET abc", "-ERR count should be greater than or equal to -1"),
            ("BRPOPLPUSH nothing x 0.01", "*-1"), ("BLMOVE nothing x LEFT LEFT 0.01", "*-1"),
        ]
        for (command, reply) in cases { harness.expect(client, "\(command)\r\n", gives: "\(reply)\r\n") }
        harness.expect(client, "COMMAND INFO nosuch\r\n", gives: "*1\r\n$-1\r\n")
        harness.expect(
            client, "MULTI\r\nBRPOPLPUSH nothing x 0\r\nBLPOP nothing 0\r\nEXEC\r\n",
            gives: "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n*-1\r\n")
    }
}

extension String {
    /// What follows the last `separator` but one: the last line of replies.
    fileprivate func suffix(while separator: String) -> String {
        split(separator: separator).last.map(String.init) ?? ""
    }
}
