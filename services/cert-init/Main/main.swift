import ArgumentParser
import Telemetry

struct CertInitCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-cert-init",
        abstract: "Makes and inspects the certificates of a dSSM installation.",
        discussion: """
            The local mode (issue) writes into a folder. The Kubernetes mode, which keeps the Secrets \
            dssm-certs-secret and dssm-keys-secret, is not yet available.

            Exit codes: 0 success, 1 failure, 64 wrong usage.
            """,
        version: "dssm-cert-init \(ProductVersion.current)",
        subcommands: [IssueCommand.self, InspectCommand.self])
}

CertInitCommand.main()
