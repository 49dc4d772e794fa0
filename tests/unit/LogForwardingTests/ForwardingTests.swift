import ByteStorage
import Compression
import TLS
import Testing

@testable import LogForwarding

@Suite struct ForwardSessionTests {
    static let nonce: [UInt8] = [0, 0xff, 7, 0xc3, 0x28] + Array("nonce".utf8)
    static let authenticationSalt: [UInt8] = [9, 0xfe, 1]

    func credentials() -> ForwardSession.Credentials {
        var credentials = ForwardSession.Credentials()
        credentials.sharedKey = Array("key".utf8)
        credentials.user = "user"
        credentials.password = Array("password".utf8)
        credentials.hostname = "client"
        return credentials
    }

    func helo(binary: Bool, authenticated: Bool = true) -> [UInt8] {
        packed { output in
            func raw(_ bytes: [UInt8]) {
                if binary { output.packBinaryHeader(bytes.count) } else { output.packStringHeader(bytes.count) }
                output.append(bytes)
            }
            output.packArrayHeader(2)
            output.packString("HELO")
            output.packMapHeader(3)
            output.packString("nonce")
            raw(Self.nonce)
            output.packString("auth")
            raw(authenticated ? Self.authenticationSalt : [])
            output.packString("keepalive")
            output.pack(true)
        }
    }

    func pong(_ isGood: Bool, digest: String, reason: String = "") -> [UInt8] {
        packed { output in
            output.packArrayHeader(5)
            output.packString("PONG")
            output.pack(isGood)
            output.packString(reason)
            output.packString("server")
            output.packString(digest)
        }
    }

    func serverDigest(salt: String) -> String {
        SHA512.hexadecimal(Array(salt.utf8) + Array("server".utf8) + Self.nonce + Array("key".utf8)) ?? ""
    }

    /// Feeds pieces as a connection would, and gives events and output.
    func run(_ session: inout ForwardSession, _ pieces: [[UInt8]]) -> (events: [ForwardSession.Event], sent: [UInt8]) {
        var events: [ForwardSession.Event] = []
        let output = OutputBuffer.create()
        defer { output.destroy() }
        var input: [UInt8] = []
        for piece in pieces {
            input += piece
            let consumed = input.withView { session.receive($0, output: output) { events.append($0) } }
            input.removeFirst(consumed)
        }
        return (events, output.view.array)
    }

    @Test(
        "The handshake is answered by the protocol's digests, nonce as str or bin, wherever the input is cut",
        arguments: [true, false])
    func handshake(binary: Bool) throws {
        let bytes = helo(binary: binary) + pong(true, digest: serverDigest(salt: "salt"))
        for cut in 0...bytes.count {
            var session = ForwardSession(credentials: credentials(), salt: "salt")
            let result = run(&session, [Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(result.events == [.ready])
            #expect(session.phase == .ready)
            let ping = try values(result.sent)
            let key = Array("salt".utf8) + Array("client".utf8) + Self.nonce + Array("key".utf8)
            let password = Self.authenticationSalt + Array("user".utf8) + Array("password".utf8)
            let digests = [SHA512.hexadecimal(key) ?? "", SHA512.hexadecimal(password) ?? ""]
            let texts = ["PING", "client", "salt", digests[0], "user", digests[1]]
            #expect(ping == [.array(texts.map { .string(Array($0.utf8)) })])
        }
    }

    @Test("A refusal, a server without the key, and a server that wants a user are failures that say so")
    func refusals() {
        func reason(_ pieces: [[UInt8]], _ change: (inout ForwardSession.Credentials) -> Void = { _ in }) -> String {
            var credentials = credentials()
            change(&credentials)
            var session = ForwardSession(credentials: credentials, salt: "salt")
            guard case .failed(let reason)? = run(&session, pieces).events.last else { return "" }
            return reason
        }
        let helo = helo(binary: true)
        let refusal = reason([helo, pong(false, digest: "", reason: "nope")])
        #expect(refusal.contains("refused the shared key") && refusal.contains("nope"))
        #expect(reason([helo, pong(true, digest: serverDigest(salt: "other"))]).contains("does not know"))
        #expect(reason([helo, pong(true, digest: "")]).contains("does not know"))
        #expect(reason([helo]) { $0.user = "" }.contains("asks for a user"))
        #expect(reason([pong(true, digest: "")]).contains("else than HELO"))
        #expect(reason([[0xc1]]).contains("no MessagePack"))
        #expect(reason([helo]) { $0.sharedKey = nil }.contains("asks for a shared key"))
    }

    @Test("Acks come through wherever they are cut; other maps are ignored")
    func acks() {
        var credentials = credentials()
        credentials.sharedKey = nil
        let bytes =
            packed { output in
                for text in ["one==", "two=="] {
                    output.packMapHeader(1)
                    output.packString("ack")
                    output.packString(text)
                }
                output.packMapHeader(0)
            }
        for cut in 0...bytes.count {
            var session = ForwardSession(credentials: credentials, salt: "s")
            #expect(session.phase == .ready)
            let result = run(&session, [Array(bytes[..<cut]), Array(bytes[cut...])])
            #expect(result.events == [.acknowledged("one=="), .acknowledged("two==")])
        }
    }

    @Test("A server that sends without end is given up")
    func endless() {
        var session = ForwardSession(credentials: credentials(), salt: "s")
        let result = run(&session, [[0xdc, 0xff, 0xff]] + (0..<80).map { _ in [UInt8](repeating: 1, count: 1000) })
        #expect(session.phase == .failed)
        #expect(result.events.count == 1)
    }

    @Test("Random input never traps")
    func randomInput() {
        let seed = UInt64.random(in: 1 ... .max)
        print("seed \(seed)")
        var random = TestRandom(seed)
        let good = helo(binary: true) + pong(true, digest: serverDigest(salt: "s"))
        for _ in 0..<5000 {
            var bytes = good
            for _ in 0..<3 {
                bytes[Int(random.next() >> 8) % bytes.count] = UInt8(truncatingIfNeeded: random.next() >> 9)
            }
            var session = ForwardSession(credentials: credentials(), salt: "s")
            _ = run(&session, [bytes])
        }
    }

    @Test("The three modes carry the same entries, with size and chunk", arguments: MessageMode.allCases)
    func messages(mode: MessageMode) throws {
        let writer = try ForwardMessageWriter(mode: mode)
        defer { writer.destroy() }
        let entries = packed { output in
            for number in 0..<3 {
                output.packArrayHeader(2)
                output.pack(EventTime(seconds: 5, nanoseconds: 6))
                output.packMapHeader(1)
                output.packString("n")
                output.pack(Int64(number))
            }
        }
        let bytes = try packedThrowing { output in
            try entries.withView { try writer.append(tag: "t", entries: $0, records: 3, chunkID: "id", into: output) }
        }
        guard case .array(let items) = try values(bytes)[0] else {
            Issue.record("no array")
            return
        }
        #expect(items[0].text == "t")
        #expect(items[2]["size"] == .integer(3))
        #expect(items[2]["chunk"]?.text == "id")
        #expect(items[2]["compressed"]?.text == (mode == .compressed ? "gzip" : nil))
        switch mode {
        case .forward: #expect(items[1] == .array(try values(entries)))
        case .packed: #expect(items[1] == .binary(entries))
        case .compressed:
            let content = try #require(items[1].bytes)
            let unpacked = try content.withView { view in try Gzip.decompress(view, limit: 1000) }
            #expect(unpacked == entries)
        }
    }

    func packedThrowing(_ body: (OutputBuffer) throws -> Void) throws -> [UInt8] {
        let output = OutputBuffer.create()
        defer { output.destroy() }
        try body(output)
        return output.view.array
    }
}

@Suite struct ServerPoolTests {
    func pool(_ members: [(weight: Int, isStandby: Bool)]) -> ServerPool {
        ServerPool(members.map { .init(weight: $0.weight, isStandby: $0.isStandby) }, retry: .init())
    }

    @Test("Chunks are shared by weight, evenly in time")
    func weights() {
        var pool = pool([(3, false), (1, false)])
        pool.becameReady(0)
        pool.becameReady(1)
        let chosen = (0..<8).compactMap { _ in pool.choose { _ in true } }
        #expect(chosen == [0, 0, 1, 0, 0, 0, 1, 0])
        #expect(pool.choose { $0 == 1 } == 1)
        #expect(pool.choose { _ in false } == nil)
    }

    @Test("Standby servers are for when all others have failed")
    func standby() {
        var pool = pool([(1, false), (1, false), (1, true)])
        #expect(pool.due(now: 0) == [0, 1])
        pool.connecting(0)
        pool.connecting(1)
        _ = pool.failed(0, now: 0, random: 0)
        #expect(pool.due(now: 0) == [])
        _ = pool.failed(1, now: 0, random: 0)
        #expect(pool.due(now: 0) == [2])
        pool.becameReady(2)
        #expect(pool.choose { _ in true } == 2)
        #expect(pool.superfluous == [])
        #expect(pool.due(now: 250) == [0, 1])
        pool.becameReady(0)
        #expect(pool.choose { _ in true } == 0)
        #expect(pool.superfluous == [2])
    }

    @Test("Delays double up to the limit, are spread by half, and only an ack resets them")
    func delays() {
        var pool = pool([(1, false)])
        let spread = (0..<10).map { _ in pool.failed(0, now: 0, random: 0.999_999) }
        #expect(spread.map { ($0 + 499) / 500 } == [1, 2, 4, 8, 16, 32, 64, 120, 120, 120])
        pool.becameReady(0)
        #expect(pool.failed(0, now: 0, random: 0) == 30_000)
        pool.becameReady(0)
        pool.acknowledged(0)
        #expect(pool.failed(0, now: 100, random: 0) == 250)
        #expect(pool.due(now: 349) == [])
        #expect(pool.due(now: 350) == [0])
    }
}
