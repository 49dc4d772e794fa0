import DatabaseEngine
import RESPClient
import Reactor
import TLS
import Telemetry

public enum FsyncPolicy: String, CaseIterable, Sendable {
    case everysec, always, no
}

public enum SnapshotCompression: String, CaseIterable, Sendable {
    case lz4, none
}

/// Whether a guarded command group may be used.
public enum GuardedCommand: String, CaseIterable, Sendable {
    case no, yes, local
}

/// The settings of the db, with Redis's defaults unless the comment says otherwise.
public struct ServerSettings: Sendable {
    public init() {}

    // Network
    public var bindAddresses = ["127.0.0.1", "-::1"]
    public var port = 6379
    public var tlsPort = 0
    /// A second TLS port with the same service.
    public var tlsExtraPort = 0
    public var unixSocket = ""
    public var unixSocketMode: UInt32 = 0
    public var tcpBacklog = 511
    public var tcpKeepAliveSeconds = 300
    public var timeoutSeconds = 0
    public var maxClients = 10000
    public var protectedMode = true
    public var queryBufferLimit = 1 << 30
    public var outputLimits = [
        OutputLimit(hardBytes: 0),
        OutputLimit(hardBytes: 256 << 20, softBytes: 64 << 20, softSeconds: 60),
        OutputLimit(hardBytes: 32 << 20, softBytes: 8 << 20, softSeconds: 60),
    ]
    public var metricsPort = 0
    public var metricsHost = "127.0.0.1"
    public var tls = TLSSettings()
    public var tlsReplication = false

    // General
    public var databases = 16
    public var directory = "."
    public var logFile = ""
    /// `logfile-max-size` and `logfile-keep`.
    public var logFileLimits = LogFileLimits()
    public var logLevel = LogLevel.notice
    public var logFormat = LogFormat.text
    public var password = ""
    public var daemonize = false
    public var pidFile = ""
    public var hertz = 10
    public var shutdownTimeoutSeconds = 10
    public var enableDebugCommand = GuardedCommand.no
    public var enableProtectedConfigs = GuardedCommand.no

    // Memory and data types
    public var engine = EngineSettings()
    public var keyspaceEvents: KeyspaceEventClasses = []
    public var maxMemoryEvictionTenacity = 10
    public var replicaIgnoreMaxMemory = true
    public var activeExpireEffort = 1
    public var lazyExpire = false
    public var lazyEviction = false
    public var lazyServerDelete = false
    public var lazyUserFlush = false

    // Introspection
    public var slowlogMicroseconds = 10000
    public var slowlogMaxEntries = 128
    public var latencyMonitorMilliseconds = 0
    public var latencyTracking = true
    public var latencyPercentiles = [50, 99, 99.9]

    // Persistence
    public var saveRules: [SaveRule] = [
        SaveRule(seconds: 3600, changes: 1), SaveRule(seconds: 300, changes: 100),
        SaveRule(seconds: 60, changes: 10000),
    ]
    public var snapshotFile = "dump.rdb"
    public var snapshotCompression = SnapshotCompression.lz4
    public var stopWritesOnSaveError = true
    public var appendOnly = false
    public var appendFile = "appendonly.aof"
    public var appendDirectory = "appendonlydir"
    public var appendFsync = FsyncPolicy.everysec
    public var appendLoadTruncated = true
    public var autoRewritePercentage = 100
    public var autoRewriteMinBytes = 64 << 20
    public var noFsyncOnRewrite = false

    // Replication
    public var replicaOf: (host: String, port: Int)?
    public var primaryUser = ""
    public var primaryPassword = ""
    public var replicaServesStaleData = true
    public var replicaReadOnly = true
    public var replicaPriority = 100
    public var replicaAnnounced = true
    public var replicaAnnounceHost = ""
    public var replicaAnnouncePort = 0
    public var backlogBytes = 1 << 20
    public var backlogTTLSeconds = 3600
    public var replicationTimeoutSeconds = 60
    public var replicationPingSeconds = 10
    public var minReplicasToWrite = 0
    public var minReplicasMaxLagSeconds = 10
    public var writeQuorum = 0

    // Role discovery: see RoleSearch.swift.
    public var discoverySentinels: [PeerAddress] = []
    public var discoveryDatabases: [PeerAddress] = []
    public var discoveryPrimaryName = "dssm"
    public var discoveryWaitSeconds = 60
    public var discoverySentinelPassword = ""

    /// Values of directives that have no effect here.
    var inert: [String: String] = [:]

    /// The file that the settings came from, for CONFIG REWRITE.
    public var configurationFile: String?
}

/// `save <seconds> <changes>`.
public struct SaveRule: Equatable, Sendable {
    public var seconds: Int
    public var changes: Int
}
