import DatabaseEngine
import ServerConfiguration
import TLS
import Telemetry

/// Every directive that the db knows.
///
/// - Spec: redis.conf 7.2 for names and defaults; `write-quorum`, `snapshot-compression`, `tls-extra-port`, `sentinel-discovery`, `discovery-*`, `log-format`, `logfile-max-size`,
///   `logfile-keep`, `metrics-port` and `metrics-bind` are our own.
enum ParameterTable {
    static let all: [Parameter] = network + general + memory + persistence + replication + inertParameters

    static let byName: [String: Parameter] = {
        var names: [String: Parameter] = [:]
        for parameter in all {
            names[parameter.name] = parameter
            if let alias = parameter.alias { names[alias] = parameter }
        }
        return names
    }()

    private static let network: [Parameter] = [
        .make("bind", multiWord: true) {
            $0.bindAddresses.joined(separator: " ")
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            guard values.count <= 16 else { throw ConfigurationValueError("Too many bind addresses specified.") }
            settings.bindAddresses = values
        },
        .integer("port", \.port, in: 0...65535),
        .integer("tls-port", \.tlsPort, in: 0...65535),
        .integer("tls-extra-port", \.tlsExtraPort, in: 0...65535, immutable: true),
        .text("unixsocket", \.unixSocket, immutable: true),
        .make("unixsocketperm", immutable: true) {
            String($0.unixSocketMode, radix: 8)
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings.unixSocketMode = UInt32(try ConfigurationValue.octal(values.first ?? ""))
        },
        .integer("tcp-backlog", \.tcpBacklog, in: 0...65535, immutable: true),
        .integer("tcp-keepalive", \.tcpKeepAliveSeconds, in: 0...2_147_483_647),
        .integer("timeout", \.timeoutSeconds, in: 0...2_147_483_647),
        .integer("maxclients", \.maxClients, in: 1...4_294_967_295),
        .boolean("protected-mode", \.protectedMode),
        .memory("client-query-buffer-limit", \.queryBufferLimit, in: 1 << 20 ... .max),
        .make("client-output-buffer-limit", multiWord: true) {
            OutputLimitText.format($0.outputLimits)
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings.outputLimits = try OutputLimitText.parse(values, settings.outputLimits)
        },
        .integer("metrics-port", \.metricsPort, in: 0...65535, immutable: true),
        .text("metrics-bind", \.metricsHost, immutable: true),
        .boolean("tls-replication", \.tlsReplication),
        .text("tls-cert-file", \.tls.certificateFile),
        .text("tls-key-file", \.tls.keyFile),
        .text("tls-key-file-pass", \.tls.keyFilePassword),
        .text("tls-client-cert-file", \.tls.clientCertificateFile),
        .text("tls-client-key-file", \.tls.clientKeyFile),
        .text("tls-client-key-file-pass", \.tls.clientKeyFilePassword),
        .text("tls-dh-params-file", \.tls.dhParamsFile),
        .text("tls-ca-cert-file", \.tls.caFile),
        .text("tls-ca-cert-dir", \.tls.caDirectory),
        .text("tls-protocols", \.tls.protocols),
        .text("tls-ciphers", \.tls.ciphers),
        .text("tls-ciphersuites", \.tls.ciphersuites),
        .boolean("tls-prefer-server-ciphers", \.tls.preferServerCiphers),
        .boolean("tls-session-caching", \.tls.sessionCaching),
        .integer("tls-session-cache-size", \.tls.sessionCacheSize, in: 0...2_147_483_647),
        .integer("tls-session-cache-timeout", \.tls.sessionCacheTimeoutSeconds, in: 0...2_147_483_647),
        .make("tls-auth-clients") {
            $0.tls.authClients.rawValue
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            guard let value = TLSSettings.ClientAuthentication(rawValue: (values.first ?? "").lowercased()) else {
                throw ConfigurationValueError("argument(s) must be one of the following: no, yes, optional")
            }
            settings.tls.authClients = value
        },
    ]

    private static let general: [Parameter] = [
        .integer("databases", \.databases, in: 1...4096, immutable: true),
        .text("dir", \.directory).protected(),
        .text("logfile", \.logFile, immutable: true),
        .memory("logfile-max-size", \.logFileLimits.maximumBytes, in: 0...1 << 40),
        .integer("logfile-keep", \.logFileLimits.keptFiles, in: 1...Int64(LogFileLimits.mostKeptFiles)),
        .make("loglevel") {
            $0.logLevel.name
        } set: { (settings, values) throws(ConfigurationValueError) in
            let names = LogLevel.allCases.map(\.name)
            settings.logLevel =
                LogLevel.allCases[
                    try ConfigurationValue.choice(values.first ?? "", of: names)]
        },
        .choice("log-format", \.logFormat, immutable: true),
        .text("requirepass", \.password),
        .boolean("daemonize", \.daemonize, immutable: true),
        .text("pidfile", \.pidFile, immutable: true),
        .make("hz") {
            String($0.hertz)
        } set: { (settings, values) throws(ConfigurationValueError) in
            let value = try ConfigurationValue.integer(values.first ?? "", in: 0...2_147_483_647)
            settings.hertz = Int(min(max(value, 1), 500))
        },
        .integer("shutdown-timeout", \.shutdownTimeoutSeconds, in: 0...2_147_483_647),
        .choice("enable-debug-command", \.enableDebugCommand, immutable: true),
        .choice("enable-protected-configs", \.enableProtectedConfigs, immutable: true),
        .integer("slowlog-log-slower-than", \.slowlogMicroseconds, in: -1 ... .max),
        .integer("slowlog-max-len", \.slowlogMaxEntries, in: 0 ... .max, cappedAt: 1 << 32),
        .integer("latency-monitor-threshold", \.latencyMonitorMilliseconds, in: 0 ... .max),
        .boolean("latency-tracking", \.latencyTracking),
        .make("latency-tracking-info-percentiles", multiWord: true) {
            $0.latencyPercentiles.map { Server.shortest($0) }.joined(separator: " ")
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings.latencyPercentiles = try PercentileText.parse(values)
        },
        .make("notify-keyspace-events") {
            KeyspaceEventLetters.format($0.keyspaceEvents)
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            guard let classes = KeyspaceEventLetters.parse(values.first ?? "") else {
                throw ConfigurationValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
            }
            settings.keyspaceEvents = classes
        },
    ]

    private static let memory: [Parameter] = [
        .make("maxmemory") {
            String($0.engine.maxMemoryBytes)
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            settings.engine.maxMemoryBytes = Int(try ConfigurationValue.memory(values.first ?? ""))
        },
        .choice("maxmemory-policy", \.engine.maxMemoryPolicy),
        .integer("maxmemory-samples", \.engine.maxMemorySamples, in: 1...2_147_483_647, cappedAt: 64),
        .integer("maxmemory-eviction-tenacity", \.maxMemoryEvictionTenacity, in: 0...100),
        .boolean("replica-ignore-maxmemory", \.replicaIgnoreMaxMemory, alias: "slave-ignore-maxmemory"),
        .integer("lfu-log-factor", \.engine.lfuLogFactor, in: 0...2_147_483_647),
        .integer("lfu-decay-time", \.engine.lfuDecayMinutes, in: 0...2_147_483_647),
        .memory("proto-max-bulk-len", \.engine.maxStringBytes, in: 1 << 20...1 << 32),
        .integer(
            "hash-max-listpack-entries", \.engine.hashMaxCompactEntries, in: 0 ... .max, cappedAt: 1 << 32,
            alias: "hash-max-ziplist-entries"),
        .memory(
            "hash-max-listpack-value", \.engine.hashMaxCompactValue, cappedAt: 1 << 30, alias: "hash-max-ziplist-value"),
        .integer("set-max-intset-entries", \.engine.setMaxIntegerEntries, in: 0 ... .max, cappedAt: 1 << 32),
        .integer("set-max-listpack-entries", \.engine.setMaxCompactEntries, in: 0 ... .max, cappedAt: 1 << 32),
        .memory("set-max-listpack-value", \.engine.setMaxCompactValue, cappedAt: 1 << 30),
        .integer(
            "zset-max-listpack-entries", \.engine.sortedSetMaxCompactEntries, in: 0 ... .max, cappedAt: 1 << 32,
            alias: "zset-max-ziplist-entries"),
        .memory(
            "zset-max-listpack-value", \.engine.sortedSetMaxCompactValue, cappedAt: 1 << 30,
            alias: "zset-max-ziplist-value"),
        .integer(
            "list-max-listpack-size", \.engine.listMaxCompactSize, in: -5...2_147_483_647,
            alias: "list-max-ziplist-size"),
        .integer("active-expire-effort", \.activeExpireEffort, in: 1...10),
        .boolean("lazyfree-lazy-expire", \.lazyExpire),
        .boolean("lazyfree-lazy-eviction", \.lazyEviction),
        .boolean("lazyfree-lazy-server-del", \.lazyServerDelete),
        .boolean("lazyfree-lazy-user-del", \.engine.lazyUserDelete),
        .boolean("lazyfree-lazy-user-flush", \.lazyUserFlush),
    ]

    private static let persistence: [Parameter] = [
        .make("save", multiWord: true) {
            $0.saveRules.map { "\($0.seconds) \($0.changes)" }.joined(separator: " ")
        } set: { (settings, values) throws(ConfigurationValueError) in
            settings.saveRules = try SaveRuleText.parse(values)
        },
        .text("dbfilename", \.snapshotFile).protected(),
        .choice("snapshot-compression", \.snapshotCompression),
        .boolean("stop-writes-on-bgsave-error", \.stopWritesOnSaveError),
        .boolean("appendonly", \.appendOnly),
        .text("appendfilename", \.appendFile, immutable: true),
        .text("appenddirname", \.appendDirectory, immutable: true),
        .choice("appendfsync", \.appendFsync),
        .boolean("aof-load-truncated", \.appendLoadTruncated),
        .integer("auto-aof-rewrite-percentage", \.autoRewritePercentage, in: 0...2_147_483_647),
        .memory("auto-aof-rewrite-min-size", \.autoRewriteMinBytes),
        .boolean("no-appendfsync-on-rewrite", \.noFsyncOnRewrite),
    ]

    private static let replication: [Parameter] = [
        .make("replicaof", alias: "slaveof", immutable: true, multiWord: true) {
            $0.replicaOf.map { "\($0.host) \($0.port)" } ?? ""
        } set: { (settings, values) throws(ConfigurationValueError) in
            guard values.count == 2 else { throw ConfigurationValueError("wrong number of arguments") }
            if values[0].lowercased() == "no", values[1].lowercased() == "one" {
                settings.replicaOf = nil
                return
            }
            let port = try ConfigurationValue.integer(values[1], in: 0...65535)
            settings.replicaOf = (values[0], Int(port))
        },
        .text("masteruser", \.primaryUser),
        .text("masterauth", \.primaryPassword),
        .boolean("replica-serve-stale-data", \.replicaServesStaleData, alias: "slave-serve-stale-data"),
        .boolean("replica-read-only", \.replicaReadOnly, alias: "slave-read-only"),
        .integer("replica-priority", \.replicaPriority, in: 0...2_147_483_647, alias: "slave-priority"),
        .boolean("replica-announced", \.replicaAnnounced),
        .text("replica-announce-ip", \.replicaAnnounceHost, alias: "slave-announce-ip"),
        .integer("replica-announce-port", \.replicaAnnouncePort, in: 0...65535, alias: "slave-announce-port"),
        .memory("repl-backlog-size", \.backlogBytes, in: 1...(1 << 40)),
        .integer("repl-backlog-ttl", \.backlogTTLSeconds, in: 0 ... .max, cappedAt: 2_147_483_647),
        .integer("repl-timeout", \.replicationTimeoutSeconds, in: 1...2_147_483_647),
        .integer(
            "repl-ping-replica-period", \.replicationPingSeconds, in: 1...2_147_483_647, alias: "repl-ping-slave-period"
        ),
        .integer("min-replicas-to-write", \.minReplicasToWrite, in: 0...2_147_483_647, alias: "min-slaves-to-write"),
        .integer(
            "min-replicas-max-lag", \.minReplicasMaxLagSeconds, in: 0...2_147_483_647, alias: "min-slaves-max-lag"),
        .integer("write-quorum", \.writeQuorum, in: 0...128),
        .addresses("sentinel-discovery", \.discoverySentinels),
        .addresses("discovery-db", \.discoveryDatabases),
        .text("discovery-primary-name", \.discoveryPrimaryName, immutable: true),
        .integer("discovery-wait", \.discoveryWaitSeconds, in: 0...86_400, immutable: true),
        .text("discovery-sentinel-pass", \.discoverySentinelPassword).sensitive(),
    ]
}
