import Testing

@testable import TLS

@Suite("The reduced library context")
struct HandshakeLibraryTests {
    /// One suite of each cipher and hash that TLS 1.2 knows with an ECDSA certificate.
    static let suites12 = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-ECDSA-AES128-CCM", "ECDHE-ECDSA-AES256-CCM", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-ECDSA-AES128-SHA", "ECDHE-ECDSA-AES256-SHA", "ECDHE-ECDSA-CAMELLIA128-SHA256",
        "ECDHE-ECDSA-CAMELLIA256-SHA384", "ECDHE-ECDSA-ARIA128-GCM-SHA256", "ECDHE-ECDSA-ARIA256-GCM-SHA384",
    ]
    static let suites13 = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256", "TLS_AES_128_CCM_SHA256",
        "TLS_AES_128_CCM_8_SHA256",
    ]

    private func expectExchange(_ settings: TLSSettings, cipher: String? = nil) throws {
        let wire = Wire(
            server: try TLSContext(settings: settings, role: .server),
            client: try TLSContext(settings: settings, role: .client))
        wire.run()
        let isEstablished = wire.server.session.isEstablished && wire.client.session.isEstablished
        try #require(isEstablished, "\(wire.server.failure ?? "") \(wire.client.failure ?? "")")
        if let cipher { #expect(wire.server.session.cipherName == cipher) }
        #expect(wire.client.send(Array("ping".utf8)))
        wire.run()
        #expect(wire.server.takePlaintext() == Array("ping".utf8))
    }

    @Test("Every kind of TLS 1.2 suite still works", arguments: Self.suites12)
    func tls12(_ suite: String) throws {
        let folder = try TemporaryFolder()
        let authority = try Authority()
        var settings = folder.settings(authority, try authority.leaf())
        settings.protocols = "TLSv1.2"
        settings.ciphers = suite + ":@SECLEVEL=0"
        try expectExchange(settings, cipher: suite)
    }

    @Test("Every TLS 1.3 suite still works", arguments: Self.suites13)
    func tls13(_ suite: String) throws {
        let folder = try TemporaryFolder()
        let authority = try Authority()
        var settings = folder.settings(authority, try authority.leaf())
        settings.protocols = "TLSv1.3"
        settings.ciphers = "DEFAULT:@SECLEVEL=0"
        settings.ciphersuites = suite
        try expectExchange(settings, cipher: suite)
    }

    @Test(
        "Certificates of every kind of key still work", arguments: PrivateKey.Algorithm.allCases,
        ["TLSv1.2", "TLSv1.3"])
    func keys(_ algorithm: PrivateKey.Algorithm, _ version: String) throws {
        // Seconds in a debug build, and the same code as the shorter key.
        guard algorithm != .rsa4096 else { return }
        let folder = try TemporaryFolder()
        let authority = try Authority()
        let key = try PrivateKey.generate(algorithm)
        let template = CertificateTemplate(
            kind: .leaf, subject: [("CN", "Server")], notBefore: authority.certificate.summary.notBefore,
            notAfter: authority.certificate.summary.notAfter)
        let leaf = try Certificate.issue(template, key: key, issuer: (authority.certificate, authority.key))
        var settings = folder.settings(authority, (leaf, key))
        settings.protocols = version
        try expectExchange(settings)
    }

    @Test("A certificate that moves in keeps its bytes and its key")
    func adoption() throws {
        let authority = try Authority()
        let leaf = try authority.leaf(names: ["db.example"])
        let adopted = try #require(HandshakeLibrary.adopt(leaf.certificate))
        #expect(adopted.pem() == leaf.certificate.pem())
        #expect(adopted.matches(leaf.key))
        let issuer = try #require(HandshakeLibrary.adopt(authority.certificate))
        #expect(adopted.isSigned(by: issuer))
    }

    @Test("The reduced context is in use where OpenSSL gains by it")
    func isInUse() {
        #expect((HandshakeLibrary.context != nil) == HandshakeLibrary.isWanted)
    }
}
