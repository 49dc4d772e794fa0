import ArgumentParser
import Glibc
import LogForwarding
import Telemetry

struct LogForwarderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dssm-log-forwarder",
        abstract: "Forwards log files to Fluentd or Fluent Bit.",
        discussion: """
            Follows the files that the settings name, keeps what it has read in a bounded buffer on disk, and sends it by \
            Fluentd's forward protocol until it is acknowledged.

            Exit codes: 0 after SIGTERM, SIGINT or the end of standard input; 1 when it cannot start; 64 wrong usage; \
            78 settings that cannot be used, with file and line on standard error.
            """,
        version: "dssm-log-forwarder \(ProductVersion.current)")

    @Option(help: ArgumentHelp("The settings, in YAML.", valueName: "file"))
    var config = "/etc/dssm/log-forwarder.yaml"

    @Flag(help: "Only check the settings: exit with 0 or 78.")
    var check = false

    func run() throws {
        let settings = try loadSettings()
        if check { return print("\(config): the settings are good") }
        let sink = LogSink(
            service: "log-forwarder", role: .worker, level: settings.logLevel, format: settings.logFormat)
        guard sink.open(file: settings.logFile) else {
            try fail("the log file '\(settings.logFile)' cannot be opened: \(String(cString: strerror(errno)))", 1)
        }
        do {
            let service = try ForwarderService(settings: settings, sink: sink)
            try service.start()
            service.run()
        } catch {
            try fail("\(error)", 1)
        }
    }

    private func loadSettings() throws -> ForwarderSettings {
        do {
            return try ForwarderSettings(file: config, environment: Self.environment)
        } catch {
            try fail("\(error)", EX_CONFIG)
        }
    }

    private func fail(_ text: String, _ code: Int32) throws -> Never {
        StandardError.print("dssm-log-forwarder: \(text)")
        throw ExitCode(code)
    }

    private static var environment: [String: String] {
        var result: [String: String] = [:]
        for name in ForwarderSettings.environmentNames {
            if let value = getenv(name) { result[name] = String(cString: value) }
        }
        return result
    }
}

LogForwarderCommand.main()
