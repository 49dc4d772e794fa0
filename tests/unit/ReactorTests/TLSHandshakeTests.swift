import ByteStorage
import Glibc
import TLS
import TestSupport
import Testing

@testable import Reactor

/// Contexts for both ends, with files of their own that live as long as they.
final class TLSContextBox {
    let context: TLSContext
    let client: TLSContext
    private let folder: String

    init() throws {
        var template = Array("/tmp/dssm-tls-XXXXXX".utf8CString)
        folder = mkdtemp(&template).map { String(cString: $0) } ?? "/tmp"
        let key = try PrivateKey.generate(.ecdsaP256)
        let now = Int64(time(nil))
        func form(_ kind: CertificateTemplate.Kind, _ name: String) -> CertificateTemplate {
            CertificateTemplate(
                kind: kind, subject: [("O", "Redis Test"), ("CN", name)], notBefore: now - 60, notAfter: now + 3600)
        }
        let authority = try Certificate.issue(form(.plainAuthority, "Certificate Authority"), key: key)
        let leafKey = try PrivateKey.generate(.ecdsaP256)
        let leaf = try Certificate.issue(form(.leaf, "Server"), key: leafKey, issuer: (authority, key))
        var settings = TLSSettings()
        settings.caFile = TLSContextBox.write("\(folder)/ca.crt", authority.pem())
        settings.certificateFile = TLSContextBox.write("\(folder)/cert.crt", leaf.pem())
        settings.keyFile = TLSContextBox.write("\(folder)/key.key", leafKey.pem())
        context = try TLSContext(settings: settings, role: .server)
        client = try TLSContext(settings: settings, role: .client)
    }

    deinit {
        for name in ["ca.crt", "cert.crt", "key.key"] { unlink("\(folder)/\(name)") }
        rmdir(folder)
    }

    private static func write(_ path: String, _ bytes: [UInt8]) -> String {
        let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        bytes.withUnsafeBytes { _ = Glibc.write(file, $0.baseAddress, $0.count) }
        close(file)
        return path
    }
}

/// The client's end of a TLS connection, over a raw socket.
private final class TLSClient {
    let session: TLSSession
    let socket: RawSocket
    let output = OutputBuffer.create()
    let plain = OutputBuffer.create()
    var isDone = false
    var failure: String?

    init(_ context: TLSContext, _ socket: RawSocket) {
        session = TLSSession.create(context: context, role: .client, serverName: nil)
        self.socket = socket
    }

    deinit {
        session.destroy()
        output.destroy()
        plain.destroy()
    }

    /// One step of the handshake or of reading; `early` is sent in the same segment as the Finished.
    func step(early: String? = nil) {
        socket.pull()
        let bytes = socket.received
        socket.received = []
        bytes.withView { view in
            if !isDone {
                switch session.handshake(input: view.base, inputCount: view.count, output: output) {
                case .done:
                    isDone = true
                    if let early { write(early) }
                    _ = session.read(cipher: view.base, count: 0, into: plain)
                case .needMore: break
                case .failed(let reason): failure = reason
                }
            } else if view.count > 0 {
                _ = session.read(cipher: view.base, count: view.count, into: plain)
            }
        }
        if !output.isEmpty { output.consume(socket.send(output.view.array)) }
    }

    func write(_ text: String) {
        _ = Array(text.utf8).withView { session.write(plain: $0.base, count: $0.count, cipher: output) }
    }
}

@Suite("TLS handshakes on the worker") struct TLSHandshakeTests {
    @Test("A command in the same segment as the end of the handshake is answered")
    func earlyCommand() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        let client = TLSClient(box.client, try #require(RawSocket(port: port)))
        harness.wait("the echo") {
            client.step(early: "first command")
            return client.plain.view.string == "first command" || client.failure != nil
        }
        #expect(client.failure == nil && harness.handler.opened.isEmpty == false)
        client.write("second")
        harness.wait("the second echo") {
            client.step()
            return client.plain.view.string == "first commandsecond"
        }
    }

    @Test("Twenty megabytes survive encryption and a slow socket")
    func large() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        let client = TLSClient(box.client, try #require(RawSocket(port: port)))
        harness.handler.onInput = { connection in
            connection.consumeInput(connection.input.count)
            connection.output.append([UInt8](repeating: 120, count: 20 << 20))
        }
        harness.wait("all", seconds: 60) {
            client.step(early: "go")
            return client.plain.count >= 20 << 20 || client.failure != nil
        }
        #expect(client.plain.count == 20 << 20 && client.failure == nil)
    }

    @Test("Clients that leave during the handshake, at any point of it, leave nothing behind")
    func leaving() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        for steps in 0..<6 {
            for isReset in [false, true] {
                let client = TLSClient(box.client, try #require(RawSocket(port: port)))
                for _ in 0..<steps {
                    client.step()
                    harness.reactor.turn(blocking: false)
                }
                if isReset { client.socket.reset() } else { client.socket.close() }
                for _ in 0..<3 { harness.reactor.turn(blocking: false) }
            }
        }
        harness.wait("only the listeners are left") { harness.reactor.openConnections == 2 }
        #expect(harness.handler.closed.count == 12)
    }

    @Test("The service may close a connection while its handshake is with the worker")
    func closedByService() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        for _ in 0..<10 {
            let client = TLSClient(box.client, try #require(RawSocket(port: port)))
            client.step()
            var isWithWorker = false
            harness.wait("with the worker") {
                isWithWorker = harness.handler.accepted.first?.state.pointee.isWithWorker ?? false
                return isWithWorker
            }
            harness.handler.accepted.first?.close(.local("refused"))
            for _ in 0..<3 { harness.reactor.turn() }
        }
        harness.wait("all are buried") { harness.reactor.openConnections == 2 && harness.handler.closed.count == 10 }
    }

    @Test("A peer that speaks no TLS is closed with the reason, one that says nothing after a time")
    func strangers() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        harness.reactor.handshakeMilliseconds = 100
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        let plain = try #require(RawSocket(port: port))
        plain.send("PING\r\nPING\r\nPING\r\n")
        harness.wait("refused") { harness.handler.closed.count == 1 }
        if case .tls? = harness.handler.closed.first?.reason {} else { Issue.record("no TLS reason") }
        let silent = try #require(RawSocket(port: port))
        harness.wait("timed out", seconds: 3) { harness.handler.closed.count == 2 }
        #expect(harness.handler.closed.last?.reason == .local("timed out while connecting"))
        silent.close()
    }

    @Test("An outgoing TLS connection opens and carries data")
    func outgoing() throws {
        let harness = try ReactorHarness()
        let box = try TLSContextBox()
        let port = try harness.listenTCP(host: "127.0.0.1", tls: box)
        let connection = harness.reactor.connect(host: "127.0.0.1", port: port, tag: 9, tls: box.client)
        var answer = ""
        harness.handler.onInput = { ready in
            if ready.tag == 9 { answer += ready.input.string } else { ready.output.append(ready.input) }
            ready.consumeInput(ready.input.count)
        }
        harness.wait("open") { harness.handler.opened.contains { $0.tag == 9 } || !harness.handler.closed.isEmpty }
        #expect(harness.handler.closed.isEmpty)
        connection.output.append("over TLS")
        harness.wait("the echo") { answer == "over TLS" }
    }
}
