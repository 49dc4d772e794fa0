import TLS
import Testing

@testable import CertificateIssuing

@Suite("What is done about Secrets, and why") struct SecretPlannerTests {
    /// A situation, made from a good cluster, and the reason that must be told.
    struct Situation: CustomTestStringConvertible, Sendable {
        let name: String
        let reason: String
        /// What must begin the plan.
        let first: String
        let change: @Sendable (inout ModelCluster) throws -> Void
        var testDescription: String { name }
    }

    static let situations: [Situation] = [
        Situation(name: "nothing there", reason: "dssm-certs-secret is missing", first: "issue by a new CA") {
            $0.state.secrets = [:]
        },
        Situation(name: "expired", reason: "the certificate has expired", first: "issue by a new CA") {
            $0.now += 366 * day
        },
        Situation(name: "soon expiring", reason: "the certificate expires in 100 days", first: "issue by a new CA") {
            $0.now += 265 * day
        },
        Situation(name: "renew-before", reason: "the certificate expires in 300 days", first: "issue by a new CA") {
            $0.now += 65 * day
            $0.settings.renewBeforeSeconds = 301 * day
        },
        Situation(name: "not valid yet", reason: "the certificate is not valid yet", first: "issue by a new CA") {
            $0.now -= day
        },
        Situation(
            name: "another key", reason: "the key in dssm-key.key does not belong to the certificate",
            first: "issue by a new CA"
        ) { cluster in
            let other = try PrivateKey.generate(.ecdsaP256).pem()
            for namespace in cluster.state.namespaces {
                cluster.state[namespace, .keys]?.items[SecretItem.key] = other
            }
        },
        Situation(
            name: "another CA", reason: "the certificate is not signed by a CA in dssm-ca.crt",
            first: "issue by a new CA"
        ) { cluster in
            let other = try Fixture.pair().authority.certificate.pem()
            for namespace in cluster.state.namespaces {
                cluster.state[namespace, .certificates]?.items[SecretItem.authority] = other
            }
        },
        Situation(
            name: "lacking names", reason: "the certificate lacks 1 of its", first: "issue by a new CA"
        ) { $0.settings.policy.additionalNames = ["db.example.com"] },
        Situation(name: "damaged", reason: "holds no private key", first: "issue by a new CA") { cluster in
            for namespace in cluster.state.namespaces {
                cluster.state[namespace, .keys]?.items[SecretItem.key] = Array("nonsense".utf8)
            }
        },
        Situation(
            name: "no parameters", reason: "dhparam2048.pem is missing", first: "make DH parameters"
        ) { $0.state["home", .certificates]?.items[SecretItem.dhParameters] = nil },
        Situation(
            name: "weaker parameters", reason: "dhparam2048.pem has 2048 bits, fewer than 3072",
            first: "make DH parameters"
        ) { $0.settings.dhParameters = .ffdhe3072 },
        Situation(
            name: "a namespace without the key", reason: "dssm-keys-secret is missing",
            first: "Copied tmm-b/dssm-keys-secret: dssm-key.key"
        ) { $0.state["tmm-b", .keys] = nil },
        Situation(
            name: "a namespace with an old certificate", reason: "dssm-cert.crt is not that of namespace home",
            first: "Copied tmm-a/dssm-keys-secret: dssm-key.key"
        ) { cluster in
            let other = try Fixture.pair()
            cluster.state["tmm-a", .certificates] = other.certificates()
            cluster.state["tmm-a", .keys] = other.keys()
        },
        Situation(
            name: "the installation's own are lost", reason: "restored from namespace tmm-a",
            first: "Restored home/dssm-keys-secret: dssm-key.key"
        ) { cluster in
            cluster.state["home", .certificates] = nil
            cluster.state["home", .keys] = nil
        },
        Situation(
            name: "marks lost", reason: "the annotations were incomplete", first: "Marked home/dssm-certs-secret: "
        ) { $0.state["home", .certificates]?.annotations = [:] },
        Situation(
            name: "a CA key that is not to be kept", reason: "keepCAKey is off",
            first: "delete home/dssm-ca-key-secret"
        ) { $0.state["home", .authorityKey] = SecretState(items: [SecretItem.authorityKey: [1]]) },
    ]

    @Test("Each fault is found, told, and mended in all namespaces", arguments: situations)
    func situation(_ situation: Situation) throws {
        var cluster = ModelCluster(Fixture.cluster(try Fixture.pair()))
        #expect(cluster.plan().actions.isEmpty)
        try situation.change(&cluster)
        let plan = cluster.plan()
        #expect(plan.lines.first == situation.first)
        #expect(plan.reasons.contains { $0.contains(situation.reason) }, "\(plan.reasons)")
        try cluster.run()
        #expect(
            cluster.state.defects(now: cluster.now, names: cluster.settings.policy.alternativeNames) == [],
            "\(cluster.history)")
        #expect(cluster.plan().actions.isEmpty)
    }

    @Test("A fresh installation gets the key before the certificate, and nothing stays behind")
    func fresh() throws {
        var cluster = ModelCluster(Fixture.cluster(nil, tmm: ["tmm-a"]))
        try cluster.run()
        let certificates = "dhparam2048.pem dssm-ca.crt dssm-cert.crt"
        #expect(
            cluster.history == [
                "issue by a new CA", "Issued home/dssm-keys-secret: dssm-key.key",
                "Issued home/dssm-certs-secret: \(certificates)", "Issued tmm-a/dssm-keys-secret: dssm-key.key",
                "Issued tmm-a/dssm-certs-secret: \(certificates)", "RenewalDone home/dssm-renewal-secret: ",
            ])
        #expect(cluster.state["home", .renewal]?.items == [:])
        #expect(cluster.state["home", .authorityKey] == nil)
        let leaf = try #require(cluster.state.set("home").leaf)
        for namespace in cluster.state.namespaces {
            for kind in [SecretKind.certificates, .keys] {
                #expect(cluster.state[namespace, kind]?.annotations == [SecretMark.pair: leaf.fingerprint])
            }
        }
    }

    @Test("A renewal's margin never makes a new certificate due at once, whatever it is")
    func margins() throws {
        let summary = try Fixture.pair().leaf.certificate.summary
        for margin: Int64? in [nil, 0, 1, day, 364 * day, 365 * day, 366 * day, .max] {
            #expect(!Renewal.isDue(summary, renewBefore: margin, now: startTime))
            #expect(Renewal.isDue(summary, renewBefore: margin, now: summary.notAfter + 1) == true)
        }
    }

    @Test("Material of another CA does not replace a pair that still works")
    func noForeignRestore() throws {
        var cluster = ModelCluster(Fixture.cluster(try Fixture.pair(), tmm: ["tmm-a"]))
        cluster.now += 300 * day
        let other = try Fixture.pair(issued: cluster.now)
        cluster.state["tmm-a", .certificates] = other.certificates()
        cluster.state["tmm-a", .keys] = other.keys()
        #expect(cluster.plan().lines == ["issue by a new CA"])
    }

    // MARK: Secrets of others

    @Test("Secrets made by hand are used, copied to other namespaces and never written", arguments: [true, false])
    func manual(isWhole: Bool) throws {
        var cluster = ModelCluster(ClusterState(home: "home", others: ["tmm-a"]))
        var policy = IssuingPolicy(profile: .manual, keyAlgorithm: .ecdsaP256)
        policy.namespace = "home"
        var settings = Fixture.settings()
        settings.policy = policy
        let pair = try Fixture.pair(settings)
        cluster.state["home", .certificates] = pair.certificates(isOwned: false)
        cluster.state["home", .keys] = pair.keys(isOwned: !isWhole)
        let before = cluster.state.secrets
        let plan = try cluster.run()
        #expect(cluster.history.allSatisfy { $0.hasPrefix("Copied tmm-a/") || $0.hasPrefix("Marked home/dssm-keys") })
        for (reference, secret) in before where !secret.isOwned { #expect(cluster.state.secrets[reference] == secret) }
        #expect(cluster.state["tmm-a", .keys]?.items == cluster.state["home", .keys]?.items)
        #expect(plan.problems.allSatisfy { !$0.isFatal })
        // The default profile's names are not in it: told, no more.
        #expect(plan.problems.first?.texts.first?.contains("lacks") == true)
    }

    @Test("What is wrong with Secrets made by hand is explained, and nothing is issued beside them")
    func unusable() throws {
        var cluster = ModelCluster(ClusterState(home: "home", others: ["tmm-a"]))
        let pair = try Fixture.pair()
        cluster.state["home", .certificates] = pair.certificates(isOwned: false)
        let missing = cluster.plan()
        #expect(missing.actions.isEmpty && missing.problems.first?.texts == ["dssm-keys-secret is missing"])
        #expect(missing.problems.first?.isFatal == true)
        cluster.state["home", .keys] = try Fixture.pair().keys(isOwned: false)
        let mismatch = cluster.plan()
        #expect(mismatch.actions.isEmpty)
        #expect(mismatch.problems.first?.texts == ["the key in dssm-key.key does not belong to the certificate"])
        cluster.state["home", .keys] = pair.keys(isOwned: false)
        cluster.now += 400 * day
        #expect(cluster.plan().problems.first?.texts.contains("the certificate has expired") == true)
        #expect(cluster.plan().actions.isEmpty)
    }

    @Test("A TMM namespace with Secrets of another CA is left alone and named")
    func foreignNamespace() throws {
        var cluster = ModelCluster(Fixture.cluster(try Fixture.pair()))
        let other = try Fixture.pair()
        cluster.state["tmm-a", .certificates] = other.certificates(isOwned: false)
        cluster.state["tmm-a", .keys] = other.keys(isOwned: false)
        let plan = try cluster.run()
        #expect(cluster.history.isEmpty)
        let problem = try #require(plan.problems.first)
        #expect(problem.isFatal && problem.reference == SecretReference("tmm-a", .certificates))
        #expect(
            problem.texts == [
                "its certificate is not signed by a CA that home trusts",
                "its dssm-ca.crt does not trust the certificate of home",
            ])
        // The same CA is fine, whoever made the Secrets.
        let same = try Fixture.pair(authority: nil)
        cluster.state = Fixture.cluster(same)
        cluster.state["tmm-a", .certificates]?.isOwned = false
        #expect(cluster.plan().problems.isEmpty)
    }

    @Test("A renewal Secret that somebody else made stops issuing, and says so")
    func foreignRenewal() throws {
        var cluster = ModelCluster(Fixture.cluster(nil))
        cluster.state["home", .renewal] = SecretState(isOwned: false, items: [:])
        let plan = cluster.plan()
        #expect(plan.actions.isEmpty && plan.problems.first?.isFatal == true)
    }

    @Test("Neither description of a Secret shows what is in it")
    func descriptions() throws {
        let secret = try Fixture.pair().keys()
        #expect("\(secret)" == "Secret(dssm-key.key)" && String(reflecting: secret) == "Secret(dssm-key.key)")
    }
}
