// The db server: wires engine, reactor and everything between them. One thread, the reactor's, owns all of it.
import ByteStorage
import CLinux
import DatabaseEngine
import DatabaseReplication
import RESP
import RESPClient
import Reactor
import TLS
import Telemetry

/// What a listener's connections are.
enum ConnectionTag {
    static let client = 0
    static let unixClient = 1
    static let http = 2
    static let primaryLink = 3
    static let survey = 4
}

/// Counters behind INFO that the engine does not keep.
struct ServerStatistics {
    var commandsProcessed = 0
    var connectionsReceived = 0
    var rejectedConnections = 0
    /// What the reactor had counted when statistics were reset.
    var trafficBefore = TrafficTotals()
    /// Bytes over links to replicas and to the primary that have ended; negative by what they had at a reset.
    var replicationBytesReceived: UInt64 = 0
    var replicationBytesSent: UInt64 = 0
    var expireNanoseconds: UInt64 = 0
    var expireBudgetReached = 0
    var authenticationFailures = 0
    var restoredPayloads = 0
    var queryLimitDisconnections = 0
    /// Time over maxmemory that has passed, but for the stretch that runs.
    var evictionExceededMilliseconds: Int64 = 0
    var fullSyncs = 0
    var fullSyncsReceived = 0
    var partialSyncs = 0
    var partialSyncErrors = 0
    var unexpectedErrors = 0
    var outputLimitDisconnections = 0
    var tlsFailures = 0
}

public final class Server {
    public let reactor: Reactor
    public let engine: Engine
    let commands = CommandTable.shared
    public internal(set) var settings: ServerSettings
    let arena = ArgumentArena()
    let batch: UnsafeMutablePointer<BatchedCommand>
    let elementLookups: UnsafeMutablePointer<ElementLookup>
    var batchCount = 0
    var requestParser = RequestParser()
    public let log: ServerLog
    var statistics = ServerStatistics()
    let commandCalls: UnsafeMutablePointer<UInt64>
    var timings: CommandTimings
    var errors = ErrorStatistics()
    var latency = LatencyMonitor()
    var rates = ServerRates()
    /// Since when the memory has been over its limit, monotonic milliseconds.
    var evictionExceededSince: Int64?
    /// Bytes in use before anything was stored.
    private(set) var startupBytes = 0
    /// The client whose command runs, and what is pushed to it meanwhile: that follows the command's reply.
    var currentClient: Client?
    let deferredPushes = OutputBuffer.create(capacity: 256)
    private var lastExpiryTurn: Int64 = 0
    /// `appendfsync always`: when the log got bytes that are not durable yet, and up to where; for the latency monitor.
    var pendingSynchronization: (start: UInt64, offset: UInt64)?
    var clients: [UInt64: Client] = [:]
    var pubsub = PubSub()
    var blocked = BlockedClients()
    var slowlog = SlowLog()
    var pause: ClientPause?
    var monitors: Set<Client> = []
    /// Clients over the soft limit of their output: watched even when nothing is sent to them.
    var overSoftLimit: Set<UInt64> = []
    var httpConnections: Set<UInt64> = []
    let startedAt: Int64
    let runID: String
    var isShuttingDown = false
    var plannedStop: PlannedStop?
    /// Monotonic milliseconds until which clients that are killed may still get answers: see `Handover.swift`.
    var farewellUntil: Int64 = 0
    var isLoading = false
    var listeners: [Connection] = []
    var tls: TLSReloader?
    var tlsServerContext: TLSContext?
    var tlsClientContext: TLSContext?
    var watchers: [WatchedKey: Set<Client>] = [:]
    /// Clients that were closed in this turn: their commands may still be in the batch.
    var retired: [Client] = []
    var isMoreExpiryDue = false
    var isMoreEvictionDue = false
    /// When the commands of this turn began, nanoseconds; nil when nothing waited to be freed then.
    var reclaimClock: UInt64?
    var isExecutingTransaction = false
    /// Where in its client's input the running command starts.
    var currentCommandStart = 0
    // Replication
    var history: ReplicationHistory
    var backlog: ReplicationBacklog?
    var replicas: [Client] = []
    var waitingClients: [WaitingClient] = []
    var logWaiters: [LogWaiter] = []
    var durableReplication = DurableReplication()
    var quorum = WriteQuorum()
    var fullSync: FullSync?
    /// Set on a replica.
    var primary: PrimaryLink?
    /// While the role at start is not decided.
    var roleDiscovery: RoleSearch?
    var roleRecord = RoleRecordKeeper()
    /// What +FULLRESYNC announced, until the snapshot is loaded.
    var fullSyncTarget: (id: String, offset: Int64)?
    /// The database that the stream has selected after the snapshot that was loaded last.
    var replicatedDatabase = 0
    var lastReplicationPing: Int64 = 0
    private var lastSupervision: Int64 = 0
    var healthConnections: [UInt64: HealthConnection] = [:]
    var lastTLSPoll: Int64 = 0
    var peakMemory = 0
    let persistence = PersistenceState()
    private(set) lazy var walks = WalkCoordinator(server: self)
    /// Bytes of the propagation stream since the process started, as far as it was drained: see `Server+Stream.swift`.
    var streamOffset: UInt64 = 0
    var scratchOutput = OutputBuffer.create(capacity: 4096)
    public internal(set) var exitCode: Int32 = 0

    /// The version of Redis whose commands and replies this server has.
    public static var compatibleVersion: String { redisVersion }

    /// Set when no command may take the short way: loading, paused, monitors, a replica's rules.
    var needsLongWay = false
    /// Bytes of `engine.usedBytes` above which commands take the long way, which evicts or refuses.
    var shortWayBytes = Int.max

    public init(settings: ServerSettings, log: ServerLog) {
        self.settings = settings
        self.log = log
        reactor = Reactor()
        var seed: UInt64 = 0
        if getrandom(&seed, 8, 0) != 8 { seed = UInt64.random(in: .min ... .max) }
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        startedAt = Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
        engine = Engine(seed: seed, nowMilliseconds: startedAt, databaseCount: settings.databases)
        batch = .allocate(capacity: Server.batchSize)
        elementLookups = .allocate(capacity: Server.batchSize)
        commandCalls = .allocate(capacity: CommandTable.shared.slotCount)
        commandCalls.initialize(repeating: 0, count: CommandTable.shared.slotCount)
        timings = CommandTimings()
        runID = Server.randomHex(40)
        history = ReplicationHistory(id: Server.randomHex(40))
        startupBytes = engine.usedBytes
        reactor.handler = self
        applySettings()
    }

    /// `count` hexadecimal digits from the system's randomness.
    static func randomHex(_ count: Int) -> String {
        var generator = SystemRandomNumberGenerator()
        let digits = Array("0123456789abcdef")
        return String((0..<count).map { _ in digits[Int(generator.next(upperBound: 16 as UInt64))] })
    }

    /// Carries settings over to the parts that keep copies of them.
    func applySettings() {
        engine.state.pointee.settings = settings.engine
        engine.state.pointee.keyspaceEvents = settings.keyspaceEvents
        updateEngineRole()
        if timings.isTracking, !settings.latencyTracking { timings.dropHistograms() }
        timings.isTracking = settings.latencyTracking
        requestParser = RequestParser(limits: RequestLimits(bulkBytes: settings.engine.maxStringBytes))
        updateLongWay()
    }

    /// A threshold that O(1) commands can pass: then every command has to be timed.
    private var isSlowlogPrecise: Bool {
        settings.slowlogMicroseconds >= 0 && settings.slowlogMicroseconds < 500 && settings.slowlogMaxEntries > 0
    }

    func updateLongWay() {
        shortWayBytes = settings.engine.maxMemoryBytes > 0 ? settings.engine.maxMemoryBytes : .max
        needsLongWay =
            isLoading || pause != nil || !monitors.isEmpty || isSlowlogPrecise || isLatencyMonitored || isShuttingDown
            || isReplicaRole
            || settings.minReplicasToWrite > 0 || isDiskFailing
    }

    // MARK: Start and end

    /// Opens the listening sockets.
    ///
    /// - Throws: `StartError` with one line that says what could not be had.
    public func start() throws(StartError) {
        let fitting = Server.raiseDescriptorLimit(for: settings.maxClients)
        if fitting < settings.maxClients {
            log.warning("maxclients", "maxclients lowered to \(fitting): the limit of open files is no higher")
            settings.maxClients = max(1, fitting)
        }
        if settings.tlsPort > 0 || settings.tlsExtraPort > 0 || settings.tlsReplication { try prepareTLS() }
        try prepareRoleDiscovery()
        for host in settings.bindAddresses {
            let isOptional = host.hasPrefix("-")
            let address = isOptional ? String(host.dropFirst()) : host
            do throws(SocketError) {
                if settings.port > 0 {
                    listeners.append(
                        try reactor.listen(
                            host: address, port: UInt16(settings.port), tag: ConnectionTag.client,
                            backlog: Int32(settings.tcpBacklog)))
                }
                for port in [settings.tlsPort, settings.tlsExtraPort] where port > 0 {
                    listeners.append(
                        try reactor.listen(
                            host: address, port: UInt16(port), tag: ConnectionTag.client, tls: tlsServerContext,
                            backlog: Int32(settings.tcpBacklog)))
                }
            } catch {
                if isOptional && error.code != EADDRINUSE { continue }
                throw StartError("cannot listen: \(error)")
            }
        }
        do throws(SocketError) {
            if !settings.unixSocket.isEmpty {
                listeners.append(
                    try reactor.listenUnix(
                        path: settings.unixSocket, mode: settings.unixSocketMode, tag: ConnectionTag.unixClient))
            }
            if settings.metricsPort > 0 {
                listeners.append(
                    try reactor.listen(
                        host: settings.metricsHost, port: UInt16(settings.metricsPort), tag: ConnectionTag.http))
            }
        } catch {
            throw StartError("cannot listen: \(error)")
        }
        if listeners.isEmpty { throw StartError("no port to listen on: set port, tls-port or unixsocket") }
        log.notice(
            "start",
            "dssm-db \(ProductVersion.current) (Redis \(Server.redisVersion)) listens, pid=\(getpid()), port=\(settings.port), tls-port=\(settings.tlsPort)"
        )
        reactor.catchSignals([SIGTERM, SIGINT, SIGHUP])
        reactor.schedule(after: 100) { [unowned self] in tick() }
    }

    public func run() { reactor.run() }

    /// Ten times a second: everything that is due by time and not by an event.
    func tick() {
        reactor.schedule(after: 100) { [unowned self] in tick() }
        engine.setTime(reactor.now)
        log.sink.flush()
        updateRates()
        serveLogWaiters()
        reportDurability()
        checkEvictionExcess()
        peakMemory = max(peakMemory, engine.usedBytes)
        closeIdleClients()
        checkSoftLimits()
        checkPause()
        pollTLSFiles()
        checkSaveRules()
        checkLog()
        guard reactor.monotonicNow - lastSupervision >= 1000 else { return }
        lastSupervision = reactor.monotonicNow
        superviseReplicas()
        supervisePrimaryLink()
        refreshRoleRecord()
    }
}

/// A condition that keeps the server from starting, as one line.
public struct StartError: Error, CustomStringConvertible, Sendable {
    public let description: String
    /// What the process ends with: 2 when the data is damaged, 3 when another process uses the folder, else 1.
    public let exitCode: Int32
    public init(_ description: String, exitCode: Int32 = 1) {
        self.description = description
        self.exitCode = exitCode
    }
}

// MARK: - Reactor events

extension Server: ReactorHandler {
    public func accepted(_ connection: Connection) {
        if connection.tag == ConnectionTag.http { return acceptedHTTP(connection) }
        statistics.connectionsReceived += 1
        if clients.count >= settings.maxClients {
            statistics.rejectedConnections += 1
            if connection.isOpen { connection.output.append("-ERR max number of clients reached\r\n") }
            return connection.closeAfterFlush(withinMilliseconds: 100)
        }
        connection.setKeepAlive(seconds: settings.tcpKeepAliveSeconds)
        if let reason = protectedModeRefusal(connection) {
            if connection.isOpen { connection.output.append(reason) }
            return connection.closeAfterFlush(withinMilliseconds: 100)
        }
        let client = Client.make(connection)
        if connection.tag == ConnectionTag.unixClient { client.insert(.unixSocket) }
        if !settings.password.isEmpty { client.insert(.needsAuthentication) }
        clients[client.id] = client
    }

    public func opened(_ connection: Connection) {
        if connection.tag == ConnectionTag.primaryLink { primaryLinkOpened(connection) }
        if connection.tag == ConnectionTag.survey { surveyOpened(connection) }
    }

    public func process(_ ready: UnsafeBufferPointer<Connection>) {
        // The last snapshot is written and the log closed: what comes now would be lost.
        if persistence.isEnded { return }
        if engine.isReclaiming { reclaimClock = CommandTimings.now() }
        processClients(ready)
        for connection in ready where connection.isOpen && connection.tag >= ConnectionTag.http {
            switch connection.tag {
            case ConnectionTag.http: answerHTTP(connection)
            case ConnectionTag.survey: roleDiscovery?.survey.received(connection)
            default: primaryLinkReceived(connection)
            }
        }
    }

    public func closed(_ connection: Connection, _ reason: CloseReason) {
        healthConnections[connection.id] = nil
        httpConnections.remove(connection.id)
        if connection.tag == ConnectionTag.primaryLink {
            statistics.replicationBytesReceived &+= connection.state.pointee.bytesReceived
            return primaryLinkClosed(connection, reason)
        }
        if connection.tag == ConnectionTag.survey {
            roleDiscovery?.survey.closed(connection, reason)
            return
        }
        if case .tls(let text) = reason {
            statistics.tlsFailures += 1
            log.warning("tls-failure", "Error accepting a client connection: \(text) (\(connection.remoteAddress))")
        }
        guard let client = Client.of(connection) else { return }
        if client.has(.replica) { statistics.replicationBytesSent &+= connection.state.pointee.bytesSent }
        log.verbose("client-closed", "Client closed connection: \(reason.text), addr=\(connection.remoteAddress)")
        forget(client)
        // What of it is still in the batch must not be executed: it could enter the client into lists anew.
        client.insert(.closing)
        connection.context = nil
        clients[client.id] = nil
        overSoftLimit.remove(client.id)
        // Commands of this client may still be in the batch: its state goes when the turn is over.
        retired.append(client)
    }

    public func endTurn() {
        engine.setTime(reactor.now)
        // While data is loaded, turns come in the middle of it: nothing may expire yet.
        if isLoading { return endLoadingTurn() }
        // In a pause the dataset stands still: a handover waits for replicas to reach its end. And deletions would pile up for
        // a log that cannot take them.
        let mayExpire = pause == nil && persistence.logFailure == nil
        isMoreExpiryDue = mayExpire && expireInTurn()
        evictInTurn()
        if !engine.state.pointee.events.isEmpty { serveEvents() }
        drainStream()
        walks.turn()
        reclaimInTurn()
        acknowledgeIfNeeded()
        destroyRetired()
    }

    /// Deletes due keys; returns whether there are more. The clock of the wheel has steps of a millisecond: within one there
    /// is nothing to do, and nothing to measure.
    private func expireInTurn() -> Bool {
        guard isMoreExpiryDue || reactor.now != lastExpiryTurn else {
            return engine.expireDueKeys(budget: Server.expiryBudget)
        }
        lastExpiryTurn = reactor.now
        let start = CommandTimings.now()
        let isMoreDue = engine.expireDueKeys(budget: Server.expiryBudget)
        let elapsed = CommandTimings.now() &- start
        statistics.expireNanoseconds &+= elapsed
        if isMoreDue { statistics.expireBudgetReached += 1 }
        noteLatency("expire-cycle", nanoseconds: elapsed)
        return isMoreDue
    }

    private func endLoadingTurn() {
        if !engine.state.pointee.events.isEmpty { serveEvents() }
        reclaimInTurn()
        destroyRetired()
    }

    private func destroyRetired() {
        for client in retired { client.destroy() }
        retired.removeAll(keepingCapacity: true)
    }

    /// Keys deleted in one turn at most, for expiry.
    static let expiryBudget = 2000

    public func idleMilliseconds() -> Int64? {
        if isMoreExpiryDue || isMoreEvictionDue || walks.wantsTurn || engine.isReclaiming { return 0 }
        if pause != nil || persistence.logFailure != nil { return nil }
        return engine.nextExpiryCheck.map { max(0, $0 - reactor.now) }
    }

    public func signalled(_ number: Int32) {
        switch number {
        case SIGHUP:
            log.sink.reopen()
            log.notice("log-reopened", "SIGHUP received, the log file was opened anew")
        default:
            log.notice("signal", "Received \(number == SIGTERM ? "SIGTERM" : "SIGINT") scheduling shutdown...")
            if isShuttingDown { hurryPlannedStop() } else { shutDown(save: nil) }
        }
    }

    public func outputPending(_ connection: Connection) {
        if let client = Client.of(connection) { checkOutputLimit(client) }
    }
}
