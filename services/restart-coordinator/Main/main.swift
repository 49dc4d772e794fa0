import ArgumentParser
import Glibc
import Telemetry

struct RestartCoordinatorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-restart-coordinator",
        abstract: "Restarts dSSM and TMM in order after a change of certificates.",
        discussion: "This service is not yet available: it prints a notice and exits with 69.",
        version: "dssm-restart-coordinator \(ProductVersion.current)")

    func run() throws {
        StandardError.print(
            "dssm-restart-coordinator: this service is not yet available in version \(ProductVersion.current)")
        throw ExitCode(EX_UNAVAILABLE)
    }
}

RestartCoordinatorCommand.main()
