// A full sync without disk and without fork: one walk of the keyspace is streamed to all replicas that wait for it.
//
// The walk goes on only while the slowest of its replicas takes what is sent, so memory stays at a few megabytes a replica.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import RESP
import Reactor

final class FullSync: WalkJob {
    /// Bytes that may wait for one replica before the walk pauses.
    static let maximumPendingBytes = 4 << 20
    /// Bytes of the snapshot after which they are handed to the replicas.
    static let chunkBytes = 128 << 10

    private unowned let server: Server
    private(set) var replicas: [Client] = []
    private var snapshot: KeyspaceSnapshot?
    private let buffer = OutputBuffer.create(capacity: FullSync.chunkBytes * 2)
    private let endMark = Server.randomHex(40)
    /// For replicas that want the length first: the whole snapshot is gathered.
    private var needsLength = false

    init(server: Server) {
        self.server = server
        super.init(.sync)
    }

    deinit { buffer.destroy() }

    /// Takes in every replica that waits by now.
    override func begin() -> (any KeyspaceVisitor)? {
        replicas = server.replicas.filter { $0.details.replica?.state == .waiting }
        guard !replicas.isEmpty else {
            server.fullSyncIsOver(self)
            return nil
        }
        needsLength = replicas.contains { $0.details.replica?.understandsEndMark != true }
        let history = server.history
        var fields = RDBAuxiliaryFields(
            unixSeconds: server.reactor.now / 1000, usedMemoryBytes: Int64(server.engine.usedBytes))
        fields.replicationID = history.id
        fields.replicationOffset = history.offset
        // On a replica the stream goes on in the database that the primary has selected.
        fields.replicationDatabase = server.primary?.database ?? 0
        let snapshot = KeyspaceSnapshot(
            engine: server.engine, output: buffer, checksum: .inline, version: Server.replicationSnapshotVersion,
            fields: fields)
        self.snapshot = snapshot
        for client in replicas {
            guard let link = client.details.replica else { continue }
            server.statistics.fullSyncs += 1
            link.state = .receivingSnapshot
            if !link.wantsOldSync { client.connection.output.append("+FULLRESYNC \(history.id) \(history.offset)\r\n") }
            if !needsLength { client.connection.output.append("$EOF:\(endMark)\r\n") }
        }
        server.log.notice(
            "full-sync-begin", "Starting a full sync of \(replicas.count) replica(s) at offset \(history.offset)")
        return snapshot
    }

    private func isReceiving(_ client: Client) -> Bool {
        // A replica that has gone is not in the server's list any more, and its state may be freed.
        server.replicas.contains(client) && client.details.replica?.state == .receivingSnapshot
    }

    override func hasRoom() -> Bool {
        !replicas.contains { isReceiving($0) && $0.connection.pendingOutput > FullSync.maximumPendingBytes }
    }

    override func ship() {
        if !needsLength, buffer.count >= FullSync.chunkBytes { handOver() }
    }

    private func handOver() {
        for client in replicas where isReceiving(client) {
            client.connection.output.append(buffer.view)
            client.details.replica?.snapshotEnd =
                client.connection.sentPlainOutput + client.connection.pendingPlainOutput
        }
        buffer.removeAll()
    }

    override func completed() {
        snapshot?.finish()
        if needsLength {
            let length = buffer.count
            for client in replicas where isReceiving(client) { client.connection.output.append("$\(length)\r\n") }
        }
        handOver()
        for client in replicas where isReceiving(client) {
            guard let link = client.details.replica else { continue }
            if !needsLength { client.connection.output.append(endMark) }
            link.state = .settling
            link.acknowledgedAt = server.reactor.monotonicNow
            // A replica that knows the length gets the stream right after the snapshot; one that looks for the end mark
            // must have it as the last bytes, and says so by an acknowledgement.
            if needsLength { server.goOnline(client, link) }
        }
        server.log.notice("full-sync-done", "Full sync streamed: \(snapshot?.keys ?? 0) keys")
        server.fullSyncIsOver(self)
    }

    override func cancelled() { server.fullSyncIsOver(self) }

    /// Whether nobody is left who receives it.
    var isAbandoned: Bool { !replicas.contains { isReceiving($0) } }
}

extension Server {
    /// Has a full sync made for the replicas that wait: one for all of them.
    func requestFullSync() {
        guard fullSync == nil || walks.running === fullSync else { return }
        let sync = FullSync(server: self)
        fullSync = sync
        requestWalk(sync)
    }

    func fullSyncIsOver(_ sync: FullSync) {
        if fullSync === sync { fullSync = nil }
    }

    /// A replica went away: when it was the last one of the sync, the walk is of no use any more.
    func fullSyncEnded() {
        if let sync = walks.running as? FullSync, sync.isAbandoned { walks.cancel(sync) }
    }

    /// The newest version that Redis 7.0 takes: its content is the same as that of version 11.
    static let replicationSnapshotVersion = 10

    /// Loads a snapshot that came from the primary in place of our data.
    ///
    /// - Returns: what went wrong, nil for nothing.
    func loadReplicatedSnapshot(_ path: String) -> String? {
        for database in 0..<settings.databases { engine.flush(database) }
        isLoading = true
        updateLongWay()
        defer {
            isLoading = false
            updateLongWay()
        }
        var loader = KeyspaceLoader(engine: engine, skipsExpired: false)
        do throws(PersistenceError) {
            let summary = try SnapshotLoader.load(
                path, into: &loader, maximumStringBytes: settings.engine.maxStringBytes
            ) { [unowned self] _ in
                reactor.turn(blocking: false)
                engine.setTime(reactor.now)
            }
            replicatedDatabase =
                (0..<settings.databases).contains(loader.replicationDatabase)
                ? loader.replicationDatabase : 0
            log.notice("sync-loaded", "\(summary.keys) keys loaded from the master's snapshot")
            return nil
        } catch {
            loader.abandon()
            for database in 0..<settings.databases { engine.flush(database) }
            return error.description
        }
    }
}
