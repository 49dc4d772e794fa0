// dssm-sentinel: options, log, exit codes. Everything else is in SentinelServer.
//
// Exit codes: 0 after SHUTDOWN, SIGTERM or SIGINT, or when a check finds all well; 1 when it cannot start or the check fails; 2 for a
// wrong command line or settings file.

import Glibc
import RESPClient
import SentinelServer
import ServerConfiguration
import Telemetry

let usage = """
    usage: dssm-sentinel <file> [--directive value ...]
           dssm-sentinel <file> --check <host> <port> [<seconds>]
           dssm-sentinel --version | --help

    Watches the primaries named in the file (sentinel monitor ...) together with other sentinels, replaces one that fails,
    and tells clients where the current one is. The file must be writable: it is where votes and epochs are remembered.
    Directives on the command line override those of the file.

    --check tries the release that the file describes from a client's side, through the given address (a sentinel's, or the
    Service's): quorum, a write, a read, the same key at every db. It tries for 60 seconds unless told otherwise; exit code 0 when
    all is well.

    """

func fail(_ text: String, _ code: Int32) -> Never {
    StandardError.print("dssm-sentinel: \(text)")
    exit(code)
}

func loadSettings(_ arguments: [String]) throws(ConfigurationError) -> (settings: SentinelSettings, file: String) {
    let line = try CommandLineDirectives(arguments.filter { $0 != "--sentinel" })
    guard let file = line.file, file != "-" else {
        throw ConfigurationError("a settings file is needed, and it must be writable")
    }
    var settings = try SentinelSettings(try ConfigurationFile.load(file) + line.directives)
    if let path = settings.statePath {
        try settings.remember(access(path, F_OK) == 0 ? try ConfigurationFile.load(path) : [])
        return (settings, path)
    }
    // `dir` changes the working folder, the file's name may be relative to the present one.
    guard let path = realpath(file, nil) else {
        throw ConfigurationError("cannot be found: \(String(cString: strerror(errno)))", file: file)
    }
    defer { free(path) }
    return (settings, String(cString: path))
}

/// Runs `<file> --check <host> <port> [<seconds>]`.
func check(_ arguments: [String]) throws(ConfigurationError) -> Never {
    let numbers = arguments.dropFirst(3).map { Int($0) ?? -1 }
    guard (4...5).contains(arguments.count), arguments[1] == "--check", (1...65535).contains(numbers[0]),
        numbers.count == 1 || (1...86_400).contains(numbers[1])
    else { throw ConfigurationError("expected: <file> --check <host> <port> [<seconds>]") }
    let settings = try SentinelSettings(try ConfigurationFile.load(arguments[0]))
    let milliseconds = numbers.count > 1 ? Int64(numbers[1]) * 1000 : ReleaseCheck.defaultTimeoutMilliseconds
    do throws(StartError) {
        let check = try ReleaseCheck(
            settings: settings, entrance: PeerAddress(arguments[2], numbers[0]), timeoutMilliseconds: milliseconds)
        for line in try check.run() { print(line) }
    } catch {
        fail("the check failed: \(error)", 1)
    }
    exit(0)
}

func writePIDFile(_ path: String) {
    let text = Array("\(getpid())\n".utf8)
    do throws(ConfigurationError) {
        try ConfigurationFile.write(path, text)
    } catch {
        fail("the pidfile cannot be written: \(error)", 1)
    }
}

let arguments = Array(CommandLine.arguments.dropFirst())
if arguments.contains("--help") || arguments.contains("-h") {
    print(usage, terminator: "")
    exit(0)
}
if arguments.contains("--version") || arguments.contains("-v") {
    print("dssm-sentinel \(ProductVersion.current)")
    exit(0)
}
if arguments.isEmpty {
    StandardError.print(usage)
    exit(2)
}

do throws(ConfigurationError) {
    if arguments.contains("--check") { try check(arguments) }
    let (settings, file) = try loadSettings(arguments)
    guard chdir(settings.directory) == 0 else {
        fail("cannot change to folder '\(settings.directory)': \(String(cString: strerror(errno)))", 2)
    }
    let sink = LogSink(service: "sentinel", role: .sentinel, level: settings.logLevel, format: settings.logFormat)
    sink.fileLimits = settings.logFileLimits
    guard sink.open(file: settings.logFile) else {
        fail("the log file '\(settings.logFile)' cannot be opened: \(String(cString: strerror(errno)))", 1)
    }
    let server = SentinelServer(settings: settings, file: file, sink: sink)
    do throws(StartError) {
        try server.start()
    } catch {
        fail("\(error)", 1)
    }
    if !settings.pidFile.isEmpty { writePIDFile(settings.pidFile) }
    server.run()
    if !settings.pidFile.isEmpty { unlink(settings.pidFile) }
    exit(server.exitCode)
} catch {
    fail("\(error)", 2)
}
