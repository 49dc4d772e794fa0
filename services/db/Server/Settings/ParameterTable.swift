import DatabaseEngine
import ServerConfiguration
import TLS
import Telemetry

/// Every directive that the db knows.
///
/// - Spec: redis.conf 7.2 for names and defaults; `write-quorum`, `snapshot-compression`, `log-format`, `metrics-port` and
///   `metrics-bind` are our own.
enum ParameterTable {
    static let all: [Parameter] = network + general + memory + persistence + replication + inert

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
        .text("dir", \.directory),
        .text("logfile", \.logFile, immutable: true),
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
        .integer("hz", \.hertz, in: 1...500),
        .integer("shutdown-timeout", \.shutdownTimeoutSeconds, in: 0...2_147_483_647),
        .choice("enable-debug-command", \.enableDebugCommand, immutable: true),
        .integer("slowlog-log-slower-than", \.slowlogMicroseconds, in: -1 ... .max),
        .integer("slowlog-max-len", \.slowlogMaxEntries, in: 0...1 << 32),
        .integer("latency-monitor-threshold", \.latencyMonitorMilliseconds, in: 0 ... .max),
        .make("notify-keyspace-events") {
            KeyspaceEventLetters.format($0.keyspaceEvents)
        } set: {
            (settings, values) throws(ConfigurationValueError) in
            guard let classes = KeyspaceEventLetters.parse(values.first ?? "") else {
                throw ConfigurationValueError("Invalid event class character. Use 'Ag$lszhxeKEtmdn'.")
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
        .integer("maxmemory-samples", \.engine.maxMemorySamples, in: 1...64),
        .integer("maxmemory-eviction-tenacity", \.maxMemoryEvictionTenacity, in: 0...100),
        .boolean("replica-ignore-maxmemory", \.replicaIgnoreMaxMemory, alias: "slave-ignore-maxmemory"),
        .integer("lfu-log-factor", \.engine.lfuLogFactor, in: 0...2_147_483_647),
        .integer("lfu-decay-time", \.engine.lfuDecayMinutes, in: 0...2_147_483_647),
        .memory("proto-max-bulk-len", \.engine.maxStringBytes, in: 1 << 20...1 << 32),
        .integer(
            "hash-max-listpack-entries", \.engine.hashMaxCompactEntries, in: 0...1 << 32,
            alias: "hash-max-ziplist-entries"),
        .integer(
            "hash-max-listpack-value", \.engine.hashMaxCompactValue, in: 0...1 << 30, alias: "hash-max-ziplist-value"),
        .integer("set-max-intset-entries", \.engine.setMaxIntegerEntries, in: 0...1 << 32),
        .integer("set-max-listpack-entries", \.engine.setMaxCompactEntries, in: 0...1 << 32),
        .integer("set-max-listpack-value", \.engine.setMaxCompactValue, in: 0...1 << 30),
        .integer(
            "zset-max-listpack-entries", \.engine.sortedSetMaxCompactEntries, in: 0...1 << 32,
            alias: "zset-max-ziplist-entries"),
        .integer(
            "zset-max-listpack-value", \.engine.sortedSetMaxCompactValue, in: 0...1 << 30,
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
        .text("dbfilename", \.snapshotFile),
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
        .integer("repl-backlog-ttl", \.backlogTTLSeconds, in: 0...2_147_483_647),
        .integer("repl-timeout", \.replicationTimeoutSeconds, in: 1...2_147_483_647),
        .integer(
            "repl-ping-replica-period", \.replicationPingSeconds, in: 1...2_147_483_647, alias: "repl-ping-slave-period"
        ),
        .integer("min-replicas-to-write", \.minReplicasToWrite, in: 0...2_147_483_647, alias: "min-slaves-to-write"),
        .integer(
            "min-replicas-max-lag", \.minReplicasMaxLagSeconds, in: 0...2_147_483_647, alias: "min-slaves-max-lag"),
        .integer("write-quorum", \.writeQuorum, in: 0...128),
    ]

    /// Directives of Redis that decide nothing here, because what they tune does not exist: fork, jemalloc, sampling expiry,
    /// disk-based full sync, I/O threads, LZF, checksums that are always on.
    private static let inert: [Parameter] = [
        .inert("rdbcompression", "yes"), .inert("rdbchecksum", "yes"), .inert("rdb-del-sync-files", "no"),
        .inert("sanitize-dump-payload", "no"), .inert("aof-use-rdb-preamble", "yes"),
        .inert("aof-rewrite-incremental-fsync", "yes"), .inert("rdb-save-incremental-fsync", "yes"),
        .inert("aof-timestamp-enabled", "no"), .inert("repl-diskless-sync", "yes"),
        .inert("repl-diskless-sync-delay", "5"), .inert("repl-diskless-sync-max-replicas", "0"),
        .inert("repl-diskless-load", "disabled"), .inert("repl-disable-tcp-nodelay", "no"),
        .inert("replica-lazy-flush", "no"), .inert("activerehashing", "yes"), .inert("activedefrag", "no"),
        .inert("dynamic-hz", "yes"), .inert("io-threads", "1"), .inert("io-threads-do-reads", "no"),
        .inert("jemalloc-bg-thread", "yes"), .inert("list-compress-depth", "0"),
        .inert("stream-node-max-bytes", "4096"), .inert("stream-node-max-entries", "100"),
        .inert("hll-sparse-max-bytes", "3000"), .inert("always-show-logo", "no"), .inert("set-proc-title", "yes"),
        .inert("proc-title-template", "{title} {listen-addr} {server-mode}"), .inert("supervised", "no"),
        .inert("disable-thp", "yes"), .inert("oom-score-adj", "no"), .inert("oom-score-adj-values", "0 200 800"),
        .inert("lua-time-limit", "5000"), .inert("busy-reply-threshold", "5000"), .inert("crash-log-enabled", "yes"),
        .inert("crash-memcheck-enabled", "yes"), .inert("latency-tracking", "yes"),
        .inert("latency-tracking-info-percentiles", "50 99 99.9"), .inert("tracking-table-max-keys", "1000000"),
        .inert("acllog-max-len", "128"), .inert("acl-pubsub-default", "resetchannels"), .inert("cluster-enabled", "no"),
        .inert("syslog-enabled", "no"), .inert("enable-module-command", "no"), .inert("enable-protected-configs", "no"),
        .inert("maxmemory-clients", "0"), .inert("socket-mark-id", "0"), .inert("bind-source-addr", ""),
        .inert("shutdown-on-sigint", "default"), .inert("shutdown-on-sigterm", "default"),
        .inert("locale-collate", ""), .inert("tls-cluster", "no"), .inert("active-defrag-threshold-lower", "10"),
    ]
}
