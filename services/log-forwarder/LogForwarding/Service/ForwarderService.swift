// The process: files, sockets, the disk buffer and a clock, on one reactor thread.
//
// Lines become entries in one growing chunk an input; a chunk that is full or old enough becomes a block of the disk buffer;
// blocks go out as the servers take them, and leave when acknowledged. Positions are written only after all that was read up to
// them is in the buffer and synced, so a crash at any moment repeats records and loses none. When the buffer's disk is full,
// nothing more is read: the files themselves keep what is to come.
//
// fsync runs on this thread too: nobody waits for it but the log, and a second thread would only make the order harder to see.

import ByteStorage
import CLinux
import Logging
import Reactor
import TLS
import Telemetry

enum ConnectionTag {
    static let http = 0
    /// Accepts log lines from a socket of an input.
    static let lines = 1
    static let server = 2
}

/// A condition that keeps the forwarder from starting, as one line.
public struct StartError: Error, CustomStringConvertible, Sendable {
    public let description: String
    public init(_ description: String) { self.description = description }
}

struct ForwarderStatistics {
    var records: UInt64 = 0
    var recordBytes: UInt64 = 0
    var sentChunks: UInt64 = 0
    var repeatedChunks: UInt64 = 0
    var acknowledgedChunks: UInt64 = 0
    var acknowledgedRecords: UInt64 = 0
    var connectionFailures: UInt64 = 0
    var ackTimeouts: UInt64 = 0
    var bufferFailures: UInt64 = 0
    var positionFailures: UInt64 = 0
    var refusedLineConnections: UInt64 = 0
}

/// One input's records that are not in the disk buffer yet.
struct OpenChunk {
    let entries = OutputBuffer.create(capacity: 4096)
    var records = 0
    var encoder: RecordEncoder
}

public final class ForwarderService {
    public let reactor = Reactor()
    public let settings: ForwarderSettings
    let sink: LogSink
    let log: Logger
    var statistics = ForwarderStatistics()
    let startedAt = Reactor.monotonicMilliseconds()

    // Reading
    let follower: FileFollower
    var chunks: [OpenChunk]
    var lineConnections: [UInt64: LineConnection] = [:]
    var standardInput: StandardInput?
    var standardInputLines: LineAssembler?
    var isStandardInputWaiting = false
    var time = EventTime(seconds: 0)
    var pollTimer: TimerID?

    // Buffering
    let buffer: DiskBuffer
    let lock: Int32
    /// The disk is full or failing: monotonic milliseconds of the next attempt; nil: it works.
    var retryBufferAt: Int64?
    var reportedDrops: UInt64 = 0
    var positionsProblem = false
    var savedPositions: [FilePosition] = []

    // Sending
    var pool: ServerPool
    var links: [ServerLink]
    /// Blocks that came back from a broken connection, oldest first.
    var returned: [BufferedBlock] = []
    let writer: ForwardMessageWriter
    let entries = OutputBuffer.create(capacity: 4096)
    var tlsContext: TLSContext?
    var tlsProblem: String?

    // Health and end
    var listeners: [Connection] = []
    var healthConnections: [UInt64: HealthConnection] = [:]
    var shutdownDeadline: Int64?

    /// Opens the buffer and the positions of an earlier run; neither reads nor connects yet.
    public init(settings: ForwarderSettings, sink: LogSink) throws(StartError) {
        self.settings = settings
        self.sink = sink
        log = Logger(sink)
        lock = try Self.lock(settings.stateDirectory)
        var bufferSettings = DiskBuffer.Settings(folder: settings.stateDirectory + "/buffer")
        bufferSettings.maximumBytes = settings.bufferMaximumBytes
        bufferSettings.segmentBytes = settings.bufferSegmentBytes
        do throws(FileFailure) {
            var generator = SystemRandomNumberGenerator()
            buffer = try DiskBuffer(bufferSettings) { generator.next() }
        } catch { throw StartError("the disk buffer cannot be opened: \(error)") }
        do { writer = try ForwardMessageWriter(mode: settings.mode) } catch { throw StartError("\(error)") }
        chunks = settings.inputs.map { OpenChunk(encoder: RecordEncoder(labels: $0.labels)) }
        pool = ServerPool(
            settings.servers.map { ServerPool.Member(weight: $0.weight, isStandby: $0.isStandby) },
            retry: settings.retry)
        links = settings.servers.map { ServerLink($0) }
        var followed: [(index: Int, settings: FollowSettings)] = []
        for (index, input) in settings.inputs.enumerated() {
            if case .files(let settings) = input.source { followed.append((index, settings)) }
        }
        var positions: [FilePosition] = []
        switch PositionFile.load(settings.stateDirectory + "/positions") {
        case .none: break
        case .positions(let found): positions = found
        case .damaged(let reason):
            log.event(
                .warning, "positions-damaged", "The positions cannot be used, files are read from their beginning",
                ["reason": reason])
        }
        follower = FileFollower(inputs: followed, positions: positions)
        follower.rotateWaitMilliseconds = settings.rotateWaitMilliseconds
        follower.onEvent = { [unowned self] in fileEvent($0) }
        reactor.handler = self
        reactor.handshakeMilliseconds = settings.handshakeMilliseconds
    }

    /// Two forwarders on one buffer would send each other's blocks away.
    private static func lock(_ folder: String) throws(StartError) -> Int32 {
        if mkdir(folder, 0o770) != 0, cl_errno() != EEXIST { throw StartError("\(FileFailure("mkdir \(folder)"))") }
        let path = folder + "/lock"
        let fd = cl_open(path, O_RDWR | O_CREAT, 0o600)
        guard fd >= 0 else { throw StartError("\(FileFailure("open \(path)"))") }
        guard flock(fd, LOCK_EX | LOCK_NB) == 0 else {
            throw StartError("\(path) is locked: another forwarder uses this state-directory")
        }
        return fd
    }

    /// Opens the listening sockets and begins to read and to send.
    ///
    /// - Parameter catchingSignals: false when the process has other uses for SIGTERM, as tests have.
    public func start(catchingSignals: Bool = true) throws(StartError) {
        do throws(SocketError) {
            if settings.metricsPort > 0 {
                listeners.append(
                    try reactor.listen(
                        host: settings.metricsHost, port: UInt16(settings.metricsPort), tag: ConnectionTag.http))
            }
            for (index, input) in settings.inputs.enumerated() {
                guard case .unixSocket(let path) = input.source else { continue }
                let listener = try reactor.listenUnix(path: path, mode: 0o660, tag: ConnectionTag.lines + index << 8)
                listeners.append(listener)
            }
        } catch { throw StartError("cannot listen: \(error)") }
        if settings.tls != nil, let problem = refreshTLS() { throw StartError("TLS cannot be set up: \(problem)") }
        if catchingSignals { reactor.catchSignals([SIGTERM, SIGINT, SIGHUP]) }
        let recovered = buffer.statistics
        log.event(
            .notice, "start", "Forwarding \(settings.inputs.count) input(s) to \(settings.servers.count) server(s)",
            [
                "recovered_records": "\(recovered.recoveredRecords)", "torn_bytes": "\(recovered.tornBytes)",
                "buffer_bytes": "\(buffer.totalBytes)", "version": ProductVersion.current,
            ])
        if recovered.damagedBlocks > 0 {
            log.event(
                .warning, "buffer-damaged", "Parts of the buffer cannot be read and were passed over",
                ["stretches": "\(recovered.damagedBlocks)"])
        }
        readClock()
        startStandardInput()
        scan()
        poll()
        everyFlush()
        everyTenth()
        everySecond()
    }

    public func run() { reactor.run() }

    // MARK: Timers

    func readClock() {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        time = EventTime(seconds: Int64(now.tv_sec), nanoseconds: UInt32(truncatingIfNeeded: now.tv_nsec))
    }

    private func scan() {
        reactor.schedule(after: settings.scanMilliseconds) { [unowned self] in scan() }
        guard shutdownDeadline == nil else { return }
        follower.scan(now: Reactor.monotonicMilliseconds(), wallSeconds: time.seconds, receiver: self)
    }

    /// Bytes read from files in one turn of the loop, so that sockets get theirs.
    private static let readBudget = 1 << 20

    /// Reads from the files; again at once while there is more.
    private func poll() {
        guard shutdownDeadline == nil else { return }
        readClock()
        let hasMore =
            !isPaused
            && follower.read(budget: Self.readBudget, now: Reactor.monotonicMilliseconds(), receiver: self)
        pollTimer = reactor.schedule(after: hasMore ? 0 : settings.pollMilliseconds) { [unowned self] in poll() }
    }

    private func everyFlush() {
        reactor.schedule(after: settings.flushMilliseconds) { [unowned self] in everyFlush() }
        if shutdownDeadline == nil { checkpoint() }
    }

    private func everyTenth() {
        reactor.schedule(after: 100) { [unowned self] in everyTenth() }
        manageLinks()
        if shutdownDeadline != nil { finishIfDone() }
    }

    private func everySecond() {
        reactor.schedule(after: 1000) { [unowned self] in everySecond() }
        sink.flush()
        updateUTCOffset()
        reportDrops()
    }

    private func updateUTCOffset() {
        var now = time_t(time.seconds)
        var parts = tm()
        guard localtime_r(&now, &parts) != nil else { return }
        for index in chunks.indices { chunks[index].encoder.utcOffsetSeconds = Int64(parts.tm_gmtoff) }
    }

    private func fileEvent(_ event: FileFollower.Event) {
        switch event {
        case .opened(let path, let offset):
            log.event(.notice, "file-opened", "Following a file", ["path": path, "offset": "\(offset)"])
        case .truncated(let path):
            log.event(.notice, "file-truncated", "A file begins anew", ["path": path])
        case .closed(let path):
            log.event(.notice, "file-closed", "A file that was rotated away or removed is read", ["path": path])
        case .failed(let text): log.event(.warning, "file-failed", "A file cannot be followed: \(text)")
        case .tooMany(let path):
            log.event(
                .warning, "file-limit", "More than \(FileFollower.mostFiles) files, the rest is not followed",
                ["path": path])
        }
    }

    // MARK: End

    /// Reads what is there, stores it, and sends as long as the time allows; what is left stays in the buffer.
    func shutDown(_ reason: String) {
        guard shutdownDeadline == nil else { return }
        log.event(.notice, "shutdown", "\(reason): sending what is buffered", ["records": "\(buffer.liveRecords)"])
        let end = Reactor.monotonicMilliseconds() + settings.shutdownMilliseconds
        readClock()
        follower.scan(now: Reactor.monotonicMilliseconds(), wallSeconds: time.seconds, receiver: self)
        while Reactor.monotonicMilliseconds() < end, !isPaused,
            follower.read(budget: Self.readBudget, now: Reactor.monotonicMilliseconds(), receiver: self)
        {}
        checkpoint()
        shutdownDeadline = end
        for listener in listeners where listener.tag != ConnectionTag.http { listener.close(.local("shutting down")) }
        pump()
        finishIfDone()
    }

    func finishIfDone() {
        guard let deadline = shutdownDeadline else { return }
        guard buffer.liveBlocks == 0 || Reactor.monotonicMilliseconds() >= deadline else { return }
        checkpoint()
        log.event(.notice, "exit", "Stopped", ["records_left": "\(buffer.liveRecords)"])
        sink.finish()
        reactor.stop()
    }
}
