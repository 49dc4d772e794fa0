// The propagation stream, once a turn: to the log, to the replicas, and what replies wait for.
//
// `streamOffset` counts the bytes of the stream since the process started. It is the ticket of replies: what clients got
// in a turn may leave when everything propagated up to then is as safe as the settings demand. The conditions are the log
// (`appendfsync always`) and the replicas (the quorum); `updateReleasedTicket` is the one place that combines them.
import ByteStorage
import DatabaseEngine
import DatabasePersistence
import Reactor

extension Server {
    /// Hands what the engine propagated to the log and the replicas. At the end of each turn, and before anything that
    /// needs the stream's position to be that of the data.
    func drainStream() {
        let buffer = engine.state.pointee.stream.buffer
        if !buffer.isEmpty {
            let view = buffer.view
            persistence.log?.append(view)
            feedReplication(view)
            streamOffset &+= UInt64(view.count)
            noteForQuorum()
            buffer.removeAll()
            buffer.shrink(to: Server.keptStreamBytes)
        }
        flushLog()
        updateReleasedTicket()
    }

    private func flushLog() {
        guard let log = persistence.log else { return }
        monitored("aof-write") {
            log.flush(settings.appendFsync.writerPolicy, nowMilliseconds: reactor.monotonicNow)
        }
        guard isLatencyMonitored, settings.appendFsync == .always, pendingSynchronization == nil,
            log.durableOffset < streamOffset
        else { return }
        pendingSynchronization = (CommandTimings.now(), streamOffset)
    }

    /// Records how long replies had to wait for the disk.
    private func noteSynchronization(_ log: CommandLog) {
        guard let pending = pendingSynchronization, log.durableOffset >= pending.offset else { return }
        pendingSynchronization = nil
        noteLatency("aof-fsync-always", nanoseconds: CommandTimings.now() &- pending.start)
    }

    /// Capacity that the stream's buffer keeps between turns.
    private static let keptStreamBytes = 1 << 20

    /// Whether the engine writes the stream at all. Call it when the log or the replicas come or go.
    func updateStreamEnabled() {
        let isWanted = persistence.log != nil || replicationWantsStream
        if isWanted, !engine.state.pointee.stream.isEnabled { engine.state.pointee.stream.selectedDatabase = nil }
        engine.state.pointee.stream.isEnabled = isWanted
    }

    /// Lets the replies go whose conditions are met. Call it whenever one of the conditions made progress.
    func updateReleasedTicket() {
        if !logWaiters.isEmpty { serveLogWaiters() }
        let log = settings.appendFsync == .always ? persistence.log : nil
        let quorum: UInt64? = isQuorumDemanded ? self.quorum.reached : nil
        guard log != nil || quorum != nil else {
            reactor.turnTicket = 0
            if reactor.heldConnectionCount > 0 { reactor.releaseAll() }
            return
        }
        // Replies of a turn in which no data could be seen wait for nothing but the client's own earlier replies.
        reactor.turnTicket = isDataHidden ? 0 : streamOffset
        var released = streamOffset
        if let log {
            released = min(released, log.durableOffset)
            noteSynchronization(log)
        }
        if let quorum { released = min(released, quorum) }
        reactor.release(upTo: released)
    }
}

extension FsyncPolicy {
    var writerPolicy: DatabasePersistence.FsyncPolicy {
        switch self {
        case .always: .always
        case .everysec: .everySecond
        case .no: .no
        }
    }
}
