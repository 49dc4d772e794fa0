// dssm-db: reads the settings, starts the server, turns the outcome into an exit code.
//
// Exit codes: 0 stopped on request; 1 cannot start (settings, port, certificates, data); 2 the data on disk is damaged;
// 3 another process uses the data folder.
import DatabaseServer
import Glibc
import ServerConfiguration
import Telemetry

let usage = """
    Usage: dssm-db [/path/to/dssm.conf] [--directive value ...] [-]
           dssm-db --version | --help

    Every directive of redis.conf can be given after two dashes, for example:
           dssm-db /etc/dssm/dssm.conf --port 0 --tls-port 6379
    """

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.contains("--version") || arguments.contains("-v") {
    print("dssm-db \(ProductVersion.current) (Redis \(Server.compatibleVersion))")
    exit(0)
}
if arguments.contains("--help") || arguments.contains("-h") {
    print(usage)
    exit(0)
}

var settings = ServerSettings()
do throws(ConfigurationError) {
    let commandLine = try CommandLineDirectives(arguments)
    if let file = commandLine.file {
        settings.configurationFile = file
        try settings.apply(try ConfigurationFile.load(file))
    }
    try settings.apply(commandLine.directives)
} catch {
    StandardError.print("dssm-db: fatal configuration error: \(error)")
    exit(1)
}

let sink = LogSink(
    service: "dssm-db", role: settings.replicaOf == nil ? .primary : .replica, level: settings.logLevel,
    format: settings.logFormat)
sink.fileLimits = settings.logFileLimits
if !settings.logFile.isEmpty, !sink.open(file: settings.logFile) {
    StandardError.print("dssm-db: cannot open the log file '\(settings.logFile)'")
    exit(1)
}
let server = Server(settings: settings, log: ServerLog(sink))
do throws(StartError) {
    try server.start()
    try server.load()
} catch {
    server.log.warning("start-failed", error.description)
    sink.finish()
    StandardError.print("dssm-db: \(error)")
    exit(error.exitCode)
}
server.run()
exit(server.exitCode)
