// MULTI, EXEC, DISCARD, WATCH, UNWATCH.
//
// - Spec: Redis command reference 7.2, group "transactions".
import ByteStorage
import DatabaseEngine
import RESP

extension Server {
    func multi(_ c: CommandContext) {
        if c.client.has(.inTransaction) { return c.reply.error("ERR MULTI calls can not be nested") }
        c.client.insert(.inTransaction)
        c.reply.ok()
    }

    func queue(
        _ client: Client, _ shape: CommandShape, _ arguments: UnsafeMutablePointer<ByteView>, _ count: Int,
        _ reply: ReplyWriter
    ) {
        if shape.has(.noMulti) {
            client.insert(.transactionBroken)
            return reply.error("ERR Command not allowed inside a transaction")
        }
        let copies = (0..<count).map { arguments[$0].array }
        client.details.queued.append(QueuedCommand(shape: shape, arguments: copies))
        client.details.queuedBytes += copies.reduce(0) { $0 + $1.count + 32 }
        if client.details.queuedBytes > settings.queryBufferLimit {
            client.insert(.transactionBroken)
            return reply.error("ERR the transaction is larger than client-query-buffer-limit")
        }
        reply.simple("QUEUED")
    }

    func exec(_ c: CommandContext) {
        let client = c.client
        guard client.has(.inTransaction) else { return c.reply.error("ERR EXEC without MULTI") }
        let queued = client.details.queued
        let isBroken = client.has(.transactionBroken)
        let isStale = client.has(.watchFailed) || watchesExpiredKey(client)
        dropTransaction(client)
        unwatchAll(client)
        if isBroken {
            return c.reply.error("EXECABORT Transaction discarded because of previous errors.")
        }
        if isStale { return c.reply.nullArray() }
        if isReplicaRole, settings.replicaReadOnly, queued.contains(where: { $0.shape.has(.write) }) {
            return c.reply.error(
                "EXECABORT Transaction discarded because of: READONLY You can't write against a read only replica.")
        }
        c.reply.array(queued.count)
        isExecutingTransaction = true
        defer { isExecutingTransaction = false }
        engine.state.pointee.stream.beginTransaction()
        for command in queued {
            withViews(command.arguments) { views, count in
                var hash: UInt64 = 0
                if command.shape.firstKey > 0, Int(command.shape.firstKey) < count {
                    hash = engine.hash(views[Int(command.shape.firstKey)])
                }
                let invocation = Invocation(
                    arguments: views, count: count, hash: hash, database: client.database, reply: c.reply)
                commandCalls[Int(command.shape.slot)] &+= 1
                if !monitors.isEmpty { feedMonitors(client, command.shape, views, count) }
                measure(client, command.shape, invocation, ByteView(emptyByteBase, 0))
            }
        }
        engine.state.pointee.stream.endTransaction()
        if !monitors.isEmpty { feedMonitors(client, c.shape, c.invocation.arguments, c.count) }
    }

    /// Calls `body` with views of byte arrays, each with eight readable bytes after it, as the command table wants.
    func withViews(_ arguments: [[UInt8]], _ body: (UnsafeMutablePointer<ByteView>, Int) -> Void) {
        let storage = OutputBuffer.create(capacity: arguments.reduce(64) { $0 + $1.count })
        defer { storage.destroy() }
        for argument in arguments { storage.append(argument) }
        _ = storage.reserve(16)
        let views = UnsafeMutablePointer<ByteView>.allocate(capacity: max(1, arguments.count))
        defer { views.deallocate() }
        var offset = 0
        for (index, argument) in arguments.enumerated() {
            (views + index).initialize(to: ByteView(storage.readable + offset, argument.count))
            offset += argument.count
        }
        body(views, arguments.count)
    }

    func discard(_ c: CommandContext) {
        guard c.client.has(.inTransaction) else { return c.reply.error("ERR DISCARD without MULTI") }
        dropTransaction(c.client)
        unwatchAll(c.client)
        c.reply.ok()
    }

    func dropTransaction(_ client: Client) {
        client.details.queued.removeAll()
        client.details.queuedBytes = 0
        client.remove([.inTransaction, .transactionBroken])
    }

    // MARK: WATCH

    func watch(_ c: CommandContext) {
        if c.client.has(.inTransaction) { return c.reply.error("ERR WATCH inside MULTI is not allowed") }
        for index in 1..<c.count {
            let key = WatchedKey(database: c.client.database, key: c[index].array)
            // A key whose time has come is watched as the absent key that it is.
            engine.expireIfDue(c.client.database, c[index])
            if !engine.state.pointee.events.isEmpty { serveEvents() }
            if c.client.details.watched.contains(key) { continue }
            c.client.details.watched.append(key)
            watchers[key, default: []].insert(c.client)
        }
        engine.state.pointee.tracksModifications = !watchers.isEmpty
        c.reply.ok()
    }

    func unwatch(_ c: CommandContext) {
        unwatchAll(c.client)
        c.reply.ok()
    }

    func unwatchAll(_ client: Client) {
        client.remove(.watchFailed)
        guard !client.details.watched.isEmpty else { return }
        for key in client.details.watched {
            watchers[key]?.remove(client)
            if watchers[key]?.isEmpty ?? false { watchers[key] = nil }
        }
        client.details.watched.removeAll()
        engine.state.pointee.tracksModifications = !watchers.isEmpty
    }

    /// A watched key may have expired without anybody noticing: expire what is due now, which records the change.
    private func watchesExpiredKey(_ client: Client) -> Bool {
        guard !client.details.watched.isEmpty else { return false }
        for watched in client.details.watched {
            watched.key.withView { engine.expireIfDue(watched.database, $0) }
        }
        serveEvents()
        return client.has(.watchFailed)
    }

    /// Marks the clients that watch a changed key.
    func keyChanged(_ key: WatchedKey) {
        for client in watchers[key] ?? [] { client.insert(.watchFailed) }
    }

    /// FLUSHALL, FLUSHDB and SWAPDB fail the watches of keys that are there, before or after.
    func failWatches(_ shape: CommandShape, _ c: Invocation) {
        var databases: [Int] = []
        switch shape.id {
        case .flushall: databases = Array(0..<settings.databases)
        case .flushdb: databases = [c.database]
        case .swapdb: databases = [1, 2].compactMap { parseInteger(c[$0]).flatMap { Int(exactly: $0) } }
        default: return
        }
        guard databases.allSatisfy({ (0..<settings.databases).contains($0) }) else { return }
        for (key, clients) in watchers where databases.contains(key.database) {
            let places = shape.id == .swapdb ? databases : [key.database]
            let isThere = key.key.withView { view in
                places.contains { engine.memoryUsage(of: view, in: $0) != nil }
            }
            if isThere { for client in clients { client.insert(.watchFailed) } }
        }
    }

    /// The whole dataset was replaced: nothing that was seen before holds.
    func databaseChanged(_ database: Int) {
        for (key, clients) in watchers where key.database == database {
            for client in clients { client.insert(.watchFailed) }
        }
    }
}
