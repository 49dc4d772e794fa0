/// Directives of Redis that decide nothing here, because what they tune does not exist: fork, jemalloc, active defragmentation,
/// sampling expiry, disk-based full sync, I/O threads, LZF, checksums that can be switched off, cluster, modules, scripts, ACL
/// files, client-side caching, syslog, process titles and priorities.
///
/// - Spec: redis.conf 7.2 for names, defaults and ranges.
let inertParameters: [Parameter] = inertPersistence + inertMemory + inertProcess + inertCluster

private let inertPersistence: [Parameter] = [
    .inert("rdbcompression", "yes"), .inert("rdbchecksum", "yes", immutable: true), .inert("rdb-del-sync-files", "no"),
    .inert("sanitize-dump-payload", "no", choices: ["no", "yes", "clients"]), .inert("aof-use-rdb-preamble", "yes"),
    .inert("aof-rewrite-incremental-fsync", "yes"), .inert("rdb-save-incremental-fsync", "yes"),
    .inert("aof-timestamp-enabled", "no"), .inert("aof-disable-auto-gc", "no"), .inert("repl-diskless-sync", "yes"),
    .inert("repl-diskless-sync-delay", "5", in: 0...2_147_483_647),
    .inert("repl-diskless-sync-max-replicas", "0", in: 0...2_147_483_647),
    .inert("repl-diskless-load", "disabled", choices: ["disabled", "on-empty-db", "swapdb"]),
    .inert("repl-disable-tcp-nodelay", "no"), .inert("replica-lazy-flush", "no", alias: "slave-lazy-flush"),
    .inert("replica-ignore-disk-write-errors", "no"),
    .inert("propagation-error-behavior", "ignore", choices: ["ignore", "panic", "panic-on-replicas"]),
]

private let inertMemory: [Parameter] = [
    .inert("activerehashing", "yes"), .inert("activedefrag", "no"),
    .inert("active-defrag-cycle-max", "25", in: 1...99), .inert("active-defrag-cycle-min", "1", in: 1...99),
    .inert("active-defrag-ignore-bytes", "104857600", in: 1 ... .max, memory: true),
    .inert("active-defrag-max-scan-fields", "1000", in: 1 ... .max),
    .inert("active-defrag-threshold-lower", "10", in: 0...1000),
    .inert("active-defrag-threshold-upper", "100", in: 0...1000),
    .inert("jemalloc-bg-thread", "yes"), .inert("list-compress-depth", "0", in: 0...2_147_483_647),
    .inert("stream-node-max-bytes", "4096", memory: true), .inert("stream-node-max-entries", "100"),
    .inert("hll-sparse-max-bytes", "3000", memory: true), .inert("tracking-table-max-keys", "1000000"),
    .inert("maxmemory-clients", "0", text: true), .inert("dynamic-hz", "yes"),
]

private let inertProcess: [Parameter] = [
    .inert("io-threads", "1", in: 1...128, immutable: true), .inert("io-threads-do-reads", "no", immutable: true),
    .inert("always-show-logo", "no", immutable: true), .inert("set-proc-title", "yes", immutable: true),
    .inert("proc-title-template", "{title} {listen-addr} {server-mode}"),
    .inert("supervised", "no", choices: ["upstart", "systemd", "auto", "no"], immutable: true),
    .inert("disable-thp", "yes", immutable: true),
    .inert("oom-score-adj", "no", choices: ["no", "yes", "relative", "absolute"]),
    .inert("oom-score-adj-values", "0 200 800"),
    .inert("lua-time-limit", "5000", alias: "busy-reply-threshold"), .inert("crash-log-enabled", "yes"),
    .inert("crash-memcheck-enabled", "yes"), .inert("syslog-enabled", "no", immutable: true),
    .inert("syslog-ident", "redis", immutable: true),
    .inert(
        "syslog-facility", "local0",
        choices: ["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"],
        immutable: true),
    .inert("server_cpulist", "", immutable: true), .inert("bio_cpulist", "", immutable: true),
    .inert("aof_rewrite_cpulist", "", immutable: true), .inert("bgsave_cpulist", "", immutable: true),
    .inert("ignore-warnings", ""), .inert("acllog-max-len", "128"), .inert("aclfile", "", immutable: true),
    .inert("acl-pubsub-default", "resetchannels", choices: ["allchannels", "resetchannels"]),
    .inert("enable-module-command", "no", choices: ["no", "yes", "local"], immutable: true),
    .inert("socket-mark-id", "0", immutable: true), .inert("bind-source-addr", ""),
    .inert("shutdown-on-sigint", "default", text: true), .inert("shutdown-on-sigterm", "default", text: true),
    .inert("locale-collate", ""),
]

private let inertCluster: [Parameter] = [
    .inert("cluster-enabled", "no", immutable: true), .inert("cluster-config-file", "nodes.conf", immutable: true),
    .inert("cluster-node-timeout", "15000"), .inert("cluster-port", "0", in: 0...65535, immutable: true),
    .inert("cluster-announce-ip", ""), .inert("cluster-announce-hostname", ""),
    .inert("cluster-announce-human-nodename", ""), .inert("cluster-announce-port", "0", in: 0...65535),
    .inert("cluster-announce-tls-port", "0", in: 0...65535), .inert("cluster-announce-bus-port", "0", in: 0...65535),
    .inert("cluster-link-sendbuf-limit", "0", memory: true),
    .inert("cluster-migration-barrier", "1", in: 0...2_147_483_647),
    .inert("cluster-allow-replica-migration", "yes"), .inert("cluster-allow-reads-when-down", "no"),
    .inert("cluster-allow-pubsubshard-when-down", "yes"), .inert("cluster-require-full-coverage", "yes"),
    .inert("cluster-replica-no-failover", "no", alias: "cluster-slave-no-failover"),
    .inert(
        "cluster-replica-validity-factor", "10", in: 0...2_147_483_647, alias: "cluster-slave-validity-factor"),
    .inert(
        "cluster-preferred-endpoint-type", "ip", choices: ["ip", "hostname", "unknown-endpoint"]),
    .inert("tls-cluster", "no"),
]
