import ByteStorage
import DatabaseEngine
import DatabasePersistence
import Reactor

/// The append-only log that is switched on: the writer, and where its positions lie in the stream.
///
/// Only bytes of the stream are ever appended, so a position of the log and an offset of the stream differ by a
/// constant.
final class CommandLog {
    let writer: AOFWriter
    let directory: AOFDirectory
    private let mail: LoopMail
    /// Stream offset at the writer's position 0.
    private let startOffset: UInt64
    /// False while the log's first base is not there: until then nothing in it can be loaded.
    var isComplete: Bool
    /// No more is appended, at the end of the process.
    private var isClosed = false

    init(
        directory: AOFDirectory, manifest: AOFManifest, settings: AOFWriter.Settings, awaitsBase: Bool,
        startOffset: UInt64, mail: LoopMail
    ) throws(PersistenceError) {
        self.directory = directory
        self.startOffset = startOffset
        self.mail = mail
        isComplete = !awaitsBase
        writer = try AOFWriter(
            directory: directory, manifest: manifest, settings: settings, awaitsBase: awaitsBase,
            notify: { mail.notify() })
    }

    func append(_ view: ByteView) {
        if !isClosed { writer.pending.append(view) }
    }

    func flush(_ policy: DatabasePersistence.FsyncPolicy, nowMilliseconds: Int64) {
        if !isClosed { writer.flush(policy, nowMilliseconds: nowMilliseconds) }
    }

    /// Everything in the stream before it is on the disk.
    var durableOffset: UInt64 { startOffset &+ writer.durable.bytes }

    /// Blocks until everything is on the disk, and ends the writer.
    ///
    /// - Returns: false when that could not be had in time; `durableOffset` says how far it came.
    func close(timeoutMilliseconds: Int) -> Bool {
        guard !isClosed else { return true }
        isClosed = true
        let isDurable = writer.close(timeoutMilliseconds: timeoutMilliseconds)
        mail.end()
        return isDurable
    }
}
