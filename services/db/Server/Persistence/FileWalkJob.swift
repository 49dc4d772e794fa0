// A walk into a file: snapshots and bases of the log.
//
// Memory: the file's queue is bounded, and slices stop when it is full. What commands touch meanwhile must be visited
// none the less; it gathers in the chunk, and when that passes `longestChunkBytes` the loop waits for the disk.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import Reactor

class FileWalkJob: WalkJob {
    unowned let server: Server
    private(set) var file: SnapshotFile?
    private var snapshot: KeyspaceSnapshot?
    private var mail: LoopMail?
    /// Whether the walk has visited everything and the file has got its end.
    private(set) var isWalked = false
    /// Monotonic milliseconds.
    private(set) var began: Int64?
    private(set) var isEnded = false

    init(_ kind: WalkKind, server: Server) {
        self.server = server
        super.init(kind)
    }

    // MARK: For the kinds

    var temporaryPath: String { "" }
    var finalPath: String? { nil }
    var isLogBase: Bool { false }
    /// Right before the walk begins. False: the job gives up, and has told those concerned.
    func prepare() -> Bool { true }
    /// The file is whole and on the disk.
    func finished(bytes: Int64) {}
    func failed(_ reason: String) {}

    // MARK: Walk

    override func begin() -> (any KeyspaceVisitor)? {
        guard prepare() else {
            isEnded = true
            return nil
        }
        let mail = LoopMail(server.reactor) { [weak self] in self?.poll() }
        do throws(PersistenceError) {
            let file = try SnapshotFile(
                temporaryPath: temporaryPath, finalPath: finalPath, settings: server.snapshotFileSettings,
                notify: { mail.notify() })
            let snapshot = KeyspaceSnapshot(
                engine: server.engine, output: file.chunk, checksum: .byOwner, version: server.snapshotVersion,
                fields: server.snapshotFields(isLogBase: isLogBase))
            self.file = file
            self.snapshot = snapshot
            self.mail = mail
            began = server.reactor.monotonicNow
            return FileVisitor(snapshot, file)
        } catch {
            end()
            failed(error.description)
            return nil
        }
    }

    override func hasRoom() -> Bool { file?.submit() ?? true }
    override func ship() { _ = file?.submit() }

    override func completed() {
        isWalked = true
        snapshot?.finish()
        file?.finish()
    }

    /// Gives the walk and the file up. `reason` nil: without telling anybody.
    func abandon(_ reason: String?) {
        guard !isEnded else { return }
        end()
        file?.abort()
        server.walks.cancel(self)
        if let reason { failed(reason) }
    }

    private func end() {
        isEnded = true
        mail?.end()
    }

    /// The worker has made room or come to an end.
    func poll() {
        guard !isEnded, let file else { return }
        switch file.state {
        case .writing: break
        case .finished(let bytes): succeed(bytes)
        case .failed(let error): abandon(error.description)
        case .aborted: abandon("it was given up")
        }
    }

    private func succeed(_ bytes: Int64) {
        end()
        finished(bytes: bytes)
    }

    // MARK: At once

    /// Blocks until the queue has room. False when the worker has failed or the deadline has passed.
    func waitForRoom(until deadline: Int64?) -> Bool {
        if let deadline, Reactor.monotonicMilliseconds() >= deadline { return false }
        guard let file else { return false }
        file.waitForRoom()
        if case .writing = file.state { return true }
        return false
    }

    /// Blocks until the worker is done, and reports.
    func waitForEnd() {
        guard !isEnded, let file else { return }
        _ = file.wait()
        poll()
    }
}

/// Visits into a file's chunk and keeps it within its bound.
private final class FileVisitor: KeyspaceVisitor {
    private let snapshot: KeyspaceSnapshot
    private let file: SnapshotFile
    private static let longestChunkBytes = 4 << 20

    init(_ snapshot: KeyspaceSnapshot, _ file: SnapshotFile) {
        self.snapshot = snapshot
        self.file = file
    }

    func visit(_ key: KeyView) {
        snapshot.visit(key)
        guard !file.submit(), file.chunk.count >= FileVisitor.longestChunkBytes else { return }
        file.waitForRoom()
        _ = file.submit()
    }
}

extension Server {
    var snapshotFileSettings: SnapshotFile.Settings {
        var result = SnapshotFile.Settings()
        result.compression = settings.snapshotCompression == .lz4 ? .lz4(level: 0) : .none
        return result
    }

    /// Plain files are for Redis 7.0 too, which stops at version 10.
    var snapshotVersion: Int { settings.snapshotCompression == .lz4 ? RDBFormat.writtenVersion : 10 }

    func snapshotFields(isLogBase: Bool) -> RDBAuxiliaryFields {
        var fields = RDBAuxiliaryFields(
            unixSeconds: reactor.now / 1000, usedMemoryBytes: Int64(engine.usedBytes), isLogBase: isLogBase)
        if history.offset > 0 || isReplicaRole {
            fields.replicationID = history.id
            fields.replicationOffset = history.offset
            // A primary's next command is preceded by SELECT; a replica's stream is its primary's, byte for byte.
            fields.replicationDatabase = primary?.database ?? 0
        }
        return fields
    }
}
