import ArgumentParser
import Glibc
import Telemetry

struct LogForwarderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-log-forwarder",
        abstract: "Forwards the log files of the dSSM pods to Fluentd.",
        discussion: "This service is not yet available: it prints a notice and exits with 69.",
        version: "dssm-log-forwarder \(ProductVersion.current)")

    func run() throws {
        StandardError.print(
            "dssm-log-forwarder: this service is not yet available in version \(ProductVersion.current)")
        throw ExitCode(EX_UNAVAILABLE)
    }
}

LogForwarderCommand.main()
