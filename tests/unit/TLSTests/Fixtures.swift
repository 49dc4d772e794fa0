import ByteStorage
import Glibc
import Testing

@testable import TLS

/// A folder that goes away with its owner.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/dssm-tls-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw TLSError(.unreadableFile, "mkdtemp") }
        path = String(cString: made)
    }

    deinit {
        if let names = opendir(path) {
            while let entry = readdir(names) {
                let name = withUnsafePointer(to: &entry.pointee.d_name) {
                    $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
                }
                unlink("\(path)/\(name)")
            }
            closedir(names)
        }
        rmdir(path)
    }

    /// Writes a file beside its final name and moves it there.
    @discardableResult
    func write(_ name: String, _ bytes: [UInt8]) -> String {
        let target = "\(path)/\(name)"
        let descriptor = open("\(target).new", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        #expect(descriptor >= 0)
        bytes.withUnsafeBytes { #expect(Glibc.write(descriptor, $0.baseAddress, $0.count) == $0.count) }
        close(descriptor)
        rename("\(target).new", target)
        return target
    }
}

/// A CA that issues what a test wants, with elliptic-curve keys for speed.
struct Authority {
    let key: PrivateKey
    let certificate: Certificate

    init(_ name: String = "Certificate Authority") throws {
        key = try PrivateKey.generate(.ecdsaP256)
        let now = Int64(time(nil))
        certificate = try Certificate.issue(
            CertificateTemplate(
                kind: .plainAuthority, subject: [("O", "Redis Test"), ("CN", name)], notBefore: now - 3600,
                notAfter: now + 86400), key: key)
    }

    func leaf(
        kind: CertificateTemplate.Kind = .leaf, name: String = "Server", names: [String] = [], from: Int64 = -3600,
        until: Int64 = 86400
    ) throws -> (certificate: Certificate, key: PrivateKey) {
        let now = Int64(time(nil))
        let key = try PrivateKey.generate(.ecdsaP256)
        let template = CertificateTemplate(
            kind: kind, subject: [("O", "Redis Test"), ("CN", name)], alternativeNames: names, notBefore: now + from,
            notAfter: now + until)
        return (try Certificate.issue(template, key: key, issuer: (certificate, self.key)), key)
    }
}

extension TemporaryFolder {
    /// Writes CA, certificate and key under `prefix` and returns settings that name them.
    func settings(
        _ authority: Authority, _ leaf: (certificate: Certificate, key: PrivateKey), prefix: String = ""
    ) -> TLSSettings {
        var settings = TLSSettings()
        settings.caFile = write("\(prefix)ca.crt", authority.certificate.pem())
        settings.certificateFile = write("\(prefix)cert.crt", leaf.certificate.pem())
        settings.keyFile = write("\(prefix)key.key", leaf.key.pem())
        return settings
    }
}

/// One end of a connection in memory.
final class End {
    let session: TLSSession
    let output = OutputBuffer.create()
    let plaintext = OutputBuffer.create()
    var handshake = TLSSession.HandshakeResult.needMore
    var reading = TLSSession.ReadResult.ok

    init(_ context: TLSContext, _ role: TLSSettings.Role, serverName: String? = nil) {
        session = TLSSession.create(context: context, role: role, serverName: serverName)
    }

    deinit {
        session.destroy()
        output.destroy()
        plaintext.destroy()
    }

    func receive(_ bytes: [UInt8]) {
        bytes.withView { view in
            if handshake == .needMore {
                handshake = session.handshake(input: view.base, inputCount: view.count, output: output)
                if handshake == .done, session.hasPendingInput {
                    reading = session.read(cipher: view.base, count: 0, into: plaintext)
                }
            } else if handshake == .done, reading == .ok {
                reading = session.read(cipher: view.base, count: view.count, into: plaintext)
            }
        }
    }

    func takeOutput() -> [UInt8] {
        defer { output.removeAll() }
        return output.view.array
    }

    func send(_ bytes: [UInt8]) -> Bool {
        bytes.withView { session.write(plain: $0.base, count: $0.count, cipher: output) }
    }

    func takePlaintext() -> [UInt8] {
        defer { plaintext.removeAll() }
        return plaintext.view.array
    }

    var failure: String? {
        if case .failed(let reason) = handshake { return reason }
        if case .failed(let reason) = reading { return reason }
        return nil
    }
}

/// Two ends and what carries bytes between them, in pieces of a given size.
struct Wire {
    let client: End
    let server: End

    init(server: TLSContext, client: TLSContext, serverName: String? = nil) {
        self.server = End(server, .server)
        self.client = End(client, .client, serverName: serverName)
    }

    /// Carries bytes both ways until nothing moves.
    func run(piece: Int = .max) {
        client.receive([])
        for _ in 0..<1000 {
            let toServer = client.takeOutput()
            let toClient = server.takeOutput()
            if toServer.isEmpty && toClient.isEmpty { return }
            deliver(toServer, server, piece)
            deliver(toClient, client, piece)
        }
        Issue.record("the two ends never come to rest")
    }

    private func deliver(_ bytes: [UInt8], _ end: End, _ piece: Int) {
        var rest = bytes[...]
        while !rest.isEmpty {
            end.receive([UInt8](rest.prefix(piece)))
            rest = rest.dropFirst(piece)
        }
    }
}
