// A full sync on the replica's side: the snapshot goes to a temporary file and then takes the place of our data.
import ByteStorage
import CLinux
import DatabaseReplication
import Reactor
import Telemetry

extension Server {
    func beginSnapshot(_ link: PrimaryLink, _ target: (id: String, offset: Int64), _ line: String) {
        let path = "\(settings.directory)/temp-sync-\(getpid()).rdb"
        let file = cl_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard file >= 0 else { return refuse(link, "cannot write \(path): \(String(cString: strerror(cl_errno())))") }
        var remaining: Int?
        var mark: [UInt8] = []
        if line.hasPrefix("$EOF:") {
            mark = Array(line.utf8.dropFirst(5))
        } else {
            remaining = Int(line.dropFirst())
        }
        guard mark.count == 40 || remaining ?? -1 >= 0 else {
            _ = close(file)
            return refuse(link, "unexpected answer \(line)")
        }
        link.state = .receivingSnapshot(
            SnapshotReceiver(
                id: target.id, offset: target.offset, path: path, file: file, remaining: remaining, endMark: mark,
                startedAt: reactor.monotonicNow))
        if remaining == 0 { refuse(link, "an empty snapshot") }
    }

    func receive(_ link: PrimaryLink, _ receiver: SnapshotReceiver, _ connection: Connection) {
        let input = connection.input
        var length = input.count
        var isComplete = false
        if let remaining = receiver.remaining {
            length = min(length, remaining)
            receiver.remaining = remaining - length
            isComplete = remaining == length
        } else {
            receiver.tail = Array((receiver.tail + input.slice(max(0, length - 40), length).array).suffix(40))
            isComplete = receiver.tail == receiver.endMark
        }
        var written = 0
        while written < length {
            let count = write(receiver.file, input.base + written, length - written)
            if count < 0 {
                if cl_errno() == EINTR { continue }
                return refuse(link, "cannot write \(receiver.path): \(String(cString: strerror(cl_errno())))")
            }
            written += count
        }
        receiver.received += length
        connection.consumeInput(length)
        if isComplete { loadSnapshot(link, receiver, connection) }
    }

    private func loadSnapshot(_ link: PrimaryLink, _ receiver: SnapshotReceiver, _ connection: Connection) {
        if !receiver.endMark.isEmpty { _ = ftruncate(receiver.file, off_t(receiver.received - 40)) }
        _ = close(receiver.file)
        link.state = .loading
        connection.setReadingPaused(true)
        log.notice("sync-loading", "MASTER <-> REPLICA sync: \(receiver.received) bytes received, loading them")
        // Loading takes turns of its own, to answer clients meanwhile.
        reactor.runAfterTurn { [unowned self] in finishFullSync(link, receiver) }
    }

    private func finishFullSync(_ link: PrimaryLink, _ receiver: SnapshotReceiver) {
        defer { unlink(receiver.path) }
        guard primary === link else { return }
        disconnectReplicas("a full sync gave us another history")
        let problem = loadReplicatedSnapshot(receiver.path)
        fullSyncTarget = nil
        guard primary === link else { return }
        if let problem {
            log.warning("sync-failed", "Failed to load the snapshot of the master: \(problem)")
            history.offset = 0
            backlog = nil
            link.state = .idle
            if let connection = link.connection { connection.close(.local("snapshot refused")) }
            link.connection = nil
            return scheduleReconnect(link)
        }
        history.adopt(id: receiver.id, offset: receiver.offset)
        backlog = ReplicationBacklog(capacity: settings.backlogBytes, endOffset: receiver.offset)
        statistics.fullSyncsReceived += 1
        link.database = replicatedDatabase
        log.notice("sync-done", "MASTER <-> REPLICA sync: Finished with success")
        guard let connection = link.connection, connection.isOpen else {
            link.state = .idle
            return scheduleReconnect(link)
        }
        becomeConnected(link)
        connection.setReadingPaused(false)
        acknowledge(link)
        replicatedDatasetChanged()
    }
}
