import ByteStorage
import Glibc
import Testing

@testable import TLS

@Suite("TLS contexts") struct TLSContextTests {
    let folder: TemporaryFolder
    let authority: Authority
    let settings: TLSSettings

    init() throws {
        folder = try TemporaryFolder()
        authority = try Authority()
        settings = folder.settings(authority, try authority.leaf(names: ["localhost"]))
    }

    func failure(_ role: TLSSettings.Role = .server, _ change: (inout TLSSettings) -> Void) -> TLSError? {
        var changed = settings
        change(&changed)
        do throws(TLSError) {
            _ = try TLSContext(settings: changed, role: role)
            return nil
        } catch { return error }
    }

    @Test("A context tells what its certificate says")
    func summary() throws {
        let context = try TLSContext(settings: settings, role: .server)
        let now = Int64(time(nil))
        let certificate = try #require(context.certificate)
        #expect(certificate.subject == "O=Redis Test, CN=Server")
        #expect(certificate.issuer == "O=Redis Test, CN=Certificate Authority")
        #expect(certificate.commonName == "Server")
        #expect(certificate.alternativeNames == ["localhost"])
        #expect(abs(certificate.notAfter - now - 86400) < 60)
        #expect(certificate.daysLeft(now: certificate.notAfter - 86400) == 1)
        #expect(certificate.daysLeft(now: certificate.notAfter - 86399) == 0)
        #expect(certificate.daysLeft(now: certificate.notAfter + 1) == -1)
        #expect(certificate.keyDescription == "EC P-256")
        #expect(certificate.signatureAlgorithm == "ECDSA-SHA384")
        #expect(certificate.serial.count >= 30)
        #expect(!certificate.isAuthority)
        #expect(context.authorities.map(\.isAuthority) == [true])
        #expect(context.warnings(now: now).isEmpty)
        #expect(context.warnings(now: now + 90000).count == 2)
    }

    @Test("A key of another certificate is refused with the names of both files")
    func mismatch() throws {
        let other = folder.write("other.key", try PrivateKey.generate(.ecdsaP256).pem())
        let error = failure { $0.keyFile = other }
        #expect(error?.code == .keyMismatch)
        #expect(
            error?.message == "\(other): the key does not belong to the certificate in \(settings.certificateFile)")
    }

    @Test("Unusable files and settings are refused with the file or the directive")
    func unusable() throws {
        let missing = "\(folder.path)/missing.crt"
        let absent = "\(missing): cannot be opened: No such file or directory"
        #expect(failure { $0.certificateFile = missing }?.message == absent)
        let empty = folder.write("empty.crt", [])
        #expect(failure { $0.certificateFile = empty }?.message == "\(empty): holds no certificate in PEM")
        #expect(failure { $0.caFile = empty }?.message == "\(empty): holds no certificate in PEM")
        #expect(failure { $0.keyFile = empty }?.message == "\(empty): holds no private key in PEM")
        #expect(failure { $0.dhParamsFile = empty }?.message == "\(empty): holds no Diffie-Hellman parameters in PEM")
        let text = String(decoding: authority.certificate.pem(), as: UTF8.self)
        let torn = folder.write("torn.crt", Array((text + text.prefix(200)).utf8))
        #expect(failure { $0.caFile = torn }?.message.hasPrefix("\(torn): certificate 2 is damaged") == true)
        #expect(failure { $0.caFile = "" }?.code == .badSetting)
        #expect(failure(.client) { $0.caFile = "" }?.code == .badSetting)
        #expect(failure { $0.caDirectory = missing }?.code == .unreadableFile)
        #expect(failure { $0.certificateFile = "" }?.code == .badSetting)
        #expect(failure { $0.protocols = "TLSv1.1 TLSv1.2" }?.message.contains("TLSv1.1 is not supported") == true)
        #expect(failure { $0.protocols = "SSLv9" }?.message.contains("unknown protocol 'SSLv9'") == true)
        #expect(failure { $0.ciphers = "NONSENSE" }?.message == "tls-ciphers: no cipher match")
        #expect(failure { $0.ciphersuites = "NONSENSE" }?.message.hasPrefix("tls-ciphersuites: ") == true)
        #expect(
            failure {
                $0.authClients = .no; $0.caFile = ""
            } == nil)
    }

    @Test("Parameters, protocols and ciphers take effect")
    func effect() throws {
        var settings = settings
        settings.dhParamsFile = folder.write("dhparam2048.pem", try DHParameters.standard())
        #expect(try DHParameters.bits(of: settings.dhParamsFile) == 2048)
        settings.protocols = "tlsv1.2"
        settings.ciphers = "DHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256"
        settings.preferServerCiphers = true
        settings.sessionCaching = false
        let wire = Wire(
            server: try TLSContext(settings: settings, role: .server),
            client: try TLSContext(settings: self.settings, role: .client))
        wire.run()
        #expect(wire.server.session.cipherName == "ECDHE-ECDSA-AES128-GCM-SHA256")
        #expect(wire.server.session.protocolVersion == "TLSv1.2")
    }

    @Test("An RSA certificate of the published procedure works with DHE and its parameters")
    func dhe() throws {
        let now = Int64(time(nil))
        let key = try PrivateKey.generate(.rsa2048)
        let template = CertificateTemplate(
            kind: .bareLeaf, subject: [("O", "Redis Test"), ("CN", "Server")], notBefore: now - 60, notAfter: now + 60)
        let leaf = try Certificate.issue(template, key: key, issuer: (authority.certificate, authority.key))
        var settings = folder.settings(authority, (leaf, key), prefix: "rsa-")
        settings.dhParamsFile = folder.write("dhparam2048.pem", try DHParameters.standard())
        settings.protocols = "TLSv1.2"
        settings.ciphers = "DHE-RSA-AES256-GCM-SHA384"
        let wire = Wire(
            server: try TLSContext(settings: settings, role: .server),
            client: try TLSContext(settings: settings, role: .client))
        wire.run()
        #expect(wire.client.handshake == .done)
        #expect(wire.server.session.cipherName == "DHE-RSA-AES256-GCM-SHA384")
    }

    @Test("A client context presents its own pair where one is set")
    func clientPair() throws {
        let leaf = try authority.leaf(name: "Client")
        var changed = settings
        changed.clientCertificateFile = folder.write("client.crt", leaf.certificate.pem())
        changed.clientKeyFile = folder.write("client.key", leaf.key.pem())
        #expect(try TLSContext(settings: changed, role: .client).certificate?.commonName == "Client")
        #expect(try TLSContext(settings: changed, role: .server).certificate?.commonName == "Server")
    }

    @Test("A change of files is noticed once, a bad pair keeps the old one, and the good one follows")
    func reload() throws {
        var reloader = TLSReloader(settings: settings)
        guard case .unchanged = reloader.poll() else {
            Issue.record("nothing has changed yet")
            return
        }
        let leaf = try authority.leaf(name: "Renewed")
        folder.write("cert.crt", leaf.certificate.pem())
        guard case .failed(let error) = reloader.poll() else {
            Issue.record("the new certificate has the old key")
            return
        }
        #expect(error.code == .keyMismatch)
        guard case .unchanged = reloader.poll() else {
            Issue.record("a failure is reported once")
            return
        }
        folder.write("key.key", leaf.key.pem())
        guard case .reloaded(let server, let client) = reloader.poll() else {
            Issue.record("the pair is complete")
            return
        }
        #expect(server.certificate?.commonName == "Renewed" && client.certificate?.commonName == "Renewed")
        guard case .unchanged = reloader.poll() else {
            Issue.record("nothing has changed since")
            return
        }
    }

    @Test("A swapped symbolic link, as Secret volumes use it, is a change")
    func symbolicLink() throws {
        let leaf = try authority.leaf(name: "Second")
        let second = folder.settings(authority, leaf, prefix: "second-")
        var linked = settings
        linked.certificateFile = "\(folder.path)/link.crt"
        linked.keyFile = "\(folder.path)/link.key"
        func link(_ target: TLSSettings) {
            for (from, to) in [(target.certificateFile, linked.certificateFile), (target.keyFile, linked.keyFile)] {
                #expect(symlink(from, "\(to).new") == 0 && rename("\(to).new", to) == 0)
            }
        }
        link(settings)
        var reloader = TLSReloader(settings: linked)
        link(second)
        guard case .reloaded(let server, _) = reloader.poll() else {
            Issue.record("the link leads elsewhere now")
            return
        }
        #expect(server.certificate?.commonName == "Second")
    }

    @Test("New rights of the files are no change, unless they make files readable that were not")
    func rights() throws {
        var reloader = TLSReloader(settings: settings)
        #expect(chmod(settings.keyFile, 0o440) == 0 && chown(settings.certificateFile, getuid(), getgid()) == 0)
        guard case .unchanged = reloader.poll() else {
            Issue.record("the content is the same")
            return
        }
        let leaf = try authority.leaf(name: "Renewed")
        folder.write("cert.crt", leaf.certificate.pem())
        guard case .failed = reloader.poll() else {
            Issue.record("the new certificate has the old key")
            return
        }
        #expect(chmod(settings.keyFile, 0o400) == 0)
        guard case .failed = reloader.poll() else {
            Issue.record("after a failure every change is a reason to try again")
            return
        }
        #expect(chmod(settings.keyFile, 0o600) == 0)
        folder.write("key.key", leaf.key.pem())
        guard case .reloaded = reloader.poll() else {
            Issue.record("the pair is complete")
            return
        }
    }

    @Test("Refused settings leave the reloader with the previous ones")
    func applyFailure() throws {
        var reloader = TLSReloader(settings: settings)
        var bad = settings
        bad.keyFile = "/nonexistent"
        guard case .failed = reloader.apply(bad) else {
            Issue.record("a missing key cannot be applied")
            return
        }
        #expect(reloader.settings == settings)
        var good = settings
        good.protocols = "TLSv1.3"
        guard case .reloaded = reloader.apply(good) else {
            Issue.record("good settings can be applied")
            return
        }
        #expect(reloader.settings == good)
    }

    @Test("An encrypted key needs its password")
    func encryptedKey() throws {
        let path = folder.write("encrypted.key", encryptedPEM)
        #expect(throws: TLSError.self) { try PrivateKey.load(path, password: "wrong") }
        #expect(throws: TLSError.self) { try PrivateKey.load(path) }
        #expect(try PrivateKey.load(path, password: "secret").description == "EC P-256")
    }

    /// PKCS #8, EC P-256, AES-256-CBC, password "secret"; made with `openssl genpkey -aes256`.
    private let encryptedPEM = Array(
        """
        -----BEGIN ENCRYPTED PRIVATE KEY-----
        MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjmxqCxlpeHVgICCAAw
        DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJzl+tThyXhwg3nyIDsJtiwEgZCn
        d4cBIln02Zk85kFb0+OLqDnfJxP2ZYIUkX/5waRL0dPIhZA0QX/fkvmJDup7iXB9
        0KwcQTSkyJlEFvXUjcPVMi24UeDvWhbp0CyKNyb6wTiXJJEiRtTIx61bGfIKpMJL
        v0T1B117sGfc2bE0Pem82IU+D9GMso8REysh+ooP0HhR3iNdT4/MPB8CDwLgoDg=
        -----END ENCRYPTED PRIVATE KEY-----

        """.utf8)
}
