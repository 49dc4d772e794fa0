// The sentinel process: the state machine of SentinelCore, given sockets, a clock and a file.
//
// One thread, the reactor's, owns everything. Events of the reactor become events of the state machine, its actions become
// calls on the reactor; nothing is decided here. Beside that the server answers clients (SENTINEL, INFO, pub/sub of events)
// and passes their data commands on to the current primary (`Forwarder`).

import ByteStorage
import CLinux
import Logging
import RESP
import RESPClient
import Reactor
import SentinelCore
import ServerConfiguration
import TLS
import Telemetry

/// What a connection is for.
enum ConnectionTag {
    static let client = 0
    static let http = 1
    /// To a db or another sentinel, on behalf of the state machine.
    static let peer = 2
    /// To the primary, with commands of clients.
    static let upstream = 3
    /// To a db or another sentinel, with a question.
    static let survey = 4
}

/// A condition that keeps the sentinel from starting, as one line.
public struct StartError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

struct ServerStatistics {
    var connectionsReceived: UInt64 = 0
    var rejectedConnections: UInt64 = 0
    var commandsProcessed: UInt64 = 0
    var errorReplies: UInt64 = 0
    var tlsFailures: UInt64 = 0
    var outputLimitDisconnections: UInt64 = 0
    var bytesReceived: UInt64 = 0
    var bytesSent: UInt64 = 0
    var eventCounts: [String: UInt64] = [:]
    var lastEvent: (type: String, payload: String)?
}

public final class SentinelServer {
    public let reactor = Reactor()
    public let settings: SentinelSettings
    /// The settings file, rewritten when the state changes.
    let file: String
    let log: Logger
    let sink: LogSink
    let machine: SentinelStateMachine
    let startedAt: Int64
    var listeners: [Connection] = []
    var clients: [UInt64: SentinelClient] = [:]
    var subscriptions = Subscriptions()
    var healthConnections: [UInt64: HealthConnection] = [:]
    var statistics = ServerStatistics()
    public internal(set) var exitCode: Int32 = 0
    var isShuttingDown = false

    // Requests
    let arena = ArgumentArena(capacity: 1024)
    let scratch = OutputBuffer.create(capacity: 4096)
    var requestParser = RequestParser()
    var lastRequester: UInt64 = 0
    var requesters: [RequesterID: PendingAnswer] = [:]

    // State machine's links
    var links: [LinkID: PeerLink] = [:]
    var linksByConnection: [UInt64: PeerLink] = [:]
    var timer: TimerID?

    // TLS
    var tls: TLSReloader?
    var tlsServerContext: TLSContext?
    var tlsClientContext: TLSContext?

    // Persistence
    let persistenceQueue = WorkQueue(name: "settings")
    private(set) lazy var scriptQueue = WorkQueue(name: "scripts", threads: machine.timing.maximumRunningScripts)

    var forwarder: Forwarder
    var primarySearch: PrimarySearch?

    public init(settings: SentinelSettings, file: String, sink: LogSink) {
        self.settings = settings
        self.file = file
        self.sink = sink
        log = Logger(sink)
        machine = SentinelStateMachine(
            configuration: settings.sentinel, listenPort: settings.announcedPort,
            seed: UInt64.random(in: .min ... .max),
            now: Reactor.monotonicMilliseconds())
        if !settings.password.isEmpty { machine.peerPassword = settings.password }
        startedAt = Reactor.monotonicMilliseconds()
        forwarder = Forwarder(settings)
        reactor.handler = self
    }

    // MARK: Start and end

    /// Opens the listening sockets and begins to watch.
    ///
    /// - Throws: one line that says what could not be had.
    /// - Parameter catchingSignals: false when the process has other uses for SIGTERM, as tests have.
    public func start(catchingSignals: Bool = true) throws(StartError) {
        for script in settings.sentinel.primaries.flatMap({ [$0.notificationScript, $0.reconfigurationScript] }) {
            if let script, access(script, X_OK) != 0 {
                throw StartError("the script '\(script)' does not exist or is not executable")
            }
        }
        if settings.needsTLS { try prepareTLS() }
        try checkFile()
        for host in settings.bindAddresses { try listen(on: host) }
        do throws(SocketError) {
            if settings.metricsPort > 0 {
                listeners.append(
                    try reactor.listen(
                        host: settings.metricsHost, port: UInt16(settings.metricsPort), tag: ConnectionTag.http))
            }
        } catch {
            throw StartError("cannot listen for metrics: \(error)")
        }
        guard listeners.contains(where: { $0.tag == ConnectionTag.client }) else {
            throw StartError("no port to listen on: set port or tls-port")
        }
        if catchingSignals { reactor.catchSignals([SIGTERM, SIGINT, SIGHUP]) }
        log.event(.notice, "start", "Running mode=sentinel, port=\(settings.announcedPort).")
        log.event(.notice, "identity", "Sentinel ID is \(machine.myID)")
        if settings.withheldPrimary != nil { machine.withholdMonitoring() }
        perform(machine.start(now: Reactor.monotonicMilliseconds()))
        reactor.schedule(after: 1000) { [unowned self] in everySecond() }
        if let primary = settings.withheldPrimary { searchPrimary(primary) }
    }

    public func run() { reactor.run() }

    private func listen(on host: String) throws(StartError) {
        let isOptional = host.hasPrefix("-")
        var address = isOptional ? String(host.dropFirst()) : host
        if address == "::*" { address = "::" }
        do throws(SocketError) {
            let backlog = Int32(settings.tcpBacklog)
            if settings.port > 0 {
                listeners.append(
                    try reactor.listen(
                        host: address, port: UInt16(settings.port), tag: ConnectionTag.client, backlog: backlog))
            }
            if settings.tlsPort > 0, let context = tlsServerContext {
                listeners.append(
                    try reactor.listen(
                        host: address, port: UInt16(settings.tlsPort), tag: ConnectionTag.client, tls: context,
                        backlog: backlog))
            }
        } catch {
            if isOptional && error.code != EADDRINUSE { return }
            throw StartError("cannot listen: \(error)")
        }
    }

    private func everySecond() {
        reactor.schedule(after: 1000) { [unowned self] in everySecond() }
        pollTLSFiles()
        closeIdleClients()
        sink.flush()
    }

    private func closeIdleClients() {
        guard settings.timeoutSeconds > 0 else { return }
        let limit = reactor.monotonicNow - Int64(settings.timeoutSeconds) * 1000
        for client in Array(clients.values)
        where client.connection.lastActivity < limit && !client.isSubscribed && client.slots.isEmpty {
            client.connection.close(.local("idle for longer than the timeout"))
        }
    }

    /// Ends in bounded time: nothing new is accepted, replies that are under way may still arrive.
    func shutDown(_ reason: String) {
        guard !isShuttingDown else { return }
        isShuttingDown = true
        log.event(.warning, "shutdown", "\(reason): closing \(clients.count) client connection(s)")
        for listener in listeners { listener.close(.local("shutting down")) }
        listeners = []
        for client in Array(clients.values) where client.slots.isEmpty { client.connection.closeAfterFlush() }
        reactor.schedule(after: Int64(settings.shutdownTimeoutSeconds) * 1000) { [unowned self] in finish() }
        finishIfDone()
    }

    func finishIfDone() {
        guard isShuttingDown, clients.isEmpty else { return }
        reactor.schedule(after: 0) { [unowned self] in finish() }
    }

    private func finish() {
        guard isShuttingDown else { return }
        log.event(.warning, "exit", "Sentinel is now ready to exit, bye bye...")
        sink.finish()
        reactor.stop()
    }
}

// MARK: - Reactor events

extension SentinelServer: ReactorHandler {
    public func accepted(_ connection: Connection) {
        if connection.tag == ConnectionTag.http {
            if healthConnections.count >= 64 { return connection.close(.local("too many health connections")) }
            healthConnections[connection.id] = HealthConnection()
            return
        }
        statistics.connectionsReceived += 1
        if clients.count >= settings.maxClients {
            statistics.rejectedConnections += 1
            if connection.isOpen { connection.output.append("-ERR max number of clients reached\r\n") }
            return connection.closeAfterFlush(withinMilliseconds: 100)
        }
        connection.setKeepAlive(seconds: settings.tcpKeepAliveSeconds)
        clients[connection.id] = SentinelClient(connection, needsAuthentication: !settings.password.isEmpty)
    }

    public func opened(_ connection: Connection) {
        switch connection.tag {
        case ConnectionTag.peer: peerOpened(connection)
        case ConnectionTag.upstream: upstreamOpened(connection)
        case ConnectionTag.survey: surveyOpened(connection)
        default: break
        }
    }

    public func process(_ ready: UnsafeBufferPointer<Connection>) {
        for connection in ready where connection.isOpen {
            switch connection.tag {
            case ConnectionTag.client:
                if let client = clients[connection.id] { processRequests(client) }
            case ConnectionTag.http: answerHTTP(connection)
            case ConnectionTag.peer: peerReceived(connection)
            case ConnectionTag.upstream: upstreamReceived(connection)
            case ConnectionTag.survey: primarySearch?.survey.received(connection)
            default: break
            }
        }
    }

    public func closed(_ connection: Connection, _ reason: CloseReason) {
        statistics.bytesReceived += connection.state.pointee.bytesReceived
        statistics.bytesSent += connection.state.pointee.bytesSent
        switch connection.tag {
        case ConnectionTag.http: healthConnections[connection.id] = nil
        case ConnectionTag.peer: peerClosed(connection, reason)
        case ConnectionTag.upstream: upstreamClosed(connection, reason)
        case ConnectionTag.survey: primarySearch?.survey.closed(connection, reason)
        default:
            if case .tls(let text) = reason {
                statistics.tlsFailures += 1
                log.event(
                    .warning, "tls-failure",
                    "Error accepting a client connection: \(text) (\(connection.remoteAddress))")
            }
            if let client = clients.removeValue(forKey: connection.id) { clientClosed(client) }
            finishIfDone()
        }
    }

    public func outputPending(_ connection: Connection) {
        guard connection.tag == ConnectionTag.client, let client = clients[connection.id] else { return }
        checkOutput(client, connection.pendingOutput)
    }

    /// Closes a client that does not take what it has asked for.
    func checkOutput(_ client: SentinelClient, _ bytes: Int) {
        let limit = OutputLimit(hardBytes: settings.outputBufferLimit)
        guard client.outputWatch.judge(bytes, limit, now: reactor.monotonicNow) == .exceeded else { return }
        statistics.outputLimitDisconnections += 1
        log.event(
            .warning, "output-limit",
            "Client \(client.connection.remoteAddress) closed for overcoming of output buffer limits.")
        client.connection.close(.local("output buffer limit"))
    }

    public func endTurn() {}

    public func idleMilliseconds() -> Int64? { nil }

    public func signalled(_ number: Int32) {
        if number == SIGHUP {
            sink.reopen()
            return log.event(.notice, "log-reopened", "Log file reopened after SIGHUP")
        }
        shutDown("Received \(number == SIGTERM ? "SIGTERM" : "SIGINT") scheduling shutdown...")
    }
}
