// The primary's stream on the replica's side: executed command by command, passed on byte for byte.
//
// A transaction is applied whole or not at all: until its EXEC is here, it waits in the input. One that is longer than
// `client-query-buffer-limit` is applied as it comes, since memory has an end: a script's effects have no bound at all.
import ByteStorage
import DatabaseEngine
import DatabaseReplication
import RESP
import Reactor

extension Server {
    /// Looks for the EXEC of the transaction that `bytes` begin with, from where the last look ended. Positions are kept as
    /// counted from its MULTI, which the input begins with next time.
    ///
    /// - Returns: false when more must come.
    private func hasWholeTransaction(_ link: PrimaryLink, _ bytes: ByteView, _ afterMulti: Int) -> Bool {
        var position = max(afterMulti, link.scannedOfTransaction)
        defer { arena.reset() }
        while position < bytes.count {
            switch parseStream(link, bytes.base, position, bytes.count) {
            case .command(let next, let count):
                let isEnd = commands.find(arena[arena.count - count])?.id == .exec
                arena.reset()
                position = next
                if isEnd {
                    link.scannedOfTransaction = 0
                    link.needed = 0
                    return true
                }
            case .nothing(let next): position = next
            case .incomplete(let needed):
                link.scannedOfTransaction = position
                link.needed = position + needed
                return false
            // The stream is damaged: applying it will meet the error.
            case .failed: return true
            }
        }
        link.scannedOfTransaction = position
        link.needed = position + 1
        return false
    }

    /// Parses the command at `position`; a long one from where the last attempt ended.
    private func parseStream(_ link: PrimaryLink, _ base: UnsafeRawPointer, _ position: Int, _ end: Int)
        -> RequestStatus
    {
        if link.progressStart == position, var progress = link.progress.take() {
            let status = progress.parse(requestParser, base, position, end, arena)
            if case .incomplete = status { link.progress = progress }
            return status
        }
        let status = requestParser.parse(base, position, end, arena)
        guard case .incomplete = status, end - position > Server.resumableBytes,
            base.load(fromByteOffset: position, as: UInt8.self) == 42
        else { return status }
        var progress = RequestProgress()
        let again = progress.parse(requestParser, base, position, end, arena)
        if case .incomplete = again {
            link.progress = progress
            link.progressStart = position
        }
        return again
    }

    /// Longest command that a primary may send: it lets its clients send no more than half of it.
    private var longestStreamCommand: Int { max(settings.queryBufferLimit, 1 << 30) * 2 }

    func followStream(_ link: PrimaryLink, _ connection: Connection) {
        let input = connection.input
        if input.count < link.needed { return }
        link.needed = 0
        var position = 0
        arena.reset()
        engine.state.pointee.obeysStream = true
        defer {
            engine.state.pointee.obeysStream = false
            connection.consumeInput(position)
        }
        while position < input.count {
            switch parseStream(link, input.base, position, input.count) {
            case .command(let next, let count):
                let raw = input.slice(position, next)
                if !link.isInTransaction, commands.find(arena[arena.count - count])?.id == .multi {
                    arena.reset()
                    // A transaction is applied whole or not at all: until its EXEC is here, MULTI stays in the input.
                    if !hasWholeTransaction(link, input.slice(position, input.count), next - position) {
                        guard input.count - position > settings.queryBufferLimit else { return }
                        log.warning(
                            "long-transaction",
                            "A transaction of the master is longer than client-query-buffer-limit: it is applied as it comes"
                        )
                        link.scannedOfTransaction = 0
                        link.needed = 0
                        link.progress = nil
                    }
                    _ = requestParser.parse(input.base, position, input.count, arena)
                }
                apply(link, arena.pointer(arena.count - count), count, raw)
                relay(raw)
                position = next
                arena.reset()
                if link.connection != connection || !connection.isOpen { return }
            case .nothing(let next):
                relay(input.slice(position, next))
                position = next
            case .incomplete(let needed):
                link.needed = needed
                // The input begins with this command next time.
                link.progressStart = 0
                if input.count - position > longestStreamCommand { refuseStream(link, connection) }
                return
            case .failed(let error):
                log.warning("primary-protocol", "Protocol error from master: \(error.text)")
                return connection.close(.local("protocol error"))
            }
        }
    }

    /// Asking for the rest of it would bring the same command again: only a full sync helps.
    private func refuseStream(_ link: PrimaryLink, _ connection: Connection) {
        log.warning(
            "primary-command",
            "A command of the master is longer than \(longestStreamCommand) bytes: closing the link for a full sync")
        history.offset = 0
        backlog = nil
        connection.close(.local("a command of the primary is too long"))
    }

    /// The stream goes on to our own replicas byte for byte, so that offsets mean the same everywhere.
    private func relay(_ raw: ByteView) {
        if backlog == nil { history.offset += Int64(raw.count) } else { sendToReplicas(raw) }
    }

    private func apply(_ link: PrimaryLink, _ arguments: UnsafeMutablePointer<ByteView>, _ count: Int, _ raw: ByteView)
    {
        guard let shape = commands.find(arguments[0]), shape.accepts(argumentCount: count) else {
            return log.warning(
                "primary-command", "The master sent a command that this version does not know: \(arguments[0].string)")
        }
        switch shape.id {
        case .ping: return
        case .select:
            if count == 2, let index = parseInteger(arguments[1]), index >= 0, index < Int64(settings.databases) {
                link.database = Int(index)
            }
            return
        case .multi:
            link.isInTransaction = true
            engine.state.pointee.stream.beginTransaction()
            return
        case .exec:
            link.isInTransaction = false
            engine.state.pointee.stream.endTransaction()
            return
        case .replconf:
            if count == 3, arguments[1].equalsIgnoringCase("getack") { link.acknowledgedOffset = -1 }
            return
        case .publish, .spublish:
            if count == 3 { deliver(channel: arguments[1], message: arguments[2], shard: shape.id == .spublish) }
            return
        default: break
        }
        let hash = shape.firstKey > 0 && Int(shape.firstKey) < count ? engine.hash(arguments[Int(shape.firstKey)]) : 0
        let reply = ReplyWriter(scratchOutput)
        let invocation = Invocation(
            arguments: arguments, count: count, hash: hash, database: link.database, reply: reply)
        commandCalls[Int(shape.id.rawValue)] &+= 1
        statistics.commandsProcessed += 1
        if !watchers.isEmpty { failWatches(shape, invocation) }
        if !engine.execute(shape, invocation, raw: raw), !runDumpCommand(shape.id, invocation) {
            log.warning(
                "primary-command",
                "The master sent a command that a replica does not take: \(commands.spec(shape.id).name)")
        } else if !scratchOutput.isEmpty, scratchOutput.view[0] == UInt8(ascii: "-") {
            statistics.unexpectedErrors += 1
            log.warning(
                "primary-command-failed",
                "A command of the master failed here, the data may differ: \(commands.spec(shape.id).name): \(scratchOutput.view.string)"
            )
        }
        scratchOutput.removeAll()
        if !engine.state.pointee.events.isEmpty { serveEvents() }
    }
}
