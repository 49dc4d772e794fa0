import TLS
import Testing

@testable import CertificateIssuing

@Suite("Renewals keep the trust") struct RenewalTests {
    /// A cluster whose certificates are due.
    func due(profile: IssuingPolicy.Profile = .standard) throws -> ModelCluster {
        var settings = Fixture.settings()
        settings.policy.profile = profile
        var cluster = ModelCluster(Fixture.cluster(try Fixture.pair(settings)))
        cluster.settings = settings
        cluster.now += 300 * day
        return cluster
    }

    @Test("After each single write every namespace trusts every certificate in use")
    func trust() throws {
        var cluster = try due()
        let old = try #require(cluster.state.set("home").authorities.first)
        try cluster.run { state in #expect(state.distrusts == []) }
        #expect(
            cluster.history.map { $0.split(separator: ":")[0] } == [
                "issue by a new CA", "AuthorityPublished home/dssm-certs-secret",
                "AuthorityPublished tmm-a/dssm-certs-secret", "AuthorityPublished tmm-b/dssm-certs-secret",
                "RenewalGoesOn home/dssm-renewal-secret", "Renewed home/dssm-keys-secret",
                "Renewed home/dssm-certs-secret", "Renewed tmm-a/dssm-keys-secret", "Renewed tmm-a/dssm-certs-secret",
                "Renewed tmm-b/dssm-keys-secret", "Renewed tmm-b/dssm-certs-secret",
                "RenewalDone home/dssm-renewal-secret",
            ])
        let set = cluster.state.set("home")
        #expect(set.authorities.count == 2 && set.authorities.last?.fingerprint == old.fingerprint)
        #expect(set.signer?.fingerprint == set.authorities.first?.fingerprint)
    }

    @Test("The old CA leaves all bundles when the overlap is over, and not before")
    func overlap() throws {
        var cluster = try due()
        try cluster.run()
        cluster.now += day - 1
        let early = cluster.plan()
        #expect(early.actions.isEmpty && early.remarks.contains { $0.contains("stays trusted until") })
        cluster.now += 1
        let before = cluster.history.count
        try cluster.run { state in #expect(state.distrusts == []) }
        #expect(
            Array(cluster.history[before...]).map { $0.split(separator: ":")[0] } == [
                "OldAuthorityDropped home/dssm-certs-secret", "Copied tmm-a/dssm-certs-secret",
                "Copied tmm-b/dssm-certs-secret",
            ])
        for namespace in cluster.state.namespaces {
            #expect(cluster.state.set(namespace).authorities.count == 1)
            #expect(cluster.state[namespace, .certificates]?.annotations[SecretMark.trustUntil] == nil)
        }
        #expect(cluster.state.defects(now: cluster.now) == [])
    }

    @Test("With a delay the stages are spread over runs, measured from when the last namespace had the new CA")
    func delay() throws {
        var cluster = try due()
        cluster.settings.propagationDelaySeconds = 600
        let serial = cluster.state.set("home").leaf?.summary.serial
        let first = try cluster.run()
        #expect(first.waitUntil == cluster.now + 600)
        #expect(cluster.state.set("home").leaf?.summary.serial == serial)
        #expect(cluster.state.namespaces.allSatisfy { cluster.state.set($0).authorities.count == 2 })
        let written = cluster.history.count
        cluster.now += 599
        #expect(try cluster.run().waitUntil == cluster.now + 1)
        #expect(cluster.history.count == written)
        // What is published is kept up meanwhile.
        let certificate = cluster.state["tmm-b", .certificates]?.items[SecretItem.certificate]
        cluster.state["tmm-b", .certificates]?.items[SecretItem.authority] = certificate
        #expect(cluster.plan().lines == ["AuthorityPublished tmm-b/dssm-certs-secret: dssm-ca.crt"])
        cluster.now += 1
        let last = try cluster.run { state in
            #expect(!state.distrusts.contains { $0.hasPrefix("home ") })
        }
        #expect(last.waitUntil == nil && cluster.state.set("home").leaf?.summary.serial != serial)
        // The overlap begins with the use of the new certificates.
        let until = cluster.state["tmm-a", .certificates]?.annotations[SecretMark.trustUntil]
        #expect(until.flatMap(Timestamp.seconds) == cluster.now + day)
        #expect(cluster.state.defects(now: cluster.now) == [])
    }

    @Test("A CA whose key is kept signs the renewal, and no bundle changes")
    func keptKey() throws {
        var cluster = ModelCluster(Fixture.cluster(nil))
        cluster.settings.keepsAuthorityKey = true
        cluster.settings.policy.authorityDays = 3650
        try cluster.run()
        #expect(cluster.state["home", .authorityKey]?.items[SecretItem.authorityKey] != nil)
        let authority = cluster.state.set("home").authorities.map(\.fingerprint)
        cluster.now += 300 * day
        #expect(cluster.plan().lines == ["issue by the present CA"])
        try cluster.run { state in #expect(state.distrusts == []) }
        #expect(cluster.state.set("tmm-b").authorities.map(\.fingerprint) == authority)
        #expect(cluster.state.defects(now: cluster.now) == [])
        // The CA itself is due one day, and a key that does not fit does not sign.
        var late = cluster
        late.now += 2500 * day
        #expect(late.plan().lines == ["issue by a new CA"])
        cluster.now += 300 * day
        cluster.state["home", .authorityKey]?.items[SecretItem.authorityKey] = try PrivateKey.generate(.ecdsaP256).pem()
        #expect(cluster.plan().lines == ["issue by a new CA"])
        try cluster.run { state in #expect(state.distrusts == []) }
        let key = try #require(cluster.state["home", .authorityKey]?.items[SecretItem.authorityKey])
        let signer = try #require(cluster.state.set("home").signer)
        #expect(signer.matches(try PrivateKey.parse(pem: key, name: "key")))
    }

    @Test("A run that is forced renews everything once, by a new CA")
    func forced() throws {
        var cluster = ModelCluster(Fixture.cluster(try Fixture.pair()))
        cluster.settings.keepsAuthorityKey = true
        let serial = cluster.state.set("home").leaf?.summary.serial
        try cluster.run(isForced: true) { state in #expect(state.distrusts == []) }
        #expect(cluster.history.filter { $0.hasPrefix("issue") } == ["issue by a new CA"])
        #expect(cluster.state.set("tmm-a").leaf?.summary.serial != serial)
        #expect(cluster.plan().actions.isEmpty)
    }

    @Test("CAs that are trusted side by side have different names, so that certificates without key identifiers verify")
    func names() throws {
        var cluster = try due(profile: .manual)
        try cluster.run()
        let set = cluster.state.set("home")
        #expect(
            set.authorities.map(\.summary.subject) == [
                "O=Redis Test, CN=Certificate Authority 2", "O=Redis Test, CN=Certificate Authority",
            ])
        #expect(set.leaf?.summary.issuer == "O=Redis Test, CN=Certificate Authority 2")
    }

    @Test("Renewals in quick succession keep a bounded number of CAs, the one in use among them")
    func succession() throws {
        var cluster = try due()
        for _ in 0..<7 {
            try cluster.run(isForced: true) { state in #expect(state.distrusts == []) }
            cluster.now += 60
        }
        #expect(cluster.state.set("home").authorities.count == SecretPlanner.mostTrusted + 1)
    }

    @Test("A CA that only one namespace uses stays trusted, however many others there are")
    func manyAuthorities() throws {
        var cluster = try due()
        let others = try (0..<6).flatMap { _ in try Fixture.pair().authority.certificate.pem() }
        cluster.state["home", .certificates]?.items[SecretItem.authority]? += others
        let lonely = try Fixture.pair()
        cluster.state["tmm-b", .certificates] = lonely.certificates()
        cluster.state["tmm-b", .keys] = lonely.keys()
        try cluster.run()
        let trusted = cluster.state.set("home").authorities.map(\.fingerprint)
        #expect(trusted.contains(lonely.authority.certificate.fingerprint))
        #expect(trusted.count == SecretPlanner.mostTrusted + 1)
    }

    @Test("Expired CAs are not published any more")
    func expiredAuthority() throws {
        var cluster = try due()
        cluster.now += 100 * day
        try cluster.run()
        #expect(cluster.state.set("home").authorities.count == 1)
        #expect(cluster.state.defects(now: cluster.now) == [])
    }

    @Test("A renewal that cannot be used any more is begun anew", arguments: ["damaged", "expired", "parameters"])
    func uselessRenewal(_ kind: String) throws {
        var cluster = try due()
        cluster.settings.propagationDelaySeconds = 600
        try cluster.run()
        switch kind {
        case "damaged": cluster.state["home", .renewal]?.items[SecretItem.key] = [1, 2, 3]
        case "parameters": cluster.state["home", .renewal]?.items[SecretItem.dhParameters] = nil
        default: cluster.now += 366 * day
        }
        let plan = cluster.plan()
        #expect(plan.lines.count == 1 && plan.lines[0].hasPrefix("issue"))
        #expect(plan.reasons.first?.hasPrefix("the renewal under way cannot be used") == true)
        try cluster.run()
        cluster.now += 600
        try cluster.run()
        #expect(cluster.state.defects(now: cluster.now) == [])
    }

    @Test("A renewal ends when the installation's Secrets are replaced by hand, and leaves no key behind")
    func replacedByHand() throws {
        var cluster = try due()
        cluster.settings.propagationDelaySeconds = 600
        try cluster.run()
        let mine = try Fixture.pair(issued: cluster.now)
        cluster.state["home", .certificates] = mine.certificates(isOwned: false)
        cluster.state["home", .keys] = mine.keys(isOwned: false)
        try cluster.run()
        #expect(cluster.state["home", .renewal]?.items == [:])
        #expect(cluster.state.set("tmm-a").leaf?.fingerprint == mine.leaf.certificate.fingerprint)
    }

    @Test("A spoilt end of the overlap begins it again instead of ending it")
    func spoiltTime() throws {
        var cluster = try due()
        try cluster.run()
        for namespace in cluster.state.namespaces {
            cluster.state[namespace, .certificates]?.annotations[SecretMark.trustUntil] = "soon"
        }
        try cluster.run()
        #expect(cluster.state.set("home").authorities.count == 2)
        let until = cluster.state["tmm-b", .certificates]?.annotations[SecretMark.trustUntil]
        #expect(until == Timestamp.text(cluster.now + day))
    }
}
