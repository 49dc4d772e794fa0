import ByteStorage

// Writes the append-only log: the side of the loop.
//
// The loop appends commands to `pending` during a turn and calls `flush` once at its end, before replies leave.
// Positions in the log are counts of bytes since the start of the process; a reply that must not leave before its
// command is on the disk carries the position of its end and waits until `durable` has passed it.
//
//  - always: the bytes go to the worker, which writes and synchronises all that has gathered meanwhile with one write
//    and one fsync (group commit), then moves `durable` and calls `notify`.
//  - everysec, no: the loop writes to the page cache by itself, which is cheaper than waking a thread, unless the
//    worker is busy (a write would wait for its fsync): then it postpones, for two seconds at most, as Redis does.
//    Once a second (everysec) the worker synchronises.
//
// Who owns the file: the worker from the moment when a task is queued until it is idle again, else the loop. Only the
// loop queues tasks, so an idle worker stays idle while the loop writes.
//
// Failures: a write that fails is taken back as a whole (the file is cut) and tried again until it succeeds; nothing of
// it is acknowledged meanwhile, and `status` tells the server to refuse writes. A failed fsync may have dropped the
// dirty pages, so the bytes since the last good one are written again if they are still in memory; if not, `status`
// asks for a rewrite of the log.

/// A place in the log: bytes appended since the process started.
public struct LogPosition: Comparable, Hashable, Sendable {
    public var bytes: UInt64

    public init(bytes: UInt64 = 0) { self.bytes = bytes }

    public static func < (left: LogPosition, right: LogPosition) -> Bool { left.bytes < right.bytes }
}

/// `appendfsync`
public enum FsyncPolicy: Sendable {
    case always, everySecond, no
}

/// The loop's handle of the log. Not thread-safe: all methods are the loop's.
public final class AOFWriter {
    public struct Settings: Sendable {
        /// Bytes that may wait for the disk; above it `flush` blocks, as a write to a full page cache would.
        public var maximumQueuedBytes = 64 << 20
        /// How long `everysec` and `no` put off writing while the worker is busy.
        public var longestPostponementMilliseconds: Int64 = 2000
        public var synchronizeEveryMilliseconds: Int64 = 1000
        /// Between two attempts after a failure.
        public var retryMilliseconds = 1000
        /// `no-appendfsync-on-rewrite`: the server sets it while a rewrite or snapshot is under way.
        public var pausesFsync = false

        public init() {}
    }

    public enum Status: Sendable {
        case healthy
        /// Writes should be refused; the attempts go on.
        case failing(PersistenceError)
    }

    public enum Event: Sendable {
        /// From here on commands go to a new increment; the state at `beginIncrement` is what the new base must hold.
        case incrementBegan(sequence: Int64)
        case rewriteFinished(base: String, baseBytes: Int64)
        /// The log is as it was before, plus possibly an increment.
        case rewriteFailed(PersistenceError)
        case failing(PersistenceError)
        case recovered
    }

    public struct Statistics: Sendable, Equatable {
        /// Bytes of the base and the increments.
        public var currentBytes: Int64 = 0
        public var baseBytes: Int64 = 0
        public var pendingBytes = 0
        public var queuedBytes = 0
        public var delayedFsyncs: UInt64 = 0
        public var isFsyncPending = false
        /// A failed fsync may have lost bytes that only a rewrite brings back.
        public var needsRewrite = false
    }

    /// Where the loop appends commands in the request format. The handle stays the same for the writer's life.
    public let pending: OutputBuffer
    public var settings: Settings

    private let worker: AOFWorker
    /// The position of the start of `pending`.
    private var flushed: UInt64 = 0
    private var postponedSince: Int64?
    private var lastSynchronization: Int64?
    private var lastFailure: Int64?
    private var delayedFsyncs: UInt64 = 0

    /// Opens the last increment, or begins the first one, and starts the worker.
    ///
    /// - Parameters:
    ///   - awaitsBase: the manifest is written only when the first `finishRewrite` brings a base: for a log that is
    ///     switched on over data that it does not hold yet. What the manifest lists becomes history then.
    ///   - notify: called by the worker thread, without locks held, when `durable` moved or an event came up.
    public init(
        directory: AOFDirectory, manifest: AOFManifest, settings: Settings = Settings(), awaitsBase: Bool = false,
        notify: @escaping @Sendable () -> Void
    ) throws(PersistenceError) {
        pending = .create(capacity: 64 << 10)
        self.settings = settings
        do throws(PersistenceError) {
            worker = try AOFWorker(
                directory: directory, manifest: manifest, retryMilliseconds: settings.retryMilliseconds,
                awaitsBase: awaitsBase, notify: notify)
        } catch {
            pending.destroy()
            throw error
        }
    }

    deinit {
        worker.stop()
        pending.destroy()
    }

    /// The end of what was appended so far, pending bytes included.
    public var position: LogPosition { LogPosition(bytes: flushed &+ UInt64(pending.count)) }

    /// Everything before is on the disk. May be read on any thread.
    public var durable: LogPosition { LogPosition(bytes: worker.durable) }

    /// Adds a time stamp for recovery to a point in time (`aof-timestamp-enabled`).
    public func appendTimestamp(unixSeconds: Int64) {
        pending.append("#TS:")
        pending.append(decimal: unixSeconds)
        pending.append("\r\n")
    }

    /// Hands this turn's commands on, by the policy. Call once a turn, and at least every 100 ms when idle.
    ///
    /// - Parameter nowMilliseconds: of a clock that never goes back.
    /// - Returns: the position to wait for before this turn's replies leave, if the policy is `always`.
    @discardableResult
    public func flush(_ policy: FsyncPolicy, nowMilliseconds now: Int64) -> LogPosition {
        let end = position
        let isIdle = worker.isIdle
        if policy == .always {
            if !pending.isEmpty {
                queue(synchronized: true)
            } else if isIdle, durable < end {
                worker.enqueueSynchronization()
            }
            postponedSince = nil
            return end
        }
        if !pending.isEmpty {
            if isIdle { write(now) } else { postpone(now) }
        }
        if policy == .everySecond, worker.isIdle, !settings.pausesFsync, worker.fileNeedsSynchronization {
            let last = lastSynchronization ?? Int64.min / 2
            if now - last >= settings.synchronizeEveryMilliseconds {
                lastSynchronization = now
                worker.enqueueSynchronization()
            }
        }
        return end
    }

    private func queue(synchronized: Bool) {
        let end = flushed &+ UInt64(pending.count)
        worker.enqueue(pending, end: end, synchronized: synchronized, limit: settings.maximumQueuedBytes)
        flushed = end
    }

    private func write(_ now: Int64) {
        if let lastFailure, now - lastFailure < Int64(settings.retryMilliseconds) { return }
        postponedSince = nil
        if let error = worker.writeByLoop(pending.view, end: flushed &+ UInt64(pending.count)) {
            lastFailure = now
            worker.report(failure: error)
            return
        }
        if lastFailure != nil {
            lastFailure = nil
            worker.reportRecovery()
        }
        flushed &+= UInt64(pending.count)
        pending.removeAll()
        pending.shrink(to: 1 << 20)
    }

    private func postpone(_ now: Int64) {
        let since = postponedSince ?? now
        postponedSince = since
        guard now - since >= settings.longestPostponementMilliseconds || pending.count > settings.maximumQueuedBytes
        else { return }
        if worker.isSynchronizing { delayedFsyncs &+= 1 }
        queue(synchronized: false)
        postponedSince = nil
    }

    /// What happened since the last call, in order.
    public func takeEvents() -> [Event] { worker.takeEvents() }

    public var status: Status { worker.status }

    public var statistics: Statistics {
        var statistics = worker.statistics
        statistics.pendingBytes = pending.count
        statistics.delayedFsyncs = delayedFsyncs
        statistics.isFsyncPending = worker.isSynchronizing
        return statistics
    }

    // MARK: Rewrite

    /// Begins a new increment behind everything appended so far: the start of a rewrite. Call it in the turn, and
    /// before any further command, in which the snapshot of the new base starts. The outcome is an event.
    public func beginIncrement() {
        if !pending.isEmpty { queue(synchronized: true) }
        worker.enqueueIncrement()
    }

    /// Puts a base in place that was written to `AOFDirectory.temporaryBaseName`, and removes what it replaces. The
    /// outcome is an event.
    public func finishRewrite(format: AOFManifest.BaseFormat) {
        worker.enqueueRewriteEnd(format)
    }

    // MARK: End

    /// Blocks until everything appended is on the disk. For the end of the process and for tests.
    ///
    /// - Returns: false when that did not come about in time.
    public func synchronize(timeoutMilliseconds: Int) -> Bool {
        if pending.isEmpty {
            if durable < position { worker.enqueueSynchronization() }
        } else {
            queue(synchronized: true)
        }
        return worker.wait(untilDurable: position.bytes, milliseconds: timeoutMilliseconds)
    }

    /// Synchronises and ends the worker. The writer is of no more use.
    public func close(timeoutMilliseconds: Int) -> Bool {
        let isDurable = synchronize(timeoutMilliseconds: timeoutMilliseconds)
        worker.stop()
        return isDurable
    }
}
