import ByteStorage
import Foundation
import RESP
import SentinelCore
import ServerConfiguration
import Synchronization
import Testing

@testable import SentinelServer

@Suite("A running sentinel")
struct ServerTests {
    private func text(_ value: ReplyValue?) -> String {
        switch value {
        case .error(let text): "-" + text
        case .simple(let text): "+" + text
        case .some(let other): other.text ?? "\(other)"
        case nil: "nothing"
        }
    }

    @Test("Replies come in the order of the commands, whoever answers them")
    func order() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        client.send(
            "SET a 1\r\nPING\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nSENTINEL MYID\r\nGET a\r\nROLE\r\nGET missing\r\nPING last\r\n"
        )
        #expect(text(client.receive()) == "+OK")
        #expect(text(client.receive()) == "+PONG")
        #expect(text(client.receive()) == "1")
        #expect(text(client.receive()).utf8.count == 40)
        #expect(text(client.receive()) == "1")
        #expect(client.receive()?.elements?.first?.text == "sentinel")
        #expect(client.receive() == .null)
        #expect(text(client.receive()) == "last")
    }

    @Test("A long command in small pieces is forwarded whole, between short ones") func longCommand() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        let words = ["LONG"] + (0..<20_000).map { "word\($0)" }
        let long = "*\(words.count)\r\n" + words.map { "$\($0.utf8.count)\r\n\($0)\r\n" }.joined()
        let bytes = Array(("SET a 1\r\n" + long + "GET a\r\n").utf8)
        for start in stride(from: 0, to: bytes.count, by: 1777) {
            client.send(String(decoding: bytes[start..<min(bytes.count, start + 1777)], as: UTF8.self))
        }
        #expect(text(client.receive()) == "+OK")
        #expect(client.receive() != nil)
        #expect(text(client.receive()) == "1")
        #expect(primary.log.contains(words.joined(separator: " ")))
    }

    @Test("Two hundred clients with pipelines of fifty get their own values back")
    func manyClients() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let clients = try (0..<200).map { _ in try sentinel.client() }
        for (number, client) in clients.enumerated() {
            client.send((0..<25).map { "SET k\(number) \(number)-\($0)\r\nGET k\(number)\r\n" }.joined())
        }
        for (number, client) in clients.enumerated() {
            for round in 0..<25 {
                guard text(client.receive()) == "+OK", text(client.receive()) == "\(number)-\(round)" else {
                    Issue.record("client \(number), round \(round)")
                    return
                }
            }
        }
    }

    @Test("A transaction has a link of its own, others go on, and the link is used again afterwards")
    func transaction() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        let other = try sentinel.client()
        #expect(text(client.ask("MULTI")) == "+OK")
        #expect(text(client.ask("SET x 5")) == "+QUEUED")
        #expect(text(other.ask("SET y 6")) == "+OK")
        #expect(text(client.ask("GET x")) == "+QUEUED")
        #expect(client.ask("EXEC") == .array([.simple("OK"), .bulk(Array("5".utf8))]))
        #expect(text(client.ask("GET y")) == "6")
        let connections = primary.state.withLock { $0.connections }
        for _ in 0..<20 {
            #expect(text(other.ask("MULTI")) == "+OK")
            #expect(other.ask("EXEC") == .array([]))
        }
        #expect(primary.state.withLock { $0.connections } == connections)
    }

    @Test("A blocking command does not hold up anybody else")
    func blocking() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let blocked = try (0..<10).map { _ in try sentinel.client() }
        for client in blocked { client.send("BLPOP q 0\r\n") }
        try #require(eventually { primary.log.filter { $0.hasPrefix("BLPOP") }.count == 10 })
        let client = try sentinel.client()
        for number in 0..<20 { #expect(text(client.ask("SET k \(number)")) == "+OK") }
    }

    @Test("When a link breaks, a write that was sent is an error and is not repeated, a read is repeated")
    func brokenLink() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port, ["forward-links 1"])
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        #expect(text(client.ask("SET boom there")) == "+OK")
        primary.breakNext(1)
        #expect(text(client.ask("GET boom")) == "there")
        #expect(primary.log.filter { $0 == "GET boom" }.count == 2)
        primary.breakNext(1)
        #expect(text(client.ask("BOOM")) == "-" + SentinelServer.uncertain)
        #expect(primary.log.filter { $0 == "BOOM" }.count == 1)
        #expect(text(client.ask("GET boom")) == "there")
        primary.breakNext(1)
        client.send("GET boom\r\nBOOM\r\nGET boom\r\nPING\r\n")
        #expect(text(client.receive()) == "there")
        #expect(text(client.receive()) == "-" + SentinelServer.uncertain)
        #expect(text(client.receive()) == "there")
        #expect(text(client.receive()) == "+PONG")
    }

    @Test("What a db refuses because it is a replica by now is sent again until there is a primary")
    func readOnly() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        primary.state.withLock { $0.isPrimary = false }
        client.send("SET a 1\r\nSET a 2\r\nPING\r\nSET a 3\r\n")
        try #require(eventually { primary.log.filter { $0 == "SET a 1" }.count > 1 })
        primary.state.withLock { $0.isPrimary = true }
        #expect(text(client.receive()) == "+OK")
        #expect(text(client.receive()) == "+OK")
        #expect(text(client.receive()) == "+PONG")
        #expect(text(client.receive()) == "+OK")
        #expect(primary.state.withLock { $0.values["a"] } == "3")
    }

    @Test("A client whose transaction died with the link is closed after an error")
    func brokenTransaction() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        try #require(try sentinel.awaitPrimary())
        let client = try sentinel.client()
        #expect(text(client.ask("MULTI")) == "+OK")
        primary.breakNext(1)
        #expect(text(client.ask("BOOM")) == "-" + SentinelServer.uncertain)
        #expect(client.receive() == nil)
    }

    @Test("Without a primary commands wait, and are refused after the time limit; the sentinel's own go on")
    func noPrimary() throws {
        let primary = try FakePrimary(port: freePort())
        let port = primary.port
        let sentinel = try RunningSentinel(primaryPort: port, ["forward-timeout 700"])
        defer { sentinel.stop() }
        try #require(try sentinel.awaitPrimary())
        primary.stop()
        let client = try sentinel.client()
        try #require(
            eventually {
                text(client.ask("INFO sentinel")).contains("status=")
                    && !text(client.ask("INFO sentinel")).contains("status=ok")
            })
        let before = Date()
        #expect(text(client.ask("SET a 1")) == "-" + SentinelServer.noPrimary)
        #expect(Date().timeIntervalSince(before) > 0.5)
        let after = Date()
        #expect(text(client.ask("SET a 1")) == "-" + SentinelServer.noPrimary)
        #expect(Date().timeIntervalSince(after) < 0.5)
        // It comes back while a command waits.
        let waiting = try sentinel.client()
        waiting.send("SET a 2\r\n")
        let again = try FakePrimary(port: port)
        defer { again.stop() }
        let answer = text(waiting.receive())
        #expect(answer == "+OK" || answer == "-" + SentinelServer.noPrimary)
        #expect(eventually { text(client.ask("SET a 3")) == "+OK" })
    }

    @Test("Passwords: the sentinel's own guards everything, the primary's guards forwarding")
    func authentication() throws {
        let primary = try FakePrimary(port: freePort())
        let guarded = try RunningSentinel(primaryPort: primary.port, ["requirepass open"])
        let open = try RunningSentinel(primaryPort: primary.port, ["sentinel auth-pass dssm sesame"])
        defer {
            guarded.stop()
            open.stop()
            primary.stop()
        }
        let first = try guarded.client()
        #expect(text(first.ask("PING")) == "-NOAUTH Authentication required.")
        #expect(text(first.ask("AUTH wrong")).hasPrefix("-WRONGPASS"))
        #expect(text(first.ask("HELLO 3")).hasPrefix("-NOAUTH"))
        #expect(text(first.ask("AUTH open")) == "+OK")
        #expect(text(first.ask("PING")) == "+PONG")
        let second = try open.client()
        #expect(text(second.ask("PING")) == "+PONG")
        #expect(text(second.ask("GET a")) == "-NOAUTH Authentication required.")
        #expect(text(second.ask("AUTH sesame")) == "+OK")
        #expect(eventually { text(second.ask("SET a 1")) == "+OK" })
    }

    @Test("HELLO 3 answers with a map, and SENTINEL's replies are maps then")
    func resp3() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        let client = try sentinel.client()
        guard case .array(let flat) = client.ask("SENTINEL MASTER dssm") else {
            Issue.record("not an array in RESP2")
            return
        }
        guard case .map(let hello) = client.ask("HELLO 3"), case .map(let fields) = client.ask("SENTINEL MASTER dssm")
        else {
            Issue.record("not a map in RESP3")
            return
        }
        #expect(hello.contains { $0.key.text == "mode" && $0.value.text == "sentinel" })
        #expect(fields.count * 2 == flat.count)
        #expect(client.ask("SENTINEL GET-MASTER-ADDR-BY-NAME nope") == .null)
        #expect(text(client.ask("HELLO 9")) == "-NOPROTO unsupported protocol version")
    }

    @Test("Subscribers get events, and a RESP2 subscriber may send nothing else")
    func subscription() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        let client = try sentinel.client()
        let operatorClient = try sentinel.client()
        #expect(client.ask("SUBSCRIBE +set")?.elements?[2] == .integer(1))
        #expect(client.ask("PSUBSCRIBE -mon*")?.elements?[2] == .integer(2))
        #expect(text(client.ask("GET a")).hasPrefix("-ERR Can't execute 'get': only (P|S)SUBSCRIBE"))
        #expect(client.ask("PING")?.elements?.first?.text == "pong")
        #expect(text(operatorClient.ask("SENTINEL SET dssm parallel-syncs 3")) == "+OK")
        let message = client.receive()?.elements
        #expect(message?.first?.text == "message" && message?[1].text == "+set")
        #expect(text(operatorClient.ask("SENTINEL REMOVE dssm")) == "+OK")
        #expect(client.receive()?.elements?.first?.text == "pmessage")
        #expect(client.ask("UNSUBSCRIBE")?.elements?[2] == .integer(1))
        #expect(client.ask("PUNSUBSCRIBE")?.elements?[2] == .integer(0))
        #expect(text(client.ask("PING")) == "+PONG")
    }

    @Test("Hostile input gets an error or a close, and the server goes on")
    func hostile() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        for bytes in [
            "*1\r\n$-5\r\n", "*99999999999\r\n", "*1\r\n+x\r\n", "\"unbalanced\r\n",
            "*2\r\n$8\r\nSENTINEL\r\n$0\r\n\r\n",
            "*-7\r\nPING\r\n", "\0\0\0\0\r\n", "*3\r\n$7\r\nPUBLISH\r\n$18\r\n__sentinel__:hello\r\n$3\r\n,,,\r\n",
            "SENTINEL is-master-down-by-addr x -1 99999999999999999999 *\r\n", "SENTINEL SET dssm\r\n",
            "CLIENT KILL\r\n",
            "HELLO 3 AUTH\r\n", "SENTINEL RESET [\r\n",
        ] {
            let client = try sentinel.client()
            client.send(bytes)
            client.send("QUIT\r\n")
            while client.receive() != nil {}
        }
        let client = try sentinel.client()
        #expect(text(client.ask("PING")) == "+PONG")
        #expect(text(client.ask("SUBSCRIBE")) == "-ERR wrong number of arguments for 'subscribe' command")
        #expect(text(client.ask("MONITOR")).hasPrefix("-ERR"))
    }

    @Test("The settings file keeps what a person wrote and remembers what the sentinel learnt")
    func settingsFile() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        let client = try sentinel.client()
        let id = text(client.ask("SENTINEL MYID"))
        #expect(text(client.ask("SENTINEL SET dssm parallel-syncs 7")) == "+OK")
        #expect(eventually { sentinel.savedText.contains("sentinel parallel-syncs dssm 7") })
        let saved = sentinel.savedText
        #expect(saved.hasPrefix("# written by a person\nport \(sentinel.port)\n"))
        #expect(saved.contains("sentinel myid \(id)"))
        #expect(text(client.ask("SENTINEL REMOVE dssm")) == "+OK")
        #expect(eventually { !sentinel.savedText.contains("dssm") })
    }

    @Test("Health, readiness and metrics are served over HTTP")
    func metrics() throws {
        let primary = try FakePrimary(port: freePort())
        let sentinel = try RunningSentinel(primaryPort: primary.port)
        defer {
            sentinel.stop()
            primary.stop()
        }
        for (path, expected) in [
            ("/healthz", "200 OK"), ("/readyz", "200 OK"), ("/nothing", "404"),
            ("/metrics", "dssm_sentinel_primary_ok{name=\"dssm\"}"),
        ] {
            let client = try TestClient(port: sentinel.metricsPort)
            client.send("GET \(path) HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            #expect(client.receiveText(atLeast: .max).contains(expected), "\(path)")
        }
    }

    @Test("A port in use and a file that cannot be written keep it from starting, with one line that says so")
    func cannotStart() throws {
        let primary = try FakePrimary(port: freePort())
        defer { primary.stop() }
        let error = #expect(throws: StartError.self) {
            _ = try RunningSentinel(primaryPort: primary.port, ["port \(primary.port)"])
        }
        #expect(error?.description.contains("Address already in use") == true)
    }
}

@Suite("Settings and small parts of the sentinel server")
struct SettingsTests {
    @Test(
        "A wrong directive is named with file and line",
        arguments: [
            ("nonsense 1", "x.conf:2: 'nonsense': unknown directive"),
            ("port 70000", "x.conf:2: 'port': argument must be between 0 and 65535 inclusive"),
            ("sentinel quorum", "x.conf:2: sentinel quorum: unknown directive"),
            ("sentinel monitor a 10.0.0.1 6379 x", "x.conf:2: sentinel monitor: 'x' is not a number from 1 to 1000"),
            (
                "daemonize yes",
                "x.conf:2: 'daemonize': only 'no' is supported: leave the background to the service manager"
            ),
        ])
    func wrong(line: String, expected: String) throws {
        let directives = try ConfigurationText.parse(Array("port 1\n\(line)\n".utf8), file: "x.conf")
        let error = #expect(throws: ConfigurationError.self) { try SentinelSettings(directives) }
        #expect(error?.description == expected)
    }

    @Test("A file that stock Redis Sentinel has rewritten is read")
    func stockFile() throws {
        let text = """
            port 27001
            dir "/tmp"
            sentinel monitor mm 127.0.0.1 7001 2
            # Generated by CONFIG REWRITE
            latency-tracking-info-percentiles 50 99 99.9
            protected-mode no
            user default on nopass ~* &* +@all
            sentinel myid 7d0c787e05f16b8916c1dbf947a034368501216d
            sentinel config-epoch mm 0
            sentinel leader-epoch mm 0
            sentinel current-epoch 0
            sentinel known-replica mm 127.0.0.1 7002
            sentinel known-sentinel mm 127.0.0.1 27002 07aeb5da620861a18c65760236f647a7142825c1
            """
        let settings = try SentinelSettings(try ConfigurationText.parse(Array(text.utf8), file: "x.conf"))
        #expect(settings.port == 27001)
        #expect(settings.sentinel.primaries.first?.sentinels.count == 1)
    }

    @Test("Reply slots give replies back in order, whatever the order in which they come")
    func slots() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            var slots = ReplySlots()
            let numbers = (0..<50).map { _ in slots.append() }
            var received: [UInt8] = []
            for number in numbers.shuffled(using: &generator) {
                slots.fill(number, [UInt8(number - numbers[0])])
                while let first = slots.first {
                    received += first
                    slots.removeFirst()
                }
            }
            #expect(received == (0..<50).map { UInt8($0) })
            #expect(slots.isEmpty && slots.bufferedBytes == 0)
        }
    }

    @Test("Names of commands are found in any case, and long ones are none")
    func names() {
        #expect(Array("SeNtInEl".utf8).withView { CommandName($0) } == "sentinel")
        #expect(Array("ZREVRANGEBYSCORE".utf8).withView { CommandName($0) } == "zrevrangebyscore")
        #expect(Array("averyveryverylongname".utf8).withView { CommandName($0) } == nil)
        #expect(OwnCommand.byName.count == OwnCommand.allCases.count)
        #expect(ForwardKind.byName["blpop"] == .blocking)
        #expect(ForwardKind.byName["set"] == nil)
    }

    @Test("Secrets are compared as a whole")
    func secrets() {
        for (left, right, isSame) in [
            ("a", "a", true), ("a", "b", false), ("", "", true), ("", "a", false), ("a", "", false), ("aa", "a", false),
            ("a", "aa", false), ("abc", "abd", false),
        ] {
            #expect(isSameSecret(left, right) == isSame, "\(left) \(right)")
        }
    }
}
