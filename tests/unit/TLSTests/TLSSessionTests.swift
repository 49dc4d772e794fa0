import ByteStorage
import Glibc
import Testing

@testable import TLS

@Suite("TLS sessions in memory") struct TLSSessionTests {
    let folder: TemporaryFolder
    let authority: Authority
    let settings: TLSSettings

    init() throws {
        folder = try TemporaryFolder()
        authority = try Authority()
        settings = folder.settings(authority, try authority.leaf(names: ["localhost", "127.0.0.1"]))
    }

    func wire(
        _ change: (inout TLSSettings) -> Void = { _ in }, client: TLSSettings? = nil, serverName: String? = nil
    ) throws -> Wire {
        var server = settings
        change(&server)
        var other = client ?? settings
        if client == nil { change(&other) }
        return Wire(
            server: try TLSContext(settings: server, role: .server),
            client: try TLSContext(settings: other, role: .client), serverName: serverName)
    }

    @Test("A handshake succeeds however its bytes are cut", arguments: ["TLSv1.2", "TLSv1.3"])
    func everyCut(version: String) throws {
        for piece in [1, 2, 3, 4, 5, 6, 7, 13, 64, 255, 1000, 16384] {
            let wire = try wire { $0.protocols = version }
            wire.run(piece: piece)
            #expect(wire.client.handshake == .done, "pieces of \(piece)")
            #expect(wire.server.handshake == .done, "pieces of \(piece)")
            #expect(wire.client.session.protocolVersion == version)
            #expect(wire.server.session.peerCertificate?.subject == "O=Redis Test, CN=Server")
            #expect(wire.client.session.peerCertificate?.alternativeNames == ["localhost", "127.0.0.1"])
            #expect(!wire.server.session.cipherName.isEmpty)
        }
    }

    @Test("Each first flight may be cut at any one place")
    func everySplitOfAFlight() throws {
        let server = try TLSContext(settings: settings, role: .server)
        let client = try TLSContext(settings: settings, role: .client)
        var cut = 0
        var longest = 1
        while cut < longest {
            let wire = Wire(server: server, client: client)
            wire.client.receive([])
            let hello = wire.client.takeOutput()
            wire.server.receive([UInt8](hello.prefix(cut)))
            wire.server.receive([UInt8](hello.dropFirst(cut)))
            let answer = wire.server.takeOutput()
            longest = max(hello.count, answer.count)
            wire.client.receive([UInt8](answer.prefix(cut)))
            wire.client.receive([UInt8](answer.dropFirst(cut)))
            wire.run()
            #expect(wire.client.handshake == .done && wire.server.handshake == .done, "cut at \(cut)")
            cut += 3
        }
    }

    @Test("Data that follows the handshake in the same bytes is not lost")
    func earlyData() throws {
        let wire = try wire()
        wire.client.receive([])
        wire.server.receive(wire.client.takeOutput())
        wire.client.receive(wire.server.takeOutput())
        #expect(wire.client.handshake == .done)
        var expected: [UInt8] = []
        for index in 0..<40 {
            let command = [UInt8](repeating: UInt8(index), count: 1000)
            expected += command
            #expect(wire.client.send(command))
        }
        wire.server.receive(wire.client.takeOutput())
        #expect(wire.server.handshake == .done)
        #expect(wire.server.takePlaintext() == expected)
    }

    @Test("Large data arrives whole in both directions, whatever the cut", arguments: ["TLSv1.2", "TLSv1.3"])
    func largeData(version: String) throws {
        let wire = try wire { $0.protocols = version }
        wire.run()
        var generator = SystemRandomNumberGenerator()
        let up = (0..<300_000).map { _ in UInt8(truncatingIfNeeded: generator.next() as UInt32) }
        let down = [UInt8](up.reversed()) + up
        for piece in [999, 16384, 100_000, Int.max] {
            #expect(wire.client.send(up) && wire.server.send(down))
            wire.run(piece: piece)
            #expect(wire.server.takePlaintext() == up, "pieces of \(piece)")
            #expect(wire.client.takePlaintext() == down, "pieces of \(piece)")
        }
    }

    @Test("Reading stops at its limit and goes on later without loss")
    func limit() throws {
        let wire = try wire()
        wire.run()
        let data = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        #expect(data.allSatisfy { wire.client.send([$0]) || true })
        var received: [UInt8] = []
        let cipher = wire.client.takeOutput()
        let session = wire.server.session
        let plaintext = wire.server.plaintext
        cipher.withView { view in
            #expect(session.read(cipher: view.base, count: view.count, into: plaintext, limit: 700) == .ok)
            while true {
                #expect(plaintext.count <= 700)
                received += wire.server.takePlaintext()
                guard session.hasPendingInput else { break }
                #expect(session.read(cipher: view.base, count: 0, into: plaintext, limit: 700) == .ok)
            }
        }
        #expect(received == data)
    }

    @Test("A closing peer is told apart from a failing one")
    func closing() throws {
        let wire = try wire()
        wire.run()
        #expect(wire.client.send(Array("last words".utf8)))
        wire.client.session.shutdown(output: wire.client.output)
        wire.run()
        #expect(wire.server.reading == .closed)
        #expect(wire.server.takePlaintext() == Array("last words".utf8))
        #expect(!wire.client.send([1]))

        let other = try self.wire()
        other.run()
        #expect(other.client.send(Array("genuine".utf8)))
        var forged = other.client.takeOutput()
        forged[forged.count - 1] ^= 1
        other.server.receive(forged)
        #expect(other.server.failure == "decryption failed or bad record mac")
        #expect(!other.server.send([1]))
        // The alert waits for the shutdown, and tells the other end.
        other.server.session.shutdown(output: other.server.output)
        other.run()
        #expect(other.client.failure == "the peer refused: bad record mac")
    }

    @Test("A damaged handshake fails or waits, and never traps")
    func damagedHandshake() throws {
        let server = try TLSContext(settings: settings, role: .server)
        let client = try TLSContext(settings: settings, role: .client)
        var refused = 0
        for position in stride(from: 0, to: 2000, by: 7) {
            let wire = Wire(server: server, client: client)
            wire.client.receive([])
            var hello = wire.client.takeOutput()
            if position < hello.count { hello[position] ^= 0x55 }
            wire.server.receive(hello)
            var answer = wire.server.takeOutput()
            if position < answer.count { answer[position] ^= 0x55 }
            wire.client.receive(answer)
            #expect(wire.client.handshake != .done || position >= answer.count, "position \(position)")
            if wire.server.failure != nil || wire.client.failure != nil { refused += 1 }
        }
        #expect(refused > 50)
    }

    @Test("Garbage after the handshake fails and never traps", arguments: 0..<64)
    func garbage(seed: UInt64) throws {
        let wire = try wire()
        wire.run()
        var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
        let bytes = (0..<4096).map { _ in
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 40)
        }
        wire.server.receive(bytes)
        #expect(wire.server.reading != .closed, "seed \(seed)")
        #expect(wire.server.takePlaintext().isEmpty)
    }

    @Test("Session caching resumes a TLS 1.3 session only when tickets are asked for")
    func noTickets() throws {
        let wire = try wire { $0.protocols = "TLSv1.3" }
        wire.client.receive([])
        wire.server.receive(wire.client.takeOutput())
        wire.client.receive(wire.server.takeOutput())
        wire.server.receive(wire.client.takeOutput())
        #expect(wire.server.handshake == .done && wire.server.takeOutput().isEmpty)

        let asking = try self.wire { $0.sessionTickets = 1 }
        asking.client.receive([])
        asking.server.receive(asking.client.takeOutput())
        asking.client.receive(asking.server.takeOutput())
        asking.server.receive(asking.client.takeOutput())
        #expect(!asking.server.takeOutput().isEmpty)
    }

    @Test("A session may do its handshake on another thread")
    func otherThread() throws {
        let server = try TLSContext(settings: settings, role: .server)
        let client = try TLSContext(settings: settings, role: .client)
        final class Job: @unchecked Sendable {
            // @unchecked Sendable: used by one thread at a time; pthread_create and pthread_join order the accesses.
            let wire: Wire
            init(_ wire: Wire) { self.wire = wire }
        }
        let jobs = (0..<4).map { _ in Job(Wire(server: server, client: client)) }
        let threads = jobs.map { job in
            var thread = pthread_t()
            let argument = Unmanaged.passUnretained(job).toOpaque()
            #expect(
                pthread_create(
                    &thread, nil,
                    { argument in
                        if let argument { Unmanaged<Job>.fromOpaque(argument).takeUnretainedValue().wire.run() }
                        return nil
                    }, argument) == 0)
            return thread
        }
        for thread in threads { pthread_join(thread, nil) }
        for job in jobs {
            #expect(job.wire.server.handshake == .done)
            #expect(job.wire.client.send([1, 2, 3]))
            job.wire.run()
            #expect(job.wire.server.takePlaintext() == [1, 2, 3])
        }
    }
}
