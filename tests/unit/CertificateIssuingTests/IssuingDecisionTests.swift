import TLS
import Testing

@testable import CertificateIssuing

@Suite("What is issued and why") struct IssuingDecisionTests {
    let now: Int64 = 1_800_000_000
    let day: Int64 = 86400

    func summary(from: Int64, until: Int64, names: [String] = []) throws -> CertificateSummary {
        let key = try PrivateKey.generate(.ecdsaP256)
        let template = CertificateTemplate(
            kind: .leaf, subject: [("CN", "x")], alternativeNames: names, notBefore: now + from * day,
            notAfter: now + until * day)
        return try Certificate.issue(template, key: key).summary
    }

    func valid() throws -> ExistingMaterial {
        var result = ExistingMaterial()
        result.authority = try summary(from: -1, until: 364)
        result.hasAuthorityKey = true
        result.leaf = try summary(from: -1, until: 364, names: IssuingPolicy().alternativeNames)
        result.hasMatchingKey = true
        result.isSignedByAuthority = true
        return result
    }

    func decide(_ existing: ExistingMaterial, forced: Bool = false) -> IssuingDecision {
        IssuingDecision.decide(existing, policy: IssuingPolicy(), now: now, isForced: forced)
    }

    @Test("An empty folder gets everything, a valid one is kept, force overrides")
    func basics() throws {
        #expect(
            decide(ExistingMaterial()) == .issue(authority: true, reasons: ["there are no certificates yet"]))
        #expect(try decide(valid()) == .keep(notes: []))
        #expect(try decide(valid(), forced: true) == .issue(authority: true, reasons: ["a new issue is forced"]))
    }

    @Test("Names that the kept certificate lacks are a note, not a reason")
    func missingNames() throws {
        var existing = try valid()
        existing.leaf = try summary(from: -1, until: 364, names: ["localhost"])
        guard case .keep(let notes) = decide(existing) else {
            Issue.record("a valid certificate is kept")
            return
        }
        #expect(notes.count == 1 && notes[0].contains("--force"))
    }

    @Test("A leaf is renewed when it has expired, has less than a third of its life, or does not fit")
    func renewal() throws {
        var existing = try valid()
        existing.leaf = try summary(from: -10, until: -1)
        #expect(decide(existing) == .issue(authority: false, reasons: ["the certificate has expired"]))
        existing.leaf = try summary(from: -250, until: 115)
        #expect(
            decide(existing)
                == .issue(
                    authority: false,
                    reasons: ["the certificate expires in 115 days, less than a third of its life"]))
        existing = try valid()
        existing.hasMatchingKey = false
        #expect(
            decide(existing)
                == .issue(authority: false, reasons: ["the key is missing or belongs to another certificate"]))
        existing = try valid()
        existing.isSignedByAuthority = false
        #expect(
            decide(existing) == .issue(authority: false, reasons: ["the certificate is not signed by the CA"]))
        existing = try valid()
        existing.leaf = nil
        existing.defects = ["x.crt: holds no certificate in PEM"]
        #expect(
            decide(existing)
                == .issue(
                    authority: false,
                    reasons: ["x.crt: holds no certificate in PEM", "the certificate is missing"]))
    }

    @Test("A valid CA without its key is never replaced silently")
    func refusal() throws {
        var existing = try valid()
        existing.hasAuthorityKey = false
        existing.leaf = nil
        guard case .refuse(let reasons) = decide(existing) else {
            Issue.record("the CA must not be replaced")
            return
        }
        #expect(reasons.last == "the CA is valid, but its key is not here to sign a new certificate")
        existing.authority = try summary(from: -10, until: -1)
        #expect(
            decide(existing)
                == .issue(
                    authority: true, reasons: ["the CA certificate has expired", "the certificate is missing"]))
    }

    @Test("The default profile names every pod and Service, with and without a namespace")
    func names() {
        var policy = IssuingPolicy()
        #expect(policy.alternativeNames.prefix(4) == ["localhost", "127.0.0.1", "::1", "f5-dssm-db"])
        #expect(policy.alternativeNames.contains("f5-dssm-sentinel-2.f5-dssm-sentinel"))
        policy.namespace = "cnf-gateway"
        policy.additionalNames = ["extra.test", "localhost"]
        let names = policy.alternativeNames
        #expect(names.contains("f5-dssm-db-0.f5-dssm-db.cnf-gateway.svc.cluster.local"))
        #expect(names.contains("f5-dssm-sentinel.cnf-gateway"))
        #expect(names.last == "extra.test" && Set(names).count == names.count)
        policy.release = "blue"
        #expect(policy.alternativeNames.contains("blue-f5-dssm-db-1.blue-f5-dssm-db"))
        #expect(IssuingPolicy(profile: .manual).alternativeNames.isEmpty)
    }

    @Test("A leaf does not outlive its CA, and offsets apply to the leaf alone")
    func validity() {
        var policy = IssuingPolicy()
        #expect(policy.leaf(now: now, authorityNotAfter: now + 10).notAfter == now + 10)
        #expect(policy.authority(now: now).notAfter == now + 365 * day)
        policy.notBeforeOffset = -200
        policy.notAfterOffset = -100
        let leaf = policy.leaf(now: now, authorityNotAfter: now + 10)
        #expect(leaf.notBefore == now - 200 && leaf.notAfter == now - 100)
        #expect(policy.authority(now: now).notAfter == now + 365 * day)
    }
}
