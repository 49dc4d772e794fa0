import KubernetesAPI
import KubernetesTestServer
import TLS
import Testing

@testable import CertificateIssuing

@Suite("Secrets in a cluster") struct KubernetesIssuingTests {
    @Test("A fresh cluster gets its Secrets, with label, type and Events; a second run writes nothing at all")
    func fresh() async throws {
        try await KubernetesHarness.run { harness in
            let outcome = try await harness.run()
            #expect(harness.defects == [])
            #expect(outcome.writes == 6 && outcome.problems.isEmpty && outcome.waitUntil == nil)
            for (namespace, kind) in [
                ("home", SecretKind.certificates), ("home", .keys), ("tmm-a", .certificates), ("tmm-a", .keys),
            ] {
                let object = try #require(harness.server.object(.secrets, kind.name, namespace))
                #expect(object.labels[SecretMark.ownerLabel] == SecretMark.owner && object["type"] == "Opaque")
                let events = harness.server.objects(.events, namespace)
                #expect(
                    events.contains {
                        $0["involvedObject", "name"]?.string == kind.name && $0["reason"] == "Issued"
                            && $0["involvedObject", "uid"]?.string == object.uid
                    })
            }
            let certificates = try #require(harness.server.object(.secrets, "dssm-certs-secret", "tmm-a"))
            #expect(
                Set(certificates["data"]?.strings.keys.map { $0 } ?? [])
                    == ["dssm-ca.crt", "dssm-cert.crt", "dhparam2048.pem"])
            #expect(harness.log.all.contains { $0.contains("dssm-keys-secret is missing") })

            let writes = harness.writes.count
            let again = try await harness.run()
            #expect(harness.writes.count == writes && again.writes == 0)
            #expect(harness.log.all.last?.contains("nothing was written") == true)
        }
    }

    @Test("Neither logs nor Events show a key")
    func secrecy() async throws {
        try await KubernetesHarness.run { harness in
            harness.settings.keepsAuthorityKey = true
            try await harness.run()
            harness.clock.advance(300 * day)
            harness.settings.keepsAuthorityKey = false
            harness.settings.policy.authorityDays = nil
            try await harness.run()
            var texts = harness.log.all
            for namespace in ["home", "tmm-a"] {
                texts += harness.server.objects(.events, namespace).map(\.json.text)
            }
            #expect(texts.count > 20)
            for text in texts { #expect(!text.contains("PRIVATE KEY") && !text.contains("LS0tLS1CRUdJTiBQUk")) }
            #expect(harness.server.object(.secrets, "dssm-ca-key-secret", "home") == nil)
        }
    }

    @Test("A renewal goes through its stages over runs of a clock, down to one CA again")
    func overlap() async throws {
        try await KubernetesHarness.run { harness in
            harness.settings.propagationDelaySeconds = 300
            try await harness.run()
            let serial = harness.state.set("home").leaf?.summary.serial
            harness.clock.advance(300 * day)
            let published = try await harness.run()
            #expect(published.waitUntil == harness.clock.now + 300)
            #expect(harness.state.set("tmm-a").authorities.count == 2)
            #expect(harness.state.set("tmm-a").leaf?.summary.serial == serial)
            harness.clock.advance(300)
            try await harness.run()
            #expect(harness.state.set("tmm-a").leaf?.summary.serial != serial)
            #expect(harness.state.set("home").authorities.count == 2 && harness.defects == [])
            harness.clock.advance(day)
            try await harness.run()
            #expect(harness.state.set("home").authorities.count == 1 && harness.defects == [])
            let writes = harness.writes.count
            try await harness.run()
            #expect(harness.writes.count == writes)
        }
    }

    @Test("A run that may wait does all stages at once")
    func waiting() async throws {
        try await KubernetesHarness.run { harness in
            harness.settings.propagationDelaySeconds = 300
            try await harness.run()
            harness.clock.advance(300 * day)
            let (before, clock) = (harness.clock.now, harness.clock)
            var issuing = harness.issuing()
            issuing.waitsForDelay = true
            issuing.sleep = { clock.advance(max(1, $0.components.seconds)) }
            let outcome = try await issuing.run()
            #expect(outcome.waitUntil == nil && clock.now == before + 300 && harness.defects == [])
            #expect(harness.state.set("home").leaf?.summary.notAfter == before + 365 * day)
        }
    }

    @Test("Runs at the same time agree on one pair", arguments: [2, 5])
    func concurrent(count: Int) async throws {
        try await KubernetesHarness.run { harness in
            // Once from nothing, once as a renewal.
            for pause in [0, 300] {
                harness.clock.advance(Int64(pause) * day)
                let issuing = harness.issuing()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<count { group.addTask { _ = try await issuing.run() } }
                    try await group.waitForAll()
                }
                #expect(harness.defects == [])
                #expect(harness.state["home", .renewal]?.items == [:])
                #expect(harness.state.set("home").authorities.count == (pause == 0 ? 1 : 2))
            }
            let issued = harness.server.objects(.events, "home").filter {
                ["Issuing", "RenewalBegun"].contains($0["reason"]?.string)
            }
            #expect(issued.count == 2)
        }
    }

    @Test("Who planned before another run's whole renewal cannot issue any more")
    func stalePlan() async throws {
        try await KubernetesHarness.run { harness in
            for isFresh in [true, false] {
                if !isFresh { harness.clock.advance(300 * day) }
                let store = SecretStore(client: harness.client, release: "f5-dssm")
                let snapshot = try #require(try await store.read(home: "home", others: ["tmm-a"]))
                let plan = SecretPlanner(
                    settings: harness.settings, state: snapshot.state, now: harness.clock.now
                ).plan()
                guard case .issue(let order) = plan.actions.first else {
                    Issue.record("nothing to issue")
                    return
                }
                let write = try RenewalMaterial.make(
                    order, settings: harness.settings, home: "home", present: snapshot.state["home", .renewal],
                    now: harness.clock.now, dhParameters: try DHParameters.standard())
                try await harness.run()
                let error = await #expect(throws: KubernetesError.self) {
                    _ = try await store.perform(write, on: snapshot)
                }
                #expect(error?.code == (isFresh ? .alreadyExists : .conflict))
            }
        }
    }

    @Test("A reading during which a renewal went on is not used")
    func torn() async throws {
        try await KubernetesHarness.run { harness in
            try await harness.run()
            let server = harness.server
            let last = "/api/v1/namespaces/tmm-a/secrets/dssm-keys-secret"
            server.setFault { request in
                guard request.path == last, var object = server.object(.secrets, "dssm-renewal-secret", "home") else {
                    return nil
                }
                object.annotations["touched"] = "\(server.requests.count)"
                server.put(.secrets, object)
                return nil
            }
            let store = SecretStore(client: harness.client, release: "f5-dssm")
            #expect(try await store.read(home: "home", others: ["tmm-a"]) == nil)
            server.setFault(nil)
            #expect(try await store.read(home: "home", others: ["tmm-a"]) != nil)
        }
    }

    @Test("Secrets made by hand are never written, whatever is wrong with them")
    func manual() async throws {
        try await KubernetesHarness.run { harness in
            let pair = try Fixture.pair()
            harness.put(pair.certificates(isOwned: false), "home", .certificates)
            harness.put(pair.keys(isOwned: false), "home", .keys)
            let good = try await harness.run()
            #expect(!good.hasFatalProblems && good.writes == 2 && harness.defects == [])
            harness.put(try Fixture.pair().keys(isOwned: false), "home", .keys)
            let bad = try await harness.run(isForced: true)
            #expect(bad.hasFatalProblems && bad.writes == 0)
            #expect(harness.log.all.contains { $0.contains("does not belong to the certificate") })
            let events = harness.server.objects(.events, "home")
            #expect(events.contains { $0["type"] == "Warning" && $0["reason"] == "Unusable" })
            let touched = harness.writes.filter { $0.path.contains("/namespaces/home/secrets") }
            #expect(touched.isEmpty)
        }
    }

    @Test("Additional items, labels and annotations of our Secrets survive a renewal")
    func additions() async throws {
        try await KubernetesHarness.run { harness in
            try await harness.run()
            var object = try #require(harness.server.object(.secrets, "dssm-certs-secret", "tmm-a"))
            object["data", "extra"] = "eA=="
            object.labels["team"] = "core"
            object.annotations["note"] = "x"
            harness.server.put(.secrets, object)
            harness.clock.advance(300 * day)
            try await harness.run()
            let after = try #require(harness.server.object(.secrets, "dssm-certs-secret", "tmm-a"))
            #expect(after["data", "extra"] == "eA==" && after.labels["team"] == "core")
            #expect(after.annotations["note"] == "x")
        }
    }

    @Test("Events that cannot be written change nothing else", arguments: [403, 500, 0])
    func lostEvents(status: Int) async throws {
        try await KubernetesHarness.run { harness in
            harness.server.setFault { request in
                guard request.path.hasSuffix("/events") else { return nil }
                return status == 0 ? .cut : .init(status, message: "no")
            }
            let outcome = try await harness.run()
            #expect(outcome.writes == 6)
            #expect(harness.defects == [])
        }
    }

    @Test("A namespace that does not exist is named, and the others are done")
    func missingNamespace() async throws {
        try await KubernetesHarness.run { harness in
            harness.settings.tmmNamespaces = ["nowhere", "tmm-a"]
            harness.server.setNamespaces(["home", "tmm-a"])
            let outcome = try await harness.run()
            #expect(outcome.leftOut == [.init(namespace: "nowhere", reason: "it does not exist")])
            harness.settings.tmmNamespaces = ["tmm-a"]
            #expect(harness.defects == [])
            harness.settings.tmmNamespaces = ["nowhere", "tmm-a"]
            harness.server.setNamespaces(["home", "tmm-a", "nowhere"])
            #expect(try await harness.run().leftOut.isEmpty && harness.defects == [])
            harness.clear()
            harness.server.setNamespaces(["tmm-a"])
            let failure = await #expect(throws: KubernetesIssuing.Failure.self) { try await harness.run() }
            #expect(failure?.description == "namespace home: it does not exist")
        }
    }

    @Test("A namespace in which nothing is allowed is named, and the others are done", arguments: ["GET", "POST"])
    func closedNamespace(method: String) async throws {
        try await KubernetesHarness.run { harness in
            harness.settings.tmmNamespaces = ["closed", "tmm-a"]
            harness.server.setNamespaces(["home", "tmm-a", "closed"])
            harness.server.setFault {
                $0.method == method && $0.path.contains("/closed/") ? .init(403, message: "secrets is forbidden") : nil
            }
            let outcome = try await harness.run()
            #expect(outcome.leftOut.map(\.namespace) == ["closed"])
            #expect(outcome.leftOut.first?.reason.contains("secrets is forbidden (403)") == true)
            harness.settings.tmmNamespaces = ["tmm-a"]
            #expect(harness.defects == [])
        }
    }

    @Test("What is forbidden ends the run with what was asked for; what fails for long is given up")
    func refusals() async throws {
        try await KubernetesHarness.run { harness in
            harness.server.setFault { $0.method == "POST" ? .init(403, message: "secrets is forbidden") : nil }
            let forbidden = await #expect(throws: KubernetesIssuing.Failure.self) { try await harness.run() }
            #expect(
                forbidden?.description == "POST /api/v1/namespaces/home/secrets: secrets is forbidden (403)")
            harness.server.setFault { _ in .init(503, message: "down") }
            let before = harness.server.requests.count
            let down = await #expect(throws: KubernetesIssuing.Failure.self) { try await harness.run() }
            #expect(down?.description.contains("down (503)") == true)
            #expect(harness.server.requests.count - before == harness.issuing().failureLimit + 1)
        }
    }

    @Test("Inspection of Secrets shows items, chain and owner of the key, and a missing Secret")
    func inspection() async throws {
        try await KubernetesHarness.run { harness in
            try await harness.run()
            let inspection = try await Inspection.ofSecrets(["home", "tmm-a"], harness.client)
            let text = inspection.table(now: harness.clock.now).joined(separator: "\n")
            #expect(!inspection.hasFailures && text.contains("tmm-a/dssm-keys-secret/dssm-key.key"))
            #expect(text.contains("365 days left") && text.contains("2048 bits"))
            #expect(text.contains("belongs to the certificate in home/dssm-certs-secret/dssm-cert.crt"))
            #expect(!text.contains("PRIVATE"))
            #expect(try await Inspection.ofSecrets(["other"], harness.client).hasFailures)
        }
    }
}
