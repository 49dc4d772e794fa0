import ByteStorage
import CLinux
import Compression

// Writes a snapshot file: the loop fills chunks, a worker thread compresses, sums, writes and synchronises them.
//
// The loop's RDBWriter (made with `checksum: .byOwner`) appends to `chunk`. When a chunk is full it is handed over by
// `submit`, which refuses when the bounded queue is full: then the producer stops its walk until `notify`. So memory
// beyond the data is at most (`maximumQueuedChunks` + 2) chunks, however slow the disk is.
//
// The file grows under a temporary name and gets its own by rename, after fsync of the file and before fsync of the
// folder: under the final name there is always a whole file. The data is synchronised every 32 MB on the way, so that
// the last fsync, and others on the same disk, do not stall behind gigabytes of dirty pages.

public final class SnapshotFile {
    public enum Compression: Sendable, Equatable {
        case none
        /// In an LZ4 frame with content checksum; levels as of LZ4FrameWriter.
        case lz4(level: Int)
    }

    public struct Settings: Sendable {
        public var compression = Compression.lz4(level: 0)
        /// Whether the RDB checksum is stored; without it the field is zero, which readers take as "none".
        public var checksum = true
        public var chunkBytes = 256 << 10
        public var maximumQueuedChunks = 16
        public var calls = FileCalls.system

        public init() {}
    }

    public enum State: Sendable {
        case writing
        /// Size of the file on disk.
        case finished(bytes: Int64)
        case failed(PersistenceError)
        case aborted
    }

    /// Where the loop appends the stream. The handle stays the same for the object's life.
    public let chunk: OutputBuffer
    private let settings: Settings
    private let worker: SnapshotWorker

    /// Creates the temporary file and starts the worker.
    ///
    /// - Parameters:
    ///   - finalPath: in the same folder as `temporaryPath`; nil leaves the file under its temporary name, whole and
    ///     synchronised, for a caller who renames it.
    ///   - notify: called by the worker thread, without locks held, when the queue has room again after it was full,
    ///     and when the state changes.
    public init(
        temporaryPath: String, finalPath: String?, settings: Settings = Settings(),
        notify: @escaping @Sendable () -> Void
    ) throws(PersistenceError) {
        self.settings = settings
        worker = try SnapshotWorker(
            temporaryPath: temporaryPath, finalPath: finalPath, settings: settings, notify: notify)
        chunk = .create(capacity: settings.chunkBytes + 4096)
    }

    deinit {
        worker.abort()
        worker.join()
        chunk.destroy()
    }

    public var state: State { worker.state }

    /// Bytes of the stream written to the file so far, before compression.
    public var bytesWritten: Int64 { worker.bytesWritten }

    /// Hands the chunk over if it is full. Call after each entry.
    ///
    /// - Returns: false when the chunk is full and the queue has no room: produce nothing more until `notify`.
    public func submit() -> Bool {
        chunk.count < settings.chunkBytes || worker.enqueue(chunk)
    }

    /// Hands over the rest. The worker appends the checksum and completes the file; the outcome is in `state`.
    public func finish() { worker.finish(chunk) }

    /// Gives up; the temporary file is removed.
    public func abort() { worker.abort() }

    /// Blocks until the worker is done. For a shutdown that saves, and for tests.
    public func wait() -> State {
        worker.join()
        return worker.state
    }

    /// Blocks until the queue has room or the worker is done. For a save that may block its thread.
    public func waitForRoom() { worker.waitForRoom() }
}

/// `@unchecked Sendable`: `shared` is guarded by `monitor`; all else is the worker thread's after the initialiser.
private final class SnapshotWorker: @unchecked Sendable {
    private struct Shared {
        var chunks: [OutputBuffer] = []
        var freeChunks: [OutputBuffer] = []
        var wasFull = false
        var isFinishing = false
        var isAborting = false
        var state = SnapshotFile.State.writing
        var bytesWritten: Int64 = 0
    }

    private let monitor = Monitor()
    private var shared = Shared()
    private let temporaryPath: String
    private let finalPath: String?
    private let settings: SnapshotFile.Settings
    private let notify: @Sendable () -> Void
    private let descriptor: Int32
    private var encoder: LZ4FrameWriter?
    private let packed: OutputBuffer
    private var crc = CRC64()
    private var fileBytes: Int64 = 0
    private var synchronizedBytes: Int64 = 0
    private var thread: WorkerThread?

    private static let synchronizeEveryBytes: Int64 = 32 << 20

    init(
        temporaryPath: String, finalPath: String?, settings: SnapshotFile.Settings,
        notify: @escaping @Sendable () -> Void
    ) throws(PersistenceError) {
        self.temporaryPath = temporaryPath
        self.finalPath = finalPath
        self.settings = settings
        self.notify = notify
        descriptor = try Files.open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC)
        packed = .create(capacity: 4096)
        if case .lz4(let level) = settings.compression {
            do throws(LZ4FrameError) { encoder = try LZ4FrameWriter(level: level) } catch {
                throw PersistenceError(.system, error.description)
            }
        }
        thread = try WorkerThread(name: "snapshot") { [weak self] in self?.run() }
    }

    deinit {
        close(descriptor)
        packed.destroy()
        for chunk in shared.chunks + shared.freeChunks { chunk.destroy() }
    }

    // MARK: Called by the producer

    var state: SnapshotFile.State { monitor.withLock { shared.state } }
    var bytesWritten: Int64 { monitor.withLock { shared.bytesWritten } }

    private var isWriting: Bool { if case .writing = shared.state { true } else { false } }

    /// Takes the content of `chunk`. After a failure content is dropped: the producer learns of it by the state.
    func enqueue(_ chunk: OutputBuffer) -> Bool {
        monitor.withLock {
            guard isWriting else {
                chunk.removeAll()
                return true
            }
            guard shared.chunks.count < settings.maximumQueuedChunks else {
                shared.wasFull = true
                return false
            }
            take(chunk)
            return true
        }
    }

    /// With the lock held.
    private func take(_ chunk: OutputBuffer) {
        let buffer = shared.freeChunks.popLast() ?? OutputBuffer.create(capacity: settings.chunkBytes + 4096)
        swap(&buffer.state.pointee, &chunk.state.pointee)
        shared.chunks.append(buffer)
        monitor.broadcast()
    }

    func finish(_ chunk: OutputBuffer) {
        monitor.withLock {
            guard isWriting else { return }
            take(chunk)
            shared.isFinishing = true
            monitor.broadcast()
        }
    }

    func abort() {
        monitor.withLock {
            shared.isAborting = true
            monitor.broadcast()
        }
    }

    func join() {
        thread?.join()
        thread = nil
    }

    func waitForRoom() {
        monitor.withLock {
            while isWriting && shared.chunks.count >= settings.maximumQueuedChunks { monitor.wait() }
        }
    }

    // MARK: The worker's thread

    private enum Step {
        case write(OutputBuffer)
        case complete
        case abort
    }

    private func run() {
        do throws(PersistenceError) {
            if encoder != nil {
                try encode { (encoder, output) throws(LZ4FrameError) in try encoder.begin(into: output) }
            }
            while true {
                switch next() {
                case .write(let chunk):
                    do throws(PersistenceError) { try write(chunk.view) } catch {
                        chunk.destroy()
                        throw error
                    }
                    release(chunk)
                case .complete:
                    try complete()
                    end(.finished(bytes: fileBytes))
                    return
                case .abort:
                    unlink(temporaryPath)
                    end(.aborted)
                    return
                }
            }
        } catch {
            unlink(temporaryPath)
            end(.failed(error))
        }
    }

    private func next() -> Step {
        monitor.withLock {
            while shared.chunks.isEmpty && !shared.isFinishing && !shared.isAborting { monitor.wait() }
            if shared.isAborting { return .abort }
            return shared.chunks.isEmpty ? .complete : .write(shared.chunks.removeFirst())
        }
    }

    private func release(_ chunk: OutputBuffer) {
        let hasNewRoom = monitor.withLock {
            shared.bytesWritten += Int64(chunk.count)
            chunk.removeAll()
            if shared.freeChunks.count < settings.maximumQueuedChunks {
                chunk.shrink(to: settings.chunkBytes * 2)
                shared.freeChunks.append(chunk)
            } else {
                chunk.destroy()
            }
            let wasFull = shared.wasFull
            shared.wasFull = false
            monitor.broadcast()
            return wasFull
        }
        if hasNewRoom { notify() }
    }

    private func end(_ state: SnapshotFile.State) {
        monitor.withLock {
            shared.state = state
            monitor.broadcast()
        }
        notify()
    }

    private func write(_ view: ByteView) throws(PersistenceError) {
        if settings.checksum { crc.update(view) }
        guard encoder != nil else { return try writeOut(view) }
        try encode { (encoder, output) throws(LZ4FrameError) in try encoder.append(view, into: output) }
    }

    private func encode(
        _ body: (inout LZ4FrameWriter, OutputBuffer) throws(LZ4FrameError) -> Void
    ) throws(PersistenceError) {
        packed.removeAll()
        guard var working = encoder.take() else { return }
        do throws(LZ4FrameError) { try body(&working, packed) } catch {
            throw PersistenceError(.system, error.description)
        }
        encoder = consume working
        try writeOut(packed.view)
    }

    private func writeOut(_ view: ByteView) throws(PersistenceError) {
        let result = Files.write(descriptor, view, settings.calls)
        guard result.error == 0 else { throw .system("write", temporaryPath, result.error) }
        fileBytes += Int64(view.count)
        if fileBytes - synchronizedBytes >= SnapshotWorker.synchronizeEveryBytes {
            try synchronize()
            // What is on the disk now need not push the live data out of the page cache.
            posix_fadvise(descriptor, 0, Int(fileBytes), Int32(POSIX_FADV_DONTNEED))
        }
    }

    private func synchronize() throws(PersistenceError) {
        guard settings.calls.synchronize(descriptor) == 0 else { throw .system("fsync", temporaryPath) }
        synchronizedBytes = fileBytes
    }

    private func complete() throws(PersistenceError) {
        let tail = OutputBuffer.create()
        defer { tail.destroy() }
        tail.append(littleEndian: settings.checksum ? crc.value : 0)
        try write(tail.view)
        if encoder != nil {
            try encode { (encoder, output) throws(LZ4FrameError) in try encoder.finish(into: output) }
        }
        try synchronize()
        guard let finalPath else { return }
        try Files.rename(temporaryPath, finalPath)
        let folder = finalPath.lastIndex(of: "/").map { String(finalPath[..<$0]) } ?? "."
        try Files.synchronize(folder: folder, settings.calls)
    }
}
