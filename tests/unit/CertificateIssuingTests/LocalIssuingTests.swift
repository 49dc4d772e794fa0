import Glibc
import TLS
import Testing

@testable import CertificateIssuing

@Suite("Issuing into a folder") final class LocalIssuingTests {
    let base: String
    let now = Int64(time(nil))

    init() throws {
        var template = Array("/tmp/dssm-issue-XXXXXX".utf8CString)
        base = String(cString: try #require(mkdtemp(&template)))
    }

    deinit {
        for name in ["dssm-ca.crt", "dssm-ca.key", "dssm-cert.crt", "dssm-key.key", "dhparam2048.pem"] {
            unlink("\(base)/certs/\(name)")
        }
        rmdir("\(base)/certs")
        rmdir(base)
    }

    func issuing(_ profile: IssuingPolicy.Profile = .standard) -> LocalIssuing {
        LocalIssuing(
            policy: IssuingPolicy(profile: profile, keyAlgorithm: .ecdsaP256), folder: LocalFolder("\(base)/certs"))
    }

    @Test("A fresh folder gets a pair that TLS accepts, readable by the owner only")
    func fresh() throws {
        let issuing = issuing()
        let report = try issuing.run(now: now)
        #expect(report.contains("wrote \(base)/certs/dssm-cert.crt"))
        let folder = issuing.folder
        for file in [folder.authorityCertificate, folder.certificate, folder.key, folder.dhParameters] {
            var status = stat()
            #expect(stat(file, &status) == 0 && status.st_mode & 0o777 == 0o600, "\(file)")
        }
        #expect(!folder.exists(folder.authorityKey))
        var settings = TLSSettings()
        settings.caFile = folder.authorityCertificate
        settings.certificateFile = folder.certificate
        settings.keyFile = folder.key
        settings.dhParamsFile = folder.dhParameters
        let context = try TLSContext(settings: settings, role: .server)
        #expect(context.warnings(now: now).isEmpty)
        let certificate = try #require(context.certificate)
        #expect(certificate.alternativeNames.prefix(3) == ["localhost", "127.0.0.1", "::1"])
        #expect(certificate.daysLeft(now: now) == 365)
        #expect(certificate.signatureAlgorithm.hasSuffix("SHA384"))
    }

    @Test("A second run keeps everything and says so")
    func again() throws {
        let issuing = issuing()
        _ = try issuing.run(now: now)
        let before = try Certificate.loadAll(issuing.folder.certificate)[0].summary.serial
        let report = try issuing.run(now: now)
        #expect(report.allSatisfy { $0.hasPrefix("kept ") })
        #expect(try Certificate.loadAll(issuing.folder.certificate)[0].summary.serial == before)
        #expect(throws: LocalIssuing.Failure.self) {
            unlink(issuing.folder.key)
            _ = try issuing.run(now: self.now)
        }
    }

    @Test("With the CA's key kept, a renewal comes from the same CA")
    func renewal() throws {
        var issuing = issuing()
        issuing.keepsAuthorityKey = true
        issuing.policy.notAfterOffset = -60
        issuing.policy.notBeforeOffset = -120
        _ = try issuing.run(now: now)
        let authority = try Certificate.loadAll(issuing.folder.authorityCertificate)[0]
        #expect(try Certificate.loadAll(issuing.folder.certificate)[0].summary.notAfter == now - 60)
        issuing.policy.notAfterOffset = nil
        issuing.policy.notBeforeOffset = nil
        let report = try issuing.run(now: now)
        #expect(report.first == "issuing: the certificate has expired")
        #expect(
            try Certificate.loadAll(issuing.folder.authorityCertificate)[0].summary.serial
                == authority.summary.serial)
        let leaf = try Certificate.loadAll(issuing.folder.certificate)[0]
        #expect(leaf.isSigned(by: authority) && leaf.summary.isValid(at: now))

        issuing.isForced = true
        issuing.keepsAuthorityKey = false
        _ = try issuing.run(now: now)
        #expect(!issuing.folder.exists(issuing.folder.authorityKey))
    }

    @Test("The manual profile makes what the published procedure makes")
    func manual() throws {
        let issuing = issuing(.manual)
        _ = try issuing.run(now: now)
        let authority = try Certificate.loadAll(issuing.folder.authorityCertificate)[0].summary
        let leaf = try Certificate.loadAll(issuing.folder.certificate)[0].summary
        #expect(authority.subject == "O=Redis Test, CN=Certificate Authority" && authority.isAuthority)
        #expect(leaf.subject == "O=Redis Test, CN=Server" && leaf.alternativeNames.isEmpty)
        #expect(leaf.notBefore == now && leaf.notAfter == now + 365 * 86400)
        #expect(authority.notBefore == now && authority.notAfter == now + 365 * 86400)
        #expect(IssuingPolicy(profile: .manual).keyAlgorithm == .rsa4096)
    }

    @Test("Inspection names the issuer's file, keys, parameters and unreadable files")
    func inspection() throws {
        let issuing = issuing()
        _ = try issuing.run(now: now)
        let folder = issuing.folder
        let all = Inspection(files: [folder.authorityCertificate, folder.certificate, folder.key, folder.dhParameters])
        let text = all.table(now: now).joined(separator: "\n")
        #expect(text.contains("self-signed"))
        #expect(text.contains("signed by O=Redis Test, CN=Certificate Authority in \(folder.authorityCertificate)"))
        #expect(text.contains("365 days left") && text.contains("EC P-256") && text.contains("2048 bits"))
        #expect(!all.hasFailures)
        let alone = Inspection(files: [folder.certificate, "\(base)/nothing"])
        #expect(alone.hasFailures)
        #expect(alone.table(now: now).contains { $0.contains("which is not among the files") })
    }

    @Test("Names that could smuggle extension syntax are refused")
    func names() {
        for name in ["a,DNS:b", "a b", "", "x:y", "a/b", "é"] {
            var issuing = issuing()
            issuing.isForced = true
            issuing.policy.additionalNames = [name]
            #expect(throws: LocalIssuing.Failure.self, "\(name)") { try issuing.run(now: self.now) }
        }
    }
}
