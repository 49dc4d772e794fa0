import ArgumentParser
import CertificateIssuing
import Glibc
import KubernetesAPI
import TLS
import Telemetry

struct InspectCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inspect",
        abstract: "Shows what certificates, keys and parameters say: subject, names, chain, days left.",
        discussion: """
            Of files, or with --namespace of the Secrets in namespaces. Exits with 1 if something cannot be read.
            """)

    @Argument(help: "PEM files; issuers are looked for among them.")
    var files: [String] = []

    @Option(name: .customLong("namespace"), help: "Inspect the Secrets in this namespace; may be repeated.")
    var namespaces: [String] = []

    @Option(help: "Kubeconfig file, when not in a pod; else KUBECONFIG or ~/.kube/config.")
    var kubeconfig: String?

    @Flag(help: "Print one JSON array instead of a table.")
    var json = false

    func validate() throws {
        guard files.isEmpty != namespaces.isEmpty else {
            throw ValidationError("Give files, or --namespace to inspect Secrets.")
        }
    }

    func run() async throws {
        let inspection = namespaces.isEmpty ? Inspection(files: files) : try await inspectSecrets()
        let now = Int64(time(nil))
        if json {
            print(Self.json(inspection, now: now))
        } else {
            for line in inspection.table(now: now) { print(line) }
        }
        if inspection.hasFailures { throw ExitCode.failure }
    }

    private func inspectSecrets() async throws -> Inspection {
        do {
            let access = try ClusterAccess.find(kubeconfig: kubeconfig)
            let client = try KubernetesClient(access, userAgent: "dssm-cert-init/\(ProductVersion.current)")
            let result: Result<Inspection, any Error>
            do { result = .success(try await Inspection.ofSecrets(namespaces, client)) } catch {
                result = .failure(error)
            }
            // What matters is known by now, and the process ends: a connection that does not close cleanly changes nothing.
            try? await client.shutDown()
            return try result.get()
        } catch {
            StandardError.print("dssm-cert-init: \(error)")
            throw ExitCode.failure
        }
    }

    private static func json(_ inspection: Inspection, now: Int64) -> String {
        var text = JSONText()
        text.openArray()
        for entry in inspection.entries {
            text.openObject()
            text.member("file", entry.file)
            switch entry.content {
            case .certificate(let summary, let chain):
                text.member("type", "certificate")
                text.member("subject", summary.subject)
                text.member("issuer", summary.issuer)
                text.name("names")
                text.openArray()
                for name in summary.alternativeNames { text.value(name) }
                text.closeArray()
                text.member("chain", chain)
                text.member("isAuthority", summary.isAuthority)
                text.member("notBefore", summary.notBefore)
                text.member("notAfter", summary.notAfter)
                text.member("daysLeft", summary.daysLeft(now: now))
                text.member("isValid", summary.isValid(at: now))
                text.member("key", summary.keyDescription)
                text.member("signature", summary.signatureAlgorithm)
                text.member("serial", summary.serial)
            case .key(let description, let owner):
                text.member("type", "key")
                text.member("key", description)
                text.member("owner", owner)
            case .dhParameters(let bits):
                text.member("type", "dhParameters")
                text.member("bits", Int64(bits))
            case .unreadable(let reason):
                text.member("type", "error")
                text.member("error", reason)
            }
            text.closeObject()
        }
        text.closeArray()
        return text.string
    }
}
