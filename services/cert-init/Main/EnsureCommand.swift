import ArgumentParser
import CertificateIssuing
import FoundationEssentials
import Glibc
import KubernetesAPI
import Logging
import TLS
import Telemetry

struct EnsureCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ensure",
        abstract:
            "Keeps the Secrets of an installation: makes what is missing, renews what is due, touches nothing else.",
        discussion: """
            For a Job or CronJob in the cluster, and by hand with a kubeconfig. Options override the settings file. Secrets \
            without the label app.kubernetes.io/managed-by=dssm-cert-init are judged, never written.

            Exit codes: 0 all is well, or a renewal goes on in a later run; 1 the cluster refuses or does not answer, or a \
            listed namespace does not exist or is closed to the account; 3 Secrets made by somebody else cannot be used; 64 wrong usage or settings.
            """)

    @Option(help: "Settings file in YAML.")
    var config: String?

    @Option(help: "default or manual.")
    var profile: IssuingPolicy.Profile?

    @Option(help: "rsa4096, rsa2048, ecdsa-p256 or ecdsa-p384.")
    var keyAlgorithm: PrivateKey.Algorithm?

    @Option(help: "Validity of certificates in days, 1 to 825.")
    var days: Int64?

    @Option(help: "Validity of the CA in days; at least that of certificates.")
    var authorityDays: Int64?

    @Option(help: "How long before its end a certificate is renewed, such as 30d; else a third of its life.")
    var renewBefore: TimeOffset?

    @Option(help: "Subject of the certificate, such as '/O=Redis Test/CN=Server'.")
    var subject: String?

    @Option(help: "Subject of the CA.")
    var authoritySubject: String?

    @Option(name: .customLong("san"), help: "A further DNS name or address of the certificate; may be repeated.")
    var names: [String] = []

    @Option(help: "Name of the Helm release.")
    var release: String?

    @Option(help: "Namespace of the installation; else that of the pod or of the kubeconfig.")
    var namespace: String?

    @Option(help: "Pods of each StatefulSet.")
    var replicas: Int?

    @Option(help: "Domain of the cluster's DNS names.")
    var clusterDomain: String?

    @Option(name: .customLong("tmm-namespace"), help: "A namespace that gets the Secrets too; may be repeated.")
    var tmmNamespaces: [String] = []

    @Option(help: "ffdhe2048, ffdhe3072 (at once) or generate (up to minutes).")
    var dhParams: KubernetesSettings.DHSource?

    @Flag(name: .customLong("keep-ca-key"), help: "Keep the CA's key in dssm-ca-key-secret, so that it signs renewals.")
    var keepsAuthorityKey = false

    @Option(help: "Between the publishing of a new CA and the use of its certificates, such as 5m.")
    var propagationDelay: TimeOffset?

    @Option(help: "How long an earlier CA stays trusted after that, such as 24h.")
    var overlap: TimeOffset?

    @Flag(help: "Wait for the propagation delay instead of leaving the rest of a renewal to the next run.")
    var wait = false

    @Flag(help: "Renew even if all is valid, with a new CA.")
    var force = false

    @Option(help: "Kubeconfig file, when not in a pod; else KUBECONFIG or ~/.kube/config.")
    var kubeconfig: String?

    @Option(help: "text or json.")
    var logFormat: LogFormat = .text

    @Option(help: "debug, verbose, notice or warning.")
    var logLevel: LogLevel = .notice

    func run() async throws {
        // As process 1 of a container it would not end by these otherwise. Nothing has to be cleaned up: whatever is under way is
        // completed by the next run.
        for number in [SIGTERM, SIGINT] { signal(number) { _exit(128 + $0) } }
        let client: KubernetesClient
        let settings: KubernetesSettings
        do {
            // Wrong settings are told before the cluster is looked for.
            let given = try givenSettings()
            let access = try ClusterAccess.find(kubeconfig: kubeconfig)
            settings = try complete(given, access.namespace)
            client = try KubernetesClient(access, userAgent: "dssm-cert-init/\(ProductVersion.current)")
        } catch let error as ExitCode {
            throw error
        } catch { throw Self.exit(.failure, "\(error)") }
        let result: Result<KubernetesIssuing.Outcome, any Error>
        do {
            let sink = LogSink(service: "cert-init", role: .worker, level: logLevel, format: logFormat)
            var issuing = KubernetesIssuing(
                settings: settings, client: client, log: Logger(sink), instance: ProcessInfo.processInfo.hostName,
                clock: { Int64(time(nil)) })
            issuing.waitsForDelay = wait
            result = .success(try await issuing.run(isForced: force))
        } catch { result = .failure(error) }
        // What matters is known by now, and the process ends: a connection that does not close cleanly changes nothing.
        try? await client.shutDown()
        switch result {
        case .failure(let error): throw Self.exit(.failure, "\(error)")
        case .success(let outcome):
            if !outcome.leftOut.isEmpty {
                let names = outcome.leftOut.map { "\($0.namespace) (\($0.reason))" }.joined(separator: ", ")
                throw Self.exit(.failure, "namespaces left out: \(names); the others are done")
            }
            if outcome.hasFatalProblems { throw ExitCode(3) }
        }
    }

    private static func exit(_ code: ExitCode, _ text: String) -> ExitCode {
        StandardError.print("dssm-cert-init: \(text)")
        return code
    }

    /// File, then options.
    private func givenSettings() throws -> KubernetesSettings {
        var settings = KubernetesSettings()
        if let config {
            do {
                let text = String(decoding: try PEMText.read(config), as: UTF8.self)
                try settings.apply(yaml: text, file: config)
            } catch { throw Self.exit(.validationFailure, "\(error)") }
        }
        func subjectOption(_ text: String?, _ option: String) throws -> [(attribute: String, value: String)]? {
            guard let text else { return nil }
            guard let attributes = SubjectText.attributes(text) else {
                throw Self.exit(.validationFailure, "--\(option) must look like '/O=Redis Test/CN=Server'")
            }
            return attributes
        }
        if let profile { settings.policy.profile = profile }
        if let keyAlgorithm { settings.policy.keyAlgorithm = keyAlgorithm }
        if let days { settings.policy.days = days }
        if let authorityDays { settings.policy.authorityDays = authorityDays }
        if let renewBefore { settings.renewBeforeSeconds = renewBefore.seconds }
        if let value = try subjectOption(subject, "subject") { settings.policy.subject = value }
        if let value = try subjectOption(authoritySubject, "authority-subject") {
            settings.policy.authoritySubject = value
        }
        if !names.isEmpty { settings.policy.additionalNames = names }
        if let release { settings.policy.release = release }
        if let namespace { settings.policy.namespace = namespace }
        if let replicas { settings.policy.replicas = replicas }
        if let clusterDomain { settings.policy.clusterDomain = clusterDomain }
        if !tmmNamespaces.isEmpty { settings.tmmNamespaces = tmmNamespaces }
        if let dhParams { settings.dhParameters = dhParams }
        if keepsAuthorityKey { settings.keepsAuthorityKey = true }
        if let propagationDelay { settings.propagationDelaySeconds = propagationDelay.seconds }
        if let overlap { settings.overlapSeconds = overlap.seconds }
        _ = try complete(settings, "default")
        return settings
    }

    private func complete(_ settings: KubernetesSettings, _ namespace: String) throws -> KubernetesSettings {
        var settings = settings
        if settings.policy.namespace.isEmpty { settings.policy.namespace = namespace }
        do { try settings.validate() } catch { throw Self.exit(.validationFailure, error.description) }
        return settings
    }
}

extension KubernetesSettings.DHSource: ExpressibleByArgument {}
extension LogFormat: ExpressibleByArgument {}
extension LogLevel: ExpressibleByArgument {
    public init?(argument: String) { self.init(name: argument) }
}
