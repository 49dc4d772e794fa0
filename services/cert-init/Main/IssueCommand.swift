import ArgumentParser
import CertificateIssuing
import Glibc
import TLS
import Telemetry
import YAML

struct IssueCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "issue",
        abstract: "Issues a CA, a certificate and a key into a folder.",
        discussion: """
            Writes dssm-ca.crt, dssm-cert.crt, dssm-key.key and dhparam2048.pem, each readable by the owner only. \
            Files that are valid, with at least a third of their life left, are kept.
            """)

    @Option(help: "The folder to write into; it is made if missing.")
    var outputDirectory: String

    @Option(help: "default: with alternative names and usages; manual: as the published manual procedure makes them.")
    var profile: IssuingPolicy.Profile = .standard

    @Option(help: "rsa4096, rsa2048, ecdsa-p256 or ecdsa-p384.")
    var keyAlgorithm: PrivateKey.Algorithm = .rsa4096

    @Option(help: "Validity of CA and certificate in days.")
    var days: Int64 = 365

    @Option(name: .customLong("san"), help: "A further DNS name or address of the certificate; may be repeated.")
    var names: [String] = []

    @Option(help: "Subject of the certificate, such as '/O=Redis Test/CN=Server'.")
    var subject: String?

    @Option(help: "Namespace of the installation: adds the pods' and Services' names in it.")
    var namespace: String = ""

    @Option(help: "Name of the Helm release, for the names of pods and Services.")
    var release: String = "f5-dssm"

    @Option(help: "Domain of the cluster's DNS names.")
    var clusterDomain: String = "cluster.local"

    @Option(help: "standard: the group ffdhe2048 of RFC 7919, at once; generate: a new prime, up to minutes.")
    var dhParams: LocalIssuing.DHSource = .standard

    @Flag(help: "Also write dssm-ca.key, so that later certificates can be signed by the same CA.")
    var keepCaKey = false

    @Flag(help: "Issue everything anew, even if what is there is valid.")
    var force = false

    @Option(
        parsing: .unconditional,
        help: "For tests: start of the certificate's validity from now, such as -2d or 10m (units s, m, h, d).")
    var notBefore: TimeOffset?

    @Option(
        parsing: .unconditional,
        help: "For tests and short lives: end of the certificate's validity from now, such as 1h or -1d.")
    var notAfter: TimeOffset?

    func validate() throws {
        guard (1...36500).contains(days) else { throw ValidationError("--days must be between 1 and 36500.") }
        if let subject, SubjectText.attributes(subject) == nil {
            throw ValidationError("--subject must look like '/O=Redis Test/CN=Server'.")
        }
    }

    func run() throws {
        var policy = IssuingPolicy(profile: profile, keyAlgorithm: keyAlgorithm)
        policy.days = days
        policy.additionalNames = names
        policy.subject = subject.flatMap(SubjectText.attributes)
        policy.namespace = namespace
        policy.release = release
        policy.clusterDomain = clusterDomain
        policy.notBeforeOffset = notBefore?.seconds
        policy.notAfterOffset = notAfter?.seconds
        var issuing = LocalIssuing(policy: policy, folder: LocalFolder(outputDirectory))
        issuing.dhSource = dhParams
        issuing.keepsAuthorityKey = keepCaKey
        issuing.isForced = force
        issuing.showsProgress = isatty(2) == 1
        do {
            for line in try issuing.run(now: Int64(time(nil))) { print(line) }
        } catch {
            StandardError.print("dssm-cert-init: \(error)")
            throw ExitCode.failure
        }
    }
}

/// Seconds from now, written as `-2d`, `10m` or `3600`.
struct TimeOffset: ExpressibleByArgument {
    let seconds: Int64

    init?(argument: String) {
        guard let seconds = TimeSpan.seconds(argument) else { return nil }
        self.seconds = seconds
    }
}

extension IssuingPolicy.Profile: ExpressibleByArgument {}
extension PrivateKey.Algorithm: ExpressibleByArgument {}
extension LocalIssuing.DHSource: ExpressibleByArgument {}
