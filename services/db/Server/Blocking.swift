// Commands that wait: for elements of lists and sorted sets, and for the end of CLIENT PAUSE.
//
// A blocked command keeps its arguments; when one of its keys gets elements, it is tried again in its non-blocking form, in
// the order in which the clients came. Keys are served after each command, before the next one runs.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor

/// A command that waits.
final class BlockedCommand {
    let shape: CommandShape
    let arguments: [[UInt8]]
    let keys: [WatchedKey]
    var timer: TimerID?
    /// What the client gets when the time is over.
    let timeoutReply: (ReplyWriter) -> Void

    init(
        shape: CommandShape, arguments: [[UInt8]], keys: [WatchedKey],
        timeoutReply: @escaping (ReplyWriter) -> Void
    ) {
        self.shape = shape
        self.arguments = arguments
        self.keys = keys
        self.timeoutReply = timeoutReply
    }
}

/// Who waits for which key, first come first.
struct BlockedClients {
    private(set) var byKey: [WatchedKey: [Client]] = [:]
    private(set) var count = 0
    /// Those of them whose wait ends by time.
    var timedCount = 0

    mutating func add(_ client: Client, _ keys: [WatchedKey]) {
        count += 1
        for key in keys { byKey[key, default: []].append(client) }
    }

    mutating func remove(_ client: Client, _ keys: [WatchedKey]) {
        count -= 1
        for key in keys {
            byKey[key]?.removeAll { $0 == client }
            if byKey[key]?.isEmpty ?? false { byKey[key] = nil }
        }
    }
}

extension Server {
    func block(_ c: CommandContext) {
        guard let plan = blockingPlan(c) else { return }
        c.client.connection.state.pointee.isGated = true
        if engine.tryServeBlocking(c.shape.id, c.invocation) { return }
        // Inside a transaction nothing may wait: the command answers as if its time were over.
        if isExecutingTransaction { return plan.immediateReply(c.reply) }
        let command = BlockedCommand(
            shape: c.shape, arguments: (0..<c.count).map { c[$0].array }, keys: plan.keys,
            timeoutReply: { $0.nullArray() })
        let client = c.client
        client.details.blocking = command
        client.insert(.blocked)
        blocked.add(client, plan.keys)
        engine.state.pointee.blockedKeyCount = blocked.count
        if plan.timeoutMilliseconds > 0 {
            blocked.timedCount += 1
            command.timer = reactor.schedule(after: plan.timeoutMilliseconds) { [unowned self] in
                guard client.details.blocking === command else { return }
                unblock(client)
                command.timeoutReply(lateReply(client))
                resume(client)
            }
        }
    }

    private struct BlockingPlan {
        let keys: [WatchedKey]
        /// 0: for ever.
        let timeoutMilliseconds: Int64
        /// The reply where waiting is not allowed.
        let immediateReply: (ReplyWriter) -> Void
    }

    private func blockingPlan(_ c: CommandContext) -> BlockingPlan? {
        guard engine.checkBlockingSyntax(c.shape.id, c.invocation) else { return nil }
        let timeoutIndex: Int
        var keys: [ByteView]
        var immediateReply: (ReplyWriter) -> Void = { $0.nullArray() }
        switch c.shape.id {
        case .blpop, .brpop, .bzpopmin, .bzpopmax:
            timeoutIndex = c.count - 1
            keys = (1..<c.count - 1).map { c[$0] }
        case .blmove, .brpoplpush:
            timeoutIndex = c.count - 1
            keys = [c[1]]
            // The null array after a wait, the null string where nothing may wait: so Redis has it.
            immediateReply = { $0.null() }
        default:  // BLMPOP, BZMPOP: timeout numkeys key ...
            timeoutIndex = 1
            // `checkBlockingSyntax` has found it to be the number of keys that there are.
            let count = parseInteger(c[2]) ?? 0
            keys = (3..<3 + Int(count)).map { c[$0] }
        }
        guard let seconds = Double(c.text(timeoutIndex)), !seconds.isNaN else {
            c.reply.error("ERR timeout is not a float or out of range")
            return nil
        }
        guard seconds < 9.2e15 else {
            c.reply.error("ERR timeout is out of range")
            return nil
        }
        guard seconds > -1e-3 else {
            c.reply.error("ERR timeout is negative")
            return nil
        }
        let milliseconds = seconds <= 0 ? 0 : max(1, Int64((seconds * 1000).rounded(.up)))
        return BlockingPlan(
            keys: keys.map { WatchedKey(database: c.client.database, key: $0.array) },
            timeoutMilliseconds: milliseconds, immediateReply: immediateReply)
    }

    /// Takes a client out of the queues of its keys. It stays marked as blocked until `resume`.
    func unblock(_ client: Client) {
        guard let command = client.details.blocking else { return }
        client.details.blocking = nil
        if let timer = command.timer {
            blocked.timedCount -= 1
            reactor.cancel(timer)
        }
        blocked.remove(client, command.keys)
        engine.state.pointee.blockedKeyCount = blocked.count
    }

    /// Acts on what the engine has recorded: watched keys, keyspace events, clients to serve.
    @inline(never) func serveEvents() {
        // Serving a client may record new events (a BLMOVE that feeds another key): go on until there are none.
        while !engine.state.pointee.events.isEmpty {
            let events = engine.state.pointee.events
            engine.state.pointee.events.removeAll(keepingCapacity: true)
            for event in events {
                switch event {
                case .modified(let database, let key): keyChanged(WatchedKey(database: database, key: key))
                case .flushed(let database): databaseChanged(database)
                case .keyspace(let name, let database, let key):
                    publishKeyspaceEvent(name, database: database, key: key)
                case .ready(let database, let key): serve(WatchedKey(database: database, key: key))
                }
            }
        }
    }

    /// Where the reply of a command goes that had to wait: nowhere after CLIENT REPLY OFF.
    func lateReply(_ client: Client) -> ReplyWriter {
        guard client.has(.replyOff) else { return client.reply }
        scratchOutput.removeAll()
        return ReplyWriter(scratchOutput)
    }

    private func lateOutput(_ client: Client) -> OutputBuffer {
        client.has(.replyOff) ? scratchOutput : client.connection.output
    }

    private func serve(_ key: WatchedKey) {
        for client in blocked.byKey[key] ?? [] {
            guard let command = client.details.blocking else { continue }
            var served = false
            withViews(command.arguments) { views, count in
                let hash = command.shape.firstKey > 0 ? engine.hash(views[Int(command.shape.firstKey)]) : 0
                let invocation = Invocation(
                    arguments: views, count: count, hash: hash, database: key.database, reply: lateReply(client))
                served = engine.tryServeBlocking(command.shape.id, invocation)
            }
            guard served else { continue }
            countError(command.shape.slot, lateOutput(client))
            unblock(client)
            resume(client)
        }
    }

    // MARK: CLIENT PAUSE

    /// Pausing holds back commands; their clients wait as blocked ones do, with the command still in the input.
    ///
    /// Sentinels publish hello messages on the link on which they watch and give orders: held back, it would keep a handover
    /// from its end. Those messages are delivered here, and not propagated in a pause.
    func mustPause(_ client: Client, _ shape: CommandShape, _ arguments: UnsafeMutablePointer<ByteView>) -> Bool {
        guard let pause, !client.has([.replica, .primary]) else { return false }
        if pause.onlyWrites {
            return shape.has(.write) || shape.id == .spublish
                || shape.id == .publish && !(arguments[1] == ByteView(Server.helloChannel))
                || shape.id == .exec && client.details.queued.contains { $0.shape.has(.write) }
        }
        return shape.id != .client && shape.id != .quit && shape.id != .reset
    }

    /// Takes the command back into the input, to be executed when the pause is over.
    func holdPaused(_ client: Client) {
        client.insert(.blocked)
        pause?.waiting.append(client.id)
        // `executed` was set to the end of this command: back to its start.
        client.state.pointee.executed = currentCommandStart
    }

    func checkPause() {
        guard let pause, pause.until <= reactor.monotonicNow else { return }
        endPause()
    }

    func endPause() {
        // A planned stop has its own end. As a replica there are no writes to hold back.
        guard let pause, plannedStop == nil || isReplicaRole else { return }
        self.pause = nil
        updateEngineRole()
        updateLongWay()
        for id in pause.waiting {
            if let client = clients[id] { resume(client) }
        }
    }
}

/// CLIENT PAUSE in force.
struct ClientPause {
    /// Monotonic milliseconds.
    var until: Int64
    var onlyWrites: Bool
    /// Identifiers of clients, which may be gone by the end of the pause.
    var waiting: [UInt64] = []
}
