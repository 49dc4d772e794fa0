// A full sync without disk and without fork: one walk of the keyspace is streamed to all replicas that wait for it.
//
// The walk goes on only while the slowest of its replicas takes what is sent, so memory stays at a few megabytes a replica.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import DatabaseReplication
import RESP
import Reactor

final class FullSync {
    /// Bytes that may wait for one replica before the walk pauses.
    static let maximumPendingBytes = 4 << 20
    /// Bytes of the stream after which they are handed to the replicas.
    static let chunkBytes = 128 << 10

    let replicas: [Client]
    let snapshot: KeyspaceSnapshot
    let buffer: OutputBuffer
    let endMark: String
    /// For replicas that want the length first: the whole snapshot is gathered.
    let needsLength: Bool

    init(replicas: [Client], snapshot: KeyspaceSnapshot, buffer: OutputBuffer, endMark: String, needsLength: Bool) {
        self.replicas = replicas
        self.snapshot = snapshot
        self.buffer = buffer
        self.endMark = endMark
        self.needsLength = needsLength
    }

    deinit { buffer.destroy() }
}

extension Server {
    /// Queues a replica for the next full sync.
    func requestFullSync(_ client: Client, _ link: ReplicaLink, isOldSync: Bool) {
        link.wantsOldSync = isOldSync
        client.details.replica = link
        startFullSync()
    }

    /// Begins a walk for the replicas that wait, if no other walk runs.
    func startFullSync() {
        let waiting = replicas.filter { $0.details.replica?.state == .waiting }
        guard fullSync == nil, !waiting.isEmpty, !engine.isWalking else { return }
        // Everything executed so far belongs to the snapshot, everything later to the stream.
        drainStream()
        engine.state.pointee.stream.selectedDatabase = nil
        let needsLength = waiting.contains { $0.details.replica?.understandsEndMark != true }
        let buffer = OutputBuffer.create(capacity: FullSync.chunkBytes * 2)
        var fields = RDBAuxiliaryFields(unixSeconds: reactor.now / 1000, usedMemoryBytes: Int64(engine.usedBytes))
        fields.replicationID = history.id
        fields.replicationOffset = history.offset
        let snapshot = KeyspaceSnapshot(
            engine: engine, output: buffer, checksum: .inline, version: Server.replicationSnapshotVersion,
            fields: fields)
        let sync = FullSync(
            replicas: waiting, snapshot: snapshot, buffer: buffer, endMark: Server.randomHex(40),
            needsLength: needsLength)
        fullSync = sync
        for client in waiting {
            guard let link = client.details.replica else { continue }
            statistics.fullSyncs += 1
            link.state = .receivingSnapshot
            if !link.wantsOldSync { client.connection.output.append("+FULLRESYNC \(history.id) \(history.offset)\r\n") }
            if !needsLength { client.connection.output.append("$EOF:\(sync.endMark)\r\n") }
        }
        log.notice("full-sync-begin", "Starting a full sync of \(waiting.count) replica(s) at offset \(history.offset)")
        engine.beginWalk(snapshot)
    }

    /// The newest version that Redis 7.0 takes: its content is the same as that of version 11.
    static let replicationSnapshotVersion = 10
    private static let walkSlice = 500

    /// A slice of the walk, once a turn.
    func continueFullSync() {
        guard let sync = fullSync else { return startFullSync() }
        if isFullSyncBlocked { return }
        let isMore = engine.walk(budget: Server.walkSlice)
        if !isMore { sync.snapshot.finish() }
        if !sync.needsLength, sync.buffer.count >= FullSync.chunkBytes || !isMore {
            for client in sync.replicas where isReceiving(client) { client.connection.output.append(sync.buffer.view) }
            sync.buffer.removeAll()
        }
        if !isMore { finish(sync) }
    }

    private func isReceiving(_ client: Client) -> Bool {
        // A replica that has gone is not in the list any more, and its state may be freed.
        replicas.contains(client) && client.details.replica?.state == .receivingSnapshot
    }

    private func finish(_ sync: FullSync) {
        for client in sync.replicas where isReceiving(client) {
            guard let link = client.details.replica else { continue }
            if sync.needsLength {
                client.connection.output.append("$\(sync.buffer.count)\r\n")
                client.connection.output.append(sync.buffer.view)
            } else {
                client.connection.output.append(sync.endMark)
            }
            link.state = .settling
            link.acknowledgedAt = reactor.monotonicNow
            // One that cannot acknowledge (an old SYNC) gets the stream right after its snapshot, whose length it knows.
            if link.wantsOldSync || sync.needsLength { goOnline(client, link) }
        }
        log.notice("full-sync-done", "Full sync streamed: \(sync.snapshot.keys) keys")
        fullSync = nil
        startFullSync()
    }

    /// Whether the walk waits for a replica to take what was sent.
    var isFullSyncBlocked: Bool {
        guard let sync = fullSync else { return false }
        return sync.replicas.contains {
            isReceiving($0) && $0.connection.pendingOutput > FullSync.maximumPendingBytes
        }
    }

    /// A turn without events is wanted while a walk has work to do.
    var isFullSyncActive: Bool { fullSync != nil && !isFullSyncBlocked }

    /// A replica went away: when it was the last one of the sync, the walk is of no use any more.
    func fullSyncEnded(_ client: Client) {
        guard let sync = fullSync, sync.replicas.contains(client) else { return }
        if sync.replicas.contains(where: { $0 != client && isReceiving($0) }) { return }
        engine.cancelWalk()
        fullSync = nil
    }

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
            log.notice("sync-loaded", "\(summary.keys) keys loaded from the master's snapshot")
            return nil
        } catch {
            for database in 0..<settings.databases { engine.flush(database) }
            return error.description
        }
    }
}
