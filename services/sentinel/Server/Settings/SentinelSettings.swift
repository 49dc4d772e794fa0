import RESPClient
import SentinelCore
import ServerConfiguration
import TLS
import Telemetry

/// The settings of a sentinel process, with stock Redis Sentinel's defaults unless the comment says otherwise.
public struct SentinelSettings: Sendable {
    public init() {}

    // Network
    public var bindAddresses = ["*", "-::*"]
    public var port = 26379
    public var tlsPort = 0
    public var tcpBacklog = 511
    public var tcpKeepAliveSeconds = 300
    public var timeoutSeconds = 0
    public var maxClients = 10000
    /// Bytes of one client's request that has not been executed. Smaller than a db's: a sentinel only passes it on.
    public var queryBufferLimit = 256 << 20
    /// Bytes that may wait for a client that reads slowly, subscribers included.
    public var outputBufferLimit = 256 << 20
    public var metricsPort = 0
    public var metricsHost = "127.0.0.1"
    public var tls = TLSSettings()
    public var tlsReplication = false

    // General
    public var directory = "."
    public var logFile = ""
    /// `logfile-max-size` and `logfile-keep`: our own directives.
    public var logFileLimits = LogFileLimits()
    public var logLevel = LogLevel.notice
    public var logFormat = LogFormat.text
    public var password = ""
    public var pidFile = ""
    public var shutdownTimeoutSeconds = 5

    // Forwarding: our own directives.
    /// `forward-commands`: whether commands that are not the sentinel's own go to the primary.
    public var forwardsCommands = true
    /// `forward-primary`: the monitored primary that gets them; empty: the first one.
    public var forwardPrimary = ""
    /// `forward-timeout`: how long a command waits for a primary, milliseconds.
    public var forwardTimeoutMilliseconds = 5000
    /// `forward-queue-limit`: bytes of commands that may wait for a primary, all clients together.
    public var forwardQueueLimit = 256 << 20
    /// `forward-links`: connections to the primary that clients share, for each protocol version.
    public var forwardLinks = 2
    /// `forward-max-own-links`: connections to the primary that single clients have for transactions and the like.
    public var forwardMaxOwnLinks = 1000

    // The start without memory: our own directives.
    /// `state-file`: where the sentinel's memory is kept, when the settings file is not to be written to.
    public var stateFile = ""
    /// `discovery-sentinel`: all sentinels, this one included.
    public var discoverySentinels: [PeerAddress] = []
    /// `discovery-db`: all dbs.
    public var discoveryDatabases: [PeerAddress] = []
    public var discoveryWaitSeconds = 60
    /// A primary of which there is no memory: it is looked for before it is monitored.
    public var withheldPrimary: SentinelConfiguration.Primary?

    public var sentinel = SentinelConfiguration()
}

extension SentinelSettings {
    /// Settings from the directives of a file, those of the command line after them.
    ///
    /// - Throws: the first unknown directive or wrong value, with file and line.
    public init(_ directives: [Directive]) throws(ConfigurationError) {
        var sentinelDirectives: [SentinelDirective] = []
        for directive in directives {
            if directive.name == "sentinel" {
                do throws(SentinelDirectiveError) {
                    sentinelDirectives.append(try SentinelDirective.parse(directive.arguments))
                } catch {
                    throw ConfigurationError("\(error)", file: directive.file, line: directive.line)
                }
                continue
            }
            guard let parameter = SentinelParameter.byName[directive.name] else {
                throw directive.error("unknown directive")
            }
            do throws(ConfigurationValueError) {
                try parameter(&self, directive.arguments)
            } catch {
                throw directive.error(error.message)
            }
        }
        do throws(SentinelDirectiveError) {
            sentinel = try SentinelConfiguration(sentinelDirectives)
        } catch {
            throw ConfigurationError("\(error)", file: directives.first?.file ?? "")
        }
        if !forwardPrimary.isEmpty, !sentinel.primaries.contains(where: { $0.name == forwardPrimary }) {
            throw ConfigurationError("'forward-primary': '\(forwardPrimary)' is not monitored")
        }
    }

    /// The port that other sentinels are told.
    public var announcedPort: Int { tlsReplication && tlsPort > 0 ? tlsPort : port > 0 ? port : tlsPort }
    public var needsTLS: Bool { tlsPort > 0 || tlsReplication }
}

/// How one directive changes the settings.
private enum SentinelParameter {
    typealias Apply = @Sendable (inout SentinelSettings, [String]) throws(ConfigurationValueError) -> Void

    static let byName: [String: Apply] = network.merging(tls) { $1 }.merging(general) { $1 }.merging(inert) { $1 }
        .merging(discovery) { $1 }

    typealias Path<Value> = any (WritableKeyPath<SentinelSettings, Value> & Sendable)

    private static func single(_ values: [String]) throws(ConfigurationValueError) -> String {
        guard values.count == 1 else { throw ConfigurationValueError("wrong number of arguments") }
        return values[0]
    }

    private static func integer(
        _ path: Path<Int>, _ range: ClosedRange<Int64>
    ) -> Apply {
        { (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = Int(try ConfigurationValue.integer(try single(values), in: range))
        }
    }

    private static func memory(
        _ path: Path<Int>, atLeast least: Int64
    ) -> Apply {
        { (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = Int(try ConfigurationValue.memory(try single(values), in: least...1 << 40))
        }
    }

    private static func text(_ path: Path<String>) -> Apply {
        { (settings, values) throws(ConfigurationValueError) in settings[keyPath: path] = try single(values) }
    }

    private static func boolean(_ path: Path<Bool>) -> Apply {
        { (settings, values) throws(ConfigurationValueError) in
            settings[keyPath: path] = try ConfigurationValue.boolean(try single(values))
        }
    }

    private static func addresses(_ path: Path<[PeerAddress]>) -> Apply {
        { (settings, values) throws(ConfigurationValueError) in
            guard values.count == 2 else { throw ConfigurationValueError("expected <host> <port>") }
            guard settings[keyPath: path].count < 99 else { throw ConfigurationValueError("more than 99 addresses") }
            let port = Int(try ConfigurationValue.integer(values[1], in: 1...65535))
            settings[keyPath: path].append(PeerAddress(values[0], port))
        }
    }

    private static let discovery: [String: Apply] = [
        "state-file": text(\.stateFile),
        "discovery-sentinel": addresses(\.discoverySentinels),
        "discovery-db": addresses(\.discoveryDatabases),
        "discovery-wait": integer(\.discoveryWaitSeconds, 0...86_400),
    ]

    private static let network: [String: Apply] = [
        "bind": { (settings, values) throws(ConfigurationValueError) in
            guard (1...16).contains(values.count) else { throw ConfigurationValueError("wrong number of addresses") }
            settings.bindAddresses = values
        },
        "port": integer(\.port, 0...65535),
        "tls-port": integer(\.tlsPort, 0...65535),
        "tcp-backlog": integer(\.tcpBacklog, 0...65535),
        "tcp-keepalive": integer(\.tcpKeepAliveSeconds, 0...2_147_483_647),
        "timeout": integer(\.timeoutSeconds, 0...2_147_483_647),
        "maxclients": integer(\.maxClients, 1...1_000_000),
        "client-query-buffer-limit": memory(\.queryBufferLimit, atLeast: 1 << 20),
        "client-output-buffer-limit": { (settings, values) throws(ConfigurationValueError) in
            guard values.count % 4 == 0, !values.isEmpty else {
                throw ConfigurationValueError("wrong number of arguments")
            }
            for index in stride(from: 0, to: values.count, by: 4) {
                let bytes = Int(try ConfigurationValue.memory(values[index + 1]))
                _ = try ConfigurationValue.memory(values[index + 2])
                _ = try ConfigurationValue.integer(values[index + 3], in: 0 ... .max)
                if values[index].lowercased() == "normal", bytes > 0 { settings.outputBufferLimit = bytes }
            }
        },
        "metrics-port": integer(\.metricsPort, 0...65535),
        "metrics-bind": text(\.metricsHost),
        "forward-commands": boolean(\.forwardsCommands),
        "forward-primary": text(\.forwardPrimary),
        "forward-timeout": integer(\.forwardTimeoutMilliseconds, 0...3_600_000),
        "forward-queue-limit": memory(\.forwardQueueLimit, atLeast: 0),
        "forward-links": integer(\.forwardLinks, 1...64),
        "forward-max-own-links": integer(\.forwardMaxOwnLinks, 0...1_000_000),
    ]

    private static let tls: [String: Apply] = [
        "tls-replication": boolean(\.tlsReplication),
        "tls-cert-file": text(\.tls.certificateFile),
        "tls-key-file": text(\.tls.keyFile),
        "tls-key-file-pass": text(\.tls.keyFilePassword),
        "tls-client-cert-file": text(\.tls.clientCertificateFile),
        "tls-client-key-file": text(\.tls.clientKeyFile),
        "tls-client-key-file-pass": text(\.tls.clientKeyFilePassword),
        "tls-dh-params-file": text(\.tls.dhParamsFile),
        "tls-ca-cert-file": text(\.tls.caFile),
        "tls-ca-cert-dir": text(\.tls.caDirectory),
        "tls-protocols": text(\.tls.protocols),
        "tls-ciphers": text(\.tls.ciphers),
        "tls-ciphersuites": text(\.tls.ciphersuites),
        "tls-prefer-server-ciphers": boolean(\.tls.preferServerCiphers),
        "tls-session-caching": boolean(\.tls.sessionCaching),
        "tls-session-cache-size": integer(\.tls.sessionCacheSize, 0...2_147_483_647),
        "tls-session-cache-timeout": integer(\.tls.sessionCacheTimeoutSeconds, 0...2_147_483_647),
        "tls-auth-clients": { (settings, values) throws(ConfigurationValueError) in
            guard let value = TLSSettings.ClientAuthentication(rawValue: try single(values).lowercased()) else {
                throw ConfigurationValueError("argument(s) must be one of the following: no, yes, optional")
            }
            settings.tls.authClients = value
        },
    ]

    private static let general: [String: Apply] = [
        "dir": text(\.directory),
        "logfile": text(\.logFile),
        "logfile-max-size": memory(\.logFileLimits.maximumBytes, atLeast: 0),
        "logfile-keep": integer(\.logFileLimits.keptFiles, 1...Int64(LogFileLimits.mostKeptFiles)),
        "pidfile": text(\.pidFile),
        "requirepass": text(\.password),
        "shutdown-timeout": integer(\.shutdownTimeoutSeconds, 0...86_400),
        "loglevel": { (settings, values) throws(ConfigurationValueError) in
            guard let level = LogLevel(name: try single(values)) else {
                throw ConfigurationValueError(
                    "argument(s) must be one of the following: debug, verbose, notice, warning")
            }
            settings.logLevel = level
        },
        "log-format": { (settings, values) throws(ConfigurationValueError) in
            guard let format = LogFormat(rawValue: try single(values).lowercased()) else {
                throw ConfigurationValueError("argument(s) must be one of the following: json, text")
            }
            settings.logFormat = format
        },
        "daemonize": { (_, values) throws(ConfigurationValueError) in
            if try ConfigurationValue.boolean(try single(values)) {
                throw ConfigurationValueError("only 'no' is supported: leave the background to the service manager")
            }
        },
    ]

    /// Lines that stock Redis Sentinel writes into its file or that people copy there; they decide nothing here.
    private static let inert: [String: Apply] = Dictionary(
        uniqueKeysWithValues: [
            "user", "protected-mode", "latency-tracking-info-percentiles", "latency-tracking", "supervised",
            "hz", "always-show-logo", "set-proc-title", "proc-title-template", "acllog-max-len", "aclfile",
            "acl-pubsub-default", "io-threads", "io-threads-do-reads", "oom-score-adj", "disable-thp", "save",
            "crash-log-enabled", "enable-debug-command", "tls-cluster", "dynamic-hz", "syslog-enabled",
        ].map { name in (name, ignore) })

    private static let ignore: Apply = { (_, _) throws(ConfigurationValueError) in }
}
