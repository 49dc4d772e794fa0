import ByteStorage
import CLinux

// Writes the append-only log: the side of the worker thread. AOFWriter.swift describes how the two share the file.

/// `@unchecked Sendable`: `shared` is guarded by `monitor`; `file` and `manifest` belong to the worker while `shared`
/// says that it is busy or has tasks, to the loop otherwise (the lock that is taken to find out orders the accesses).
final class AOFWorker: @unchecked Sendable {
    private enum Task {
        case data(OutputBuffer, end: UInt64, synchronized: Bool)
        case synchronize
        case beginIncrement
        case finishRewrite(AOFManifest.BaseFormat)
    }

    private struct Shared {
        var tasks: [Task] = []
        var isBusy = false
        var isSynchronizing = false
        var isStopping = false
        var queuedBytes = 0
        /// Everything before this position is on the disk.
        var durable: UInt64 = 0
        var failure: PersistenceError?
        var events: [AOFWriter.Event] = []
        var statistics = AOFWriter.Statistics()
        var freeBuffers: [OutputBuffer] = []
    }

    private let monitor = Monitor()
    private var shared = Shared()
    private var file: LogFile
    private var manifest: AOFManifest
    private let directory: AOFDirectory
    private let retryMilliseconds: Int
    private let notify: @Sendable () -> Void
    private var thread: WorkerThread?

    /// Position of the end of what was written; of the file's owner.
    private var written: UInt64 = 0
    /// False until the first base is there, for a log that is switched on over data.
    private var isManifestLive: Bool
    /// The increment at which the rewrite under way began.
    private var rewriteIncrement: Int64?
    /// The last increment of which a failed fsync may have lost bytes.
    private var doubtfulIncrement: Int64?

    /// Queued tasks other than data are few; this is their limit, beyond which requests are dropped.
    private static let mostTasks = 64

    init(
        directory: AOFDirectory, manifest: AOFManifest, retryMilliseconds: Int, awaitsBase: Bool,
        notify: @escaping @Sendable () -> Void
    ) throws(PersistenceError) {
        self.directory = directory
        self.retryMilliseconds = retryMilliseconds
        self.notify = notify
        isManifestLive = !awaitsBase
        var manifest = manifest
        if !awaitsBase, let last = manifest.increments.last {
            file = try LogFile(
                path: directory.path(of: last), sequence: last.sequence, isNew: false, calls: directory.calls)
            // What an earlier process wrote may not be on the disk yet.
            try file.synchronize()
            try directory.deleteHistory(&manifest)
        } else {
            let entry = manifest.addIncrement(directory.fileName)
            file = try LogFile(
                path: directory.path(of: entry), sequence: entry.sequence, isNew: true, calls: directory.calls)
            if isManifestLive { try directory.persist(manifest) }
            if awaitsBase { rewriteIncrement = entry.sequence }
        }
        self.manifest = manifest
        shared.statistics.baseBytes = manifest.base.flatMap { Files.size(of: directory.path(of: $0)) } ?? 0
        shared.statistics.currentBytes = manifest.loadOrder.reduce(0) {
            $0 + (Files.size(of: directory.path(of: $1)) ?? 0)
        }
        thread = try WorkerThread(name: "log") { [weak self] in self?.run() }
    }

    deinit {
        for buffer in shared.freeBuffers { buffer.destroy() }
        for task in shared.tasks { if case .data(let buffer, _, _) = task { buffer.destroy() } }
    }

    // MARK: Called by the loop

    var isIdle: Bool { monitor.withLock { !shared.isBusy && shared.tasks.isEmpty } }
    var durable: UInt64 { monitor.withLock { shared.durable } }
    var isSynchronizing: Bool { monitor.withLock { shared.isSynchronizing } }
    var statistics: AOFWriter.Statistics {
        monitor.withLock {
            var statistics = shared.statistics
            statistics.queuedBytes = shared.queuedBytes
            return statistics
        }
    }
    var status: AOFWriter.Status { monitor.withLock { shared.failure.map { .failing($0) } ?? .healthy } }

    /// Only while the worker is idle.
    var fileNeedsSynchronization: Bool { durable < written }

    func takeEvents() -> [AOFWriter.Event] {
        monitor.withLock {
            let events = shared.events
            shared.events = []
            return events
        }
    }

    /// Takes the content of `source`, leaving it empty, behind what is queued already.
    func enqueue(_ source: OutputBuffer, end: UInt64, synchronized: Bool, limit: Int) {
        monitor.withLock {
            // While the disk refuses, nothing would be gained by waiting: the server refuses writes by the status.
            while shared.queuedBytes > limit && shared.failure == nil && !shared.isStopping { monitor.wait() }
            shared.queuedBytes += source.count
            if case .data(let buffer, _, let wasSynchronized) = shared.tasks.last {
                buffer.append(source.view)
                source.removeAll()
                shared.tasks[shared.tasks.count - 1] = .data(
                    buffer, end: end, synchronized: synchronized || wasSynchronized)
            } else {
                let buffer = shared.freeBuffers.popLast() ?? OutputBuffer.create(capacity: 64 << 10)
                swap(&buffer.state.pointee, &source.state.pointee)
                shared.tasks.append(.data(buffer, end: end, synchronized: synchronized))
            }
            monitor.broadcast()
        }
    }

    func enqueueSynchronization() { enqueue(.synchronize) }
    func enqueueIncrement() { enqueue(.beginIncrement) }
    func enqueueRewriteEnd(_ format: AOFManifest.BaseFormat) { enqueue(.finishRewrite(format)) }

    private func enqueue(_ task: Task) {
        monitor.withLock {
            guard shared.tasks.count < AOFWorker.mostTasks else { return }
            shared.tasks.append(task)
            monitor.broadcast()
        }
    }

    /// Writes to the file on the loop's thread; only while the worker is idle.
    func writeByLoop(_ view: ByteView, end: UInt64) -> PersistenceError? {
        do throws(PersistenceError) {
            try file.append(view)
            written = end
            monitor.withLock { shared.statistics.currentBytes += Int64(view.count) }
            return nil
        } catch {
            return error
        }
    }

    func report(failure: PersistenceError) {
        monitor.withLock {
            let isNew = shared.failure == nil
            shared.failure = failure
            if isNew { post(.failing(failure)) }
        }
    }

    func reportRecovery() {
        monitor.withLock {
            guard shared.failure != nil else { return }
            shared.failure = nil
            post(.recovered)
            monitor.broadcast()
        }
    }

    func wait(untilDurable position: UInt64, milliseconds: Int) -> Bool {
        monitor.withLock {
            var left = milliseconds
            while shared.durable < position && left > 0 {
                _ = monitor.wait(milliseconds: min(left, 10))
                left -= 10
            }
            return shared.durable >= position
        }
    }

    /// Lets the worker do what is queued, once each, and joins it.
    func stop() {
        monitor.withLock {
            shared.isStopping = true
            monitor.broadcast()
        }
        thread?.join()
        thread = nil
    }

    /// With the lock held. Events that nobody fetches are bounded.
    private func post(_ event: AOFWriter.Event) {
        if shared.events.count < 1024 { shared.events.append(event) }
    }

    // MARK: The worker's thread

    private func run() {
        while let task = next() {
            switch task {
            case .data(let buffer, let end, let synchronized):
                write(buffer.view, end: end, synchronized: synchronized)
                release(buffer)
            case .synchronize: synchronize()
            case .beginIncrement: beginIncrement()
            case .finishRewrite(let format): finishRewrite(format)
            }
            monitor.withLock {
                shared.isBusy = false
                monitor.broadcast()
            }
            notify()
        }
    }

    private func next() -> Task? {
        monitor.withLock {
            while shared.tasks.isEmpty && !shared.isStopping { monitor.wait() }
            guard !shared.tasks.isEmpty else { return nil }
            shared.isBusy = true
            return shared.tasks.removeFirst()
        }
    }

    private func release(_ buffer: OutputBuffer) {
        monitor.withLock {
            shared.queuedBytes -= buffer.count
            buffer.removeAll()
            if shared.freeBuffers.count < 2 {
                buffer.shrink(to: 1 << 20)
                shared.freeBuffers.append(buffer)
            } else {
                buffer.destroy()
            }
            monitor.broadcast()
        }
    }

    private func write(_ view: ByteView, end: UInt64, synchronized: Bool) {
        let start = file.size
        var isWritten = false
        while true {
            do throws(PersistenceError) {
                if !isWritten {
                    try file.append(view)
                    isWritten = true
                }
                written = end
                if synchronized { try synchronizeFile() }
                monitor.withLock { shared.statistics.currentBytes += Int64(view.count) }
                reportRecovery()
                return
            } catch {
                report(failure: error)
                if isWritten { isWritten = !takeBack(to: start) }
                notify()
            }
            guard waitForRetry() else { return }
        }
    }

    /// After a failed fsync the pages since the last good one may be gone although a later fsync succeeds.
    ///
    /// - Returns: whether the bytes in memory are all that is in doubt, so that they can be written again.
    private func takeBack(to start: Int64) -> Bool {
        guard file.synchronizedSize == start else {
            noteDoubt()
            return false
        }
        file.rewind(to: start)
        return true
    }

    private func noteDoubt() {
        doubtfulIncrement = file.sequence
        monitor.withLock { shared.statistics.needsRewrite = true }
    }

    private func synchronizeFile() throws(PersistenceError) {
        monitor.withLock { shared.isSynchronizing = true }
        defer { monitor.withLock { shared.isSynchronizing = false } }
        try file.synchronize()
        monitor.withLock { shared.durable = written }
    }

    private func synchronize() {
        while true {
            do throws(PersistenceError) {
                try synchronizeFile()
                reportRecovery()
                return
            } catch {
                noteDoubt()
                report(failure: error)
                notify()
            }
            guard waitForRetry() else { return }
        }
    }

    /// Returns false when the worker is to end rather than to try again.
    private func waitForRetry() -> Bool {
        monitor.withLock {
            var left = retryMilliseconds
            while left > 0 && !shared.isStopping {
                _ = monitor.wait(milliseconds: min(left, 50))
                left -= 50
            }
            return !shared.isStopping
        }
    }

    // MARK: Rotation

    /// The old increment is synchronised first: it will no longer be the one that may end torn.
    private func beginIncrement() {
        do throws(PersistenceError) {
            if durable < written { try synchronizeFile() }
            var changed = manifest
            let entry = changed.addIncrement(directory.fileName)
            let fresh = try LogFile(
                path: directory.path(of: entry), sequence: entry.sequence, isNew: true, calls: directory.calls)
            if isManifestLive { try persist(changed) }
            manifest = changed
            file = fresh
            rewriteIncrement = entry.sequence
            monitor.withLock { post(.incrementBegan(sequence: entry.sequence)) }
        } catch {
            rewriteIncrement = nil
            monitor.withLock { post(.rewriteFailed(error)) }
        }
    }

    private func finishRewrite(_ format: AOFManifest.BaseFormat) {
        let temporary = "\(directory.path)/\(directory.temporaryBaseName)"
        guard let first = rewriteIncrement else {
            unlink(temporary)
            monitor.withLock { post(.rewriteFailed(PersistenceError(.system, "no increment was begun"))) }
            return
        }
        do throws(PersistenceError) {
            var changed = manifest
            let entry = changed.replaceBase(directory.fileName, format, firstIncrement: first)
            try Files.rename(temporary, directory.path(of: entry))
            try persist(changed)
            manifest = changed
            isManifestLive = true
            rewriteIncrement = nil
            // From here on the rewrite is done; history that cannot be removed now goes at the next start.
            try? directory.deleteHistory(&manifest)
            if let doubtful = doubtfulIncrement, doubtful < first { doubtfulIncrement = nil }
            let baseBytes = Files.size(of: directory.path(of: entry)) ?? 0
            let total = manifest.loadOrder.reduce(0) { $0 + (Files.size(of: directory.path(of: $1)) ?? 0) }
            monitor.withLock {
                shared.statistics.baseBytes = baseBytes
                shared.statistics.currentBytes = total
                shared.statistics.needsRewrite = doubtfulIncrement != nil
                post(.rewriteFinished(base: entry.name, baseBytes: baseBytes))
            }
        } catch {
            unlink(temporary)
            monitor.withLock { post(.rewriteFailed(error)) }
        }
    }

    /// A failure may leave the new manifest in place: then the old one is put back, and if that fails too, both lists
    /// name files that are there (nothing is removed before), so either can be loaded.
    private func persist(_ changed: AOFManifest) throws(PersistenceError) {
        do throws(PersistenceError) {
            try directory.persist(changed)
        } catch {
            if isManifestLive { try? directory.persist(manifest) }
            throw error
        }
    }
}
