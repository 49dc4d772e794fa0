import TLS
import Testing

@testable import CertificateIssuing

@Suite("Settings of the Kubernetes mode") struct KubernetesSettingsTests {
    private func parsed(_ text: String) throws -> KubernetesSettings {
        var settings = KubernetesSettings()
        try settings.apply(yaml: text, file: "s.yaml")
        return settings
    }

    @Test("A file sets everything; what it leaves out or leaves empty keeps its default")
    func whole() throws {
        let settings = try parsed(
            """
            profile: manual
            keyAlgorithm: ecdsa-p384
            days: 90
            authorityDays: 3650
            renewBefore: 30d
            subject: /O=Example/CN=dSSM
            authoritySubject: /CN=dSSM CA
            names: [db.example.com, 10.0.0.1]
            release: blue
            namespace: cnf-gateway
            replicas: 5
            clusterDomain: k8s.example
            tmmNamespaces: [cnf-tmm]
            dhParameters: ffdhe3072
            keepCAKey: true
            propagationDelay: 5m
            overlap: 48h
            """)
        #expect(settings.policy.profile == .manual && settings.policy.keyAlgorithm == .ecdsaP384)
        #expect(settings.policy.days == 90 && settings.policy.authorityDays == 3650)
        #expect(settings.renewBeforeSeconds == 30 * day && settings.policy.subject?.last?.value == "dSSM")
        #expect(settings.policy.authoritySubject?.map(\.value) == ["dSSM CA"])
        #expect(settings.policy.alternativeNames == ["db.example.com", "10.0.0.1"])
        #expect(settings.policy.release == "blue" && settings.policy.namespace == "cnf-gateway")
        #expect(settings.policy.replicas == 5 && settings.policy.clusterDomain == "k8s.example")
        #expect(settings.tmmNamespaces == ["cnf-tmm"] && settings.dhParameters == .ffdhe3072)
        #expect(settings.keepsAuthorityKey && settings.propagationDelaySeconds == 300)
        #expect(settings.overlapSeconds == 2 * day)
        for text in ["", "# nothing\n", "days:\nsubject: ~\n"] {
            let empty = try parsed(text)
            #expect(empty.policy.days == 365 && empty.policy.keyAlgorithm == .rsa4096 && !empty.keepsAuthorityKey)
            #expect(empty.overlapSeconds == day && empty.propagationDelaySeconds == 0)
            #expect(empty.renewBeforeSeconds == nil && empty.dhParameters == .ffdhe2048)
        }
    }

    @Test(
        "A wrong setting is told with file and line",
        arguments: [
            ("days: 0", 1, "days: must be from 1 to 825"), ("days: 826", 1, "days"), ("days: '9'", 1, "whole number"),
            ("days: 99999999999999999999", 1, "whole number"), ("\nprofil: manual", 2, "'profil' is no setting"),
            ("profile: none", 1, "must be one of default, manual"), ("keyAlgorithm: rsa1024", 1, "ecdsa-p384"),
            ("days: 10\nrenewBefore: 10d", 2, "shorter than the certificate's life"),
            ("renewBefore: -1d", 1, "renewBefore"), ("overlap: later", 1, "must be a time such as"),
            ("overlap: -1s", 1, "must not be negative"), ("overlap: 9223372036854775807d", 1, "time"),
            ("subject: CN=x", 1, "must look like"), ("names: a", 1, "must be a list"),
            ("names: [[a]]", 1, "list of texts"),
            ("replicas: 0", 1, "replicas"), ("replicas: 101", 1, "replicas"), ("namespace: A_b", 1, "no name"),
            ("tmmNamespaces: [ok, -x]", 1, "'-x' is no name"), ("clusterDomain: a..b", 1, "is no domain"),
            ("days: 400\nauthorityDays: 399", 2, "authorityDays"), ("dhParameters: 1024", 1, "ffdhe3072"),
            ("keepCAKey: 1", 1, "true or false"), ("a: 1\na: 2", 2, "a"), ("days: [1", 1, ""),
        ])
    func wrong(_ text: String, _ line: Int, _ part: String) {
        let error = #expect(throws: SettingsFileError.self) { _ = try parsed(text) }
        #expect(error?.description.contains(part) == true, "\(String(describing: error))")
        #expect(error?.description.hasPrefix("s.yaml, line ") == true)
        if !part.isEmpty { #expect(error?.description.hasPrefix("s.yaml, line \(line)") == true) }
    }

    @Test("Names follow release, namespace, replicas and domain; the usual release's name collapses")
    func names() {
        var policy = IssuingPolicy()
        policy.namespace = "ns"
        policy.replicas = 2
        policy.clusterDomain = "k8s.example"
        let usual = policy.alternativeNames
        for name in [
            "localhost", "127.0.0.1", "::1", "f5-dssm-db", "f5-dssm-sentinel.ns.svc.k8s.example",
            "f5-dssm-db-1.f5-dssm-db.ns.svc.k8s.example", "f5-dssm-sentinel-0.f5-dssm-sentinel.ns",
        ] { #expect(usual.contains(name), "\(name)") }
        #expect(!usual.contains { $0.contains("-2.") || $0.contains("cluster.local") })
        policy.release = "blue"
        #expect(policy.alternativeNames.contains("blue-f5-dssm-db-0.blue-f5-dssm-db.ns.svc"))
    }

    @Test("Standard groups have their sizes, and other parameters are told apart")
    func parameters() throws {
        #expect(try DHParameters.bits(pem: try DHParameters.standard(.ffdhe2048), name: "x") == 2048)
        #expect(try DHParameters.bits(pem: try DHParameters.standard(.ffdhe3072), name: "x") == 3072)
        let curve = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
        #expect(throws: TLSError.self) { try DHParameters.bits(pem: Array(curve.utf8), name: "x") }
    }
}
