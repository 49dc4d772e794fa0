import ArgumentParser
import Telemetry

@main
struct CertInitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-cert-init",
        abstract: "Makes, keeps and inspects the certificates of a dSSM installation.",
        discussion: """
            In a cluster, ensure keeps the Secrets dssm-certs-secret and dssm-keys-secret. Locally, issue writes into a \
            folder.

            Exit codes: 0 success; 1 failure, one line on standard error; 3 (ensure) Secrets made by somebody else cannot \
            be used; 64 wrong usage or settings.
            """,
        version: "dssm-cert-init \(ProductVersion.current)",
        subcommands: [EnsureCommand.self, IssueCommand.self, InspectCommand.self])
}
