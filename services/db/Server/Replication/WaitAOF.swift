// WAITAOF: waiting until the log has the client's writes on disk, here and on replicas.
//
// Here that is a position of the log's worker. A replica tells it with its acknowledgements (`REPLCONF ACK offset FACK offset`):
// ours do, and so does Redis since 7.2. A replica remembers which position of its log belongs to which offset of its primary's
// stream whenever it acknowledges one; what is durable of the log then translates into the offset that it reports.
//
// - Spec: Redis command reference 7.2: WAITAOF.
import ByteStorage
import DatabaseEngine
import DatabaseReplication
import RESP
import Reactor

/// A client in WAITAOF.
final class LogWaiter {
    let clientID: UInt64
    let replicationOffset: Int64
    let streamOffset: UInt64
    let wantsLocal: Bool
    let wantedReplicas: Int
    var timer: TimerID?

    init(
        clientID: UInt64, replicationOffset: Int64, streamOffset: UInt64, wantsLocal: Bool, wantedReplicas: Int
    ) {
        self.clientID = clientID
        self.replicationOffset = replicationOffset
        self.streamOffset = streamOffset
        self.wantsLocal = wantsLocal
        self.wantedReplicas = wantedReplicas
    }
}

/// On a replica: up to which offset of the primary's stream the own log is on disk.
struct DurableReplication {
    private static let mostMarks = 1024
    private var marks: [(replicationOffset: Int64, streamOffset: UInt64)] = []
    private(set) var reached: Int64 = 0

    /// Everything up to `replicationOffset` is in the log before `streamOffset`.
    mutating func note(replicationOffset: Int64, streamOffset: UInt64) {
        if let last = marks.last, replicationOffset < last.replicationOffset { marks.removeAll() }
        if replicationOffset < reached { reached = 0 }
        guard marks.last?.replicationOffset != replicationOffset else { return }
        if marks.count == DurableReplication.mostMarks { marks.removeLast() }
        marks.append((replicationOffset, streamOffset))
    }

    /// The log is on disk up to `streamOffset`.
    mutating func synchronized(_ streamOffset: UInt64) {
        while let first = marks.first, first.streamOffset <= streamOffset {
            reached = first.replicationOffset
            marks.removeFirst()
        }
    }
}

extension Server {
    func waitAOF(_ c: CommandContext) {
        guard let local = c.integer(1) else { return }
        guard local == 0 || local == 1 else {
            return c.reply.error("ERR value is out of range, value must between 0 and 1")
        }
        guard let wanted = parseInteger(c[2]), wanted >= 0 else {
            return c.reply.error("ERR value is out of range, must be positive")
        }
        guard let timeout = parseInteger(c[3]) else {
            return c.reply.error("ERR timeout is not an integer or out of range")
        }
        guard timeout >= 0 else { return c.reply.error("ERR timeout is negative") }
        if isReplicaRole {
            return c.reply.error(
                "ERR WAITAOF cannot be used with replica instances. Please also note that writes to replicas are just local and are not propagated."
            )
        }
        guard local == 0 || settings.appendOnly else {
            return c.reply.error("ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.")
        }
        drainStream()
        let waiter = LogWaiter(
            clientID: c.client.id, replicationOffset: history.offset, streamOffset: streamOffset,
            wantsLocal: local == 1, wantedReplicas: Int(clamping: wanted))
        if isDone(waiter) || isExecutingTransaction { return reply(to: waiter, c.reply) }
        c.client.insert(.blocked)
        if timeout > 0 {
            waiter.timer = reactor.schedule(after: timeout) { [unowned self] in endLogWait(waiter) }
        }
        logWaiters.append(waiter)
        if wanted > 0 { sendToReplicas(ByteView("*3\r\n$8\r\nREPLCONF\r\n$6\r\nGETACK\r\n$1\r\n*\r\n")) }
    }

    private func isLocallyDurable(_ waiter: LogWaiter) -> Bool {
        guard let log = persistence.log, log.isComplete else { return false }
        return log.durableOffset >= waiter.streamOffset
    }

    private func durableReplicas(_ waiter: LogWaiter) -> Int {
        replicas.reduce(0) { count, client in
            guard let link = client.details.replica, link.state == .online else { return count }
            return link.acknowledgedOnDisk >= waiter.replicationOffset ? count + 1 : count
        }
    }

    private func isDone(_ waiter: LogWaiter) -> Bool {
        (!waiter.wantsLocal || isLocallyDurable(waiter)) && durableReplicas(waiter) >= waiter.wantedReplicas
    }

    private func reply(to waiter: LogWaiter, _ reply: ReplyWriter) {
        reply.array(2)
        reply.integer(isLocallyDurable(waiter) ? 1 : 0)
        reply.integer(durableReplicas(waiter))
    }

    /// Answers those whose condition is met. Called when the log or a replica has moved on, and ten times a second.
    func serveLogWaiters() {
        for waiter in logWaiters where isDone(waiter) { endLogWait(waiter) }
    }

    private func endLogWait(_ waiter: LogWaiter) {
        guard let client = clients[waiter.clientID] else { return }
        dropLogWait(client)
        reply(to: waiter, lateReply(client))
        resume(client)
    }

    /// Ends a client's WAITAOF as if its time were over; false when it is in none.
    func endLogWait(of client: Client) -> Bool {
        guard let waiter = logWaiters.first(where: { $0.clientID == client.id }) else { return false }
        endLogWait(waiter)
        return true
    }

    /// Forgets that a client waits; it gets no reply. Returns whether it did.
    @discardableResult
    func dropLogWait(_ client: Client) -> Bool {
        guard let index = logWaiters.firstIndex(where: { $0.clientID == client.id }) else { return false }
        if let timer = logWaiters.remove(at: index).timer { reactor.cancel(timer) }
        return true
    }

    // MARK: On a replica

    /// The offset of the primary's stream up to which the log is on disk here; nil without a log.
    func durableReplicationOffset() -> Int64? {
        guard let log = persistence.log, log.isComplete else { return nil }
        durableReplication.note(replicationOffset: history.offset, streamOffset: streamOffset)
        durableReplication.synchronized(log.durableOffset)
        return durableReplication.reached
    }

    /// Tells the primary when more of the log is on disk, ten times a second.
    func reportDurability() {
        guard let link = primary, link.isConnected, link.reportedDurableOffset < history.offset,
            let durable = durableReplicationOffset(), durable != link.reportedDurableOffset
        else { return }
        acknowledge(link)
    }
}
