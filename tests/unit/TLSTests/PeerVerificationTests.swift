import ByteStorage
import Glibc
import Testing

@testable import TLS

@Suite("Verification of the peer") struct PeerVerificationTests {
    let folder: TemporaryFolder
    let authority: Authority
    let settings: TLSSettings

    init() throws {
        folder = try TemporaryFolder()
        authority = try Authority()
        settings = folder.settings(authority, try authority.leaf(kind: .bareLeaf))
    }

    /// Runs a handshake between these settings and returns what each end says.
    func outcome(
        server: TLSSettings, client: TLSSettings, serverName: String? = nil
    ) throws -> (server: String?, client: String?) {
        let wire = Wire(
            server: try TLSContext(settings: server, role: .server),
            client: try TLSContext(settings: client, role: .client), serverName: serverName)
        wire.run()
        if wire.server.failure == nil { #expect(wire.server.handshake == .done) }
        return (wire.server.failure, wire.client.failure)
    }

    func client(_ leaf: (certificate: Certificate, key: PrivateKey), from other: Authority? = nil) -> TLSSettings {
        var result = folder.settings(other ?? authority, leaf, prefix: "client-")
        result.caFile = settings.caFile
        return result
    }

    @Test("A certificate of the published procedure, without names, is accepted under any host name")
    func withoutNames() throws {
        for name in ["localhost", "f5-dssm-db-0.f5-dssm-db", "127.0.0.1", "db.example.", ""] {
            let result = try outcome(server: settings, client: settings, serverName: name)
            #expect(result.server == nil && result.client == nil, "\(name)")
        }
    }

    @Test("A certificate with names is only accepted under one of them")
    func withNames() throws {
        let leaf = try authority.leaf(names: ["f5-dssm-db-0.f5-dssm-db", "*.wild.test", "127.0.0.1", "::1"])
        let server = folder.settings(authority, leaf, prefix: "named-")
        for name in ["f5-dssm-db-0.f5-dssm-db", "F5-DSSM-DB-0.f5-dssm-db.", "a.wild.test", "127.0.0.1", "::1"] {
            let result = try outcome(server: server, client: settings, serverName: name)
            #expect(result.client == nil && result.server == nil, "\(name)")
        }
        for name in ["Server", "a.b.wild.test", "127.0.0.2", "f5-dssm-db-0"] {
            let result = try outcome(server: server, client: settings, serverName: name)
            #expect(result.client == "hostname mismatch (O=Redis Test, CN=Server)", "\(name)")
            #expect(result.server != nil)
        }
        #expect(try outcome(server: server, client: settings).client == nil)
    }

    @Test("A client certificate of another CA is refused, in either version", arguments: ["TLSv1.2", "TLSv1.3"])
    func foreignAuthority(version: String) throws {
        let other = try Authority("Somebody Else")
        var client = client(try other.leaf(kind: .bareLeaf, name: "Intruder"), from: other)
        client.protocols = version
        let result = try outcome(server: settings, client: client)
        #expect(result.server == "unable to get local issuer certificate (O=Redis Test, CN=Intruder)")
        #expect(result.client == "the peer refused: unknown CA")
    }

    @Test("A foreign CA of the same name is refused too")
    func impostor() throws {
        let other = try Authority()
        let result = try outcome(server: settings, client: client(try other.leaf(kind: .bareLeaf), from: other))
        #expect(result.server == "certificate signature failure (O=Redis Test, CN=Server)")
    }

    @Test("Expired and not yet valid certificates are refused with the reason")
    func validity() throws {
        let expired = client(try authority.leaf(kind: .bareLeaf, name: "Old", from: -7200, until: -3600))
        #expect(
            try outcome(server: settings, client: expired).server == "certificate has expired (O=Redis Test, CN=Old)")
        let early = client(try authority.leaf(kind: .bareLeaf, name: "Young", from: 3600, until: 7200))
        #expect(
            try outcome(server: settings, client: early).server
                == "certificate is not yet valid (O=Redis Test, CN=Young)")
    }

    @Test("tls-auth-clients decides whether a client needs a certificate", arguments: ["TLSv1.2", "TLSv1.3"])
    func clientAuthentication(version: String) throws {
        var bare = TLSSettings()
        bare.caFile = settings.caFile
        bare.protocols = version
        var server = settings
        let refused = try outcome(server: server, client: bare)
        #expect(refused.server == "peer did not return a certificate")
        #expect(refused.client?.hasPrefix("the peer refused: ") == true)

        for mode in [TLSSettings.ClientAuthentication.optional, .no] {
            server.authClients = mode
            let wire = Wire(
                server: try TLSContext(settings: server, role: .server),
                client: try TLSContext(settings: bare, role: .client))
            wire.run()
            #expect(wire.server.handshake == .done && wire.client.handshake == .done)
            #expect(wire.server.session.peerCertificate == nil)
        }

        server.authClients = .optional
        let other = try Authority("Somebody Else")
        let foreign = client(try other.leaf(kind: .bareLeaf), from: other)
        #expect(try outcome(server: server, client: foreign).server != nil)

        server.authClients = .no
        server.caFile = ""
        #expect(try outcome(server: server, client: bare).server == nil)
    }

    @Test("A client does not trust a server of another CA")
    func foreignServer() throws {
        let other = try Authority("Somebody Else")
        let server = folder.settings(other, try other.leaf(), prefix: "foreign-")
        let result = try outcome(server: server, client: settings)
        #expect(result.client == "unable to get local issuer certificate (O=Redis Test, CN=Server)")
    }

    @Test("A chain is completed from the CA file, and an intermediate of the certificate file is sent")
    func chain() throws {
        let now = Int64(time(nil))
        let key = try PrivateKey.generate(.ecdsaP256)
        let template = CertificateTemplate(
            kind: .authority, subject: [("CN", "Intermediate")], notBefore: now - 60, notAfter: now + 600)
        let middle = try Certificate.issue(template, key: key, issuer: (authority.certificate, authority.key))
        let leafKey = try PrivateKey.generate(.ecdsaP256)
        let leaf = try Certificate.issue(
            CertificateTemplate(kind: .leaf, subject: [("CN", "Leaf")], notBefore: now - 60, notAfter: now + 600),
            key: leafKey, issuer: (middle, key))
        var server = folder.settings(authority, (leaf, leafKey), prefix: "chain-")
        #expect(try outcome(server: server, client: settings).client != nil)
        let bundle = folder.write("chain.crt", leaf.pem() + middle.pem())
        server.certificateFile = bundle
        #expect(try outcome(server: server, client: settings).client == nil)
        server.certificateFile = folder.write("leaf.crt", leaf.pem())
        server.caFile = folder.write("cas.crt", authority.certificate.pem() + middle.pem())
        #expect(try outcome(server: server, client: settings).client == nil)
    }

    @Test("While a CA is replaced, certificates of the old and the new one of the same name are accepted")
    func overlap() throws {
        let newer = try Authority()
        for order in [[authority, newer], [newer, authority]] {
            var both = settings
            both.caFile = folder.write("both.crt", order.flatMap { $0.certificate.pem() })
            for issuer in order {
                var peer = folder.settings(issuer, try issuer.leaf(kind: .bareLeaf), prefix: "peer-")
                peer.caFile = both.caFile
                let result = try outcome(server: both, client: peer)
                #expect(result.server == nil && result.client == nil)
                let late = try issuer.leaf(kind: .bareLeaf, from: -7200, until: -3600)
                var expired = folder.settings(issuer, late, prefix: "late-")
                expired.caFile = both.caFile
                let refusal = try outcome(server: both, client: expired).server
                #expect(refusal == "certificate has expired (O=Redis Test, CN=Server)")
            }
            let impostor = try Authority()
            var foreign = folder.settings(impostor, try impostor.leaf(kind: .bareLeaf), prefix: "impostor-")
            foreign.caFile = both.caFile
            #expect(try outcome(server: both, client: foreign).server?.hasPrefix("certificate signature") == true)
        }
    }

    @Test("Plaintext on a TLS port is named as such")
    func plaintext() throws {
        let context = try TLSContext(settings: settings, role: .server)
        for text in ["PING\r\n", "*1\r\n$4\r\nPING\r\n", "GET / HTTP/1.1\r\n\r\n"] {
            let server = End(context, .server)
            server.receive(Array(text.utf8))
            #expect(server.failure == "http/plaintext request on a TLS port")
        }
        let client = End(try TLSContext(settings: settings, role: .client), .client)
        client.receive([])
        client.receive(Array("-ERR unknown command\r\n".utf8))
        #expect(client.failure == "the peer does not speak TLS")
    }

    @Test("Peers without a common version say so")
    func versions() throws {
        var server = settings
        server.protocols = "TLSv1.3"
        var client = settings
        client.protocols = "TLSv1.2"
        let result = try outcome(server: server, client: client)
        #expect(result.server == "unsupported protocol")
        #expect(result.client == "the peer refused: protocol version")
    }
}
