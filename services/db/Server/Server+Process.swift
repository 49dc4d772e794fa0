// From bytes to executed commands: the path that every command takes.
//
// All connections that got bytes in a turn are parsed into one batch of up to 64 commands; the key of each is hashed and its
// bucket prefetched while parsing goes on, then the entries are prefetched, then the commands are executed in order. That
// hides most cache misses of a large keyspace (measured: 28% less CPU for SET at pipeline 16, 34% at 64).
// Arguments point into the receive buffers, which stay as they are until the turn ends. A client's input is consumed only as
// far as its commands have really been executed, so one that blocks keeps the rest for later.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor

/// A parsed command that waits for its batch.
struct BatchedCommand {
    let client: Client
    let shape: CommandShape?
    let firstArgument: Int
    let argumentCount: Int
    let hash: UInt64
    let raw: ByteView
    /// Positions in the client's input where this command starts and after it.
    let start: Int
    let end: Int
}

extension Server {
    static let batchSize = 64

    func processClients(_ ready: UnsafeBufferPointer<Connection>) {
        engine.setTime(reactor.now)
        for connection in ready {
            guard connection.isOpen, let client = Client.of(connection) else { continue }
            parse(client, connection)
        }
        runBatch()
        for connection in ready {
            guard connection.isOpen, let client = Client.of(connection) else { continue }
            settle(client, connection)
        }
    }

    @inline(__always) private func parse(_ client: Client, _ connection: Connection) {
        client.state.pointee.executed = 0
        if client.has([.blocked, .closing]) { return }
        let input = connection.input
        var parser = requestParser
        var isRestricted = false
        if client.has(.needsAuthentication) {
            parser = RequestParser(limits: .unauthenticated, restricted: true)
            isRestricted = true
        }
        var position = 0
        if client.state.pointee.needed > 0 {
            if input.count < client.state.pointee.needed { return }
            client.state.pointee.needed = 0
            if client.details.progress != nil {
                guard let next = resumeParsing(client, connection, parser) else { return }
                position = next
            }
        }
        while position < input.count {
            if batchCount == Server.batchSize {
                runBatch()
                if client.has([.blocked, .closing]) || !connection.isOpen { return }
            }
            switch parser.parse(input.base, position, input.count, arena) {
            case .command(let next, let count):
                addToBatch(client, input, position, next, count)
                position = next
            case .nothing(let next):
                position = next
                // Executed as far as order is concerned, if nothing before it is still waiting.
                if batchCount == 0 { client.state.pointee.executed = next }
            case .incomplete(let needed):
                client.state.pointee.needed = needed
                if input.count &- position > Server.resumableBytes { beginProgress(client, parser, input, position) }
                return
            case .failed(let error):
                runBatch()
                guard connection.isOpen, !client.has([.blocked, .closing]) else { return }
                // An AUTH before it may just have lifted the limits.
                guard isRestricted, !client.has(.needsAuthentication) else { return refuse(client, error) }
                parser = requestParser
                isRestricted = false
            }
        }
    }

    /// The command's arguments are the last `count` of the arena.
    @inline(__always)
    private func addToBatch(_ client: Client, _ input: ByteView, _ position: Int, _ next: Int, _ count: Int) {
        let first = arena.count &- count
        let shape = commands.find(arena[first])
        var hash: UInt64 = 0
        if let shape, shape.firstKey > 0, Int(shape.firstKey) < count {
            hash = engine.hash(arena[first &+ Int(shape.firstKey)])
            engine.prefetchBucket(client.database, hash)
        }
        batch[batchCount] = BatchedCommand(
            client: client, shape: shape, firstArgument: first, argumentCount: count, hash: hash,
            raw: ByteView(input.base + position, input[position] == 42 ? next &- position : 0), start: position,
            end: next)
        batchCount &+= 1
    }

    // MARK: Long commands

    /// Bytes of an incomplete command from which on its next piece is parsed where the last one ended.
    static let resumableBytes = 64 << 10

    @inline(never)
    private func beginProgress(_ client: Client, _ parser: RequestParser, _ input: ByteView, _ position: Int) {
        guard input[position] == 42 else { return }
        var progress = RequestProgress()
        if case .incomplete(let needed) = progress.parse(parser, input.base, position, input.count, arena) {
            client.state.pointee.needed = needed
            client.details.progress = progress
        }
    }

    /// Goes on with the long command that the input begins with.
    ///
    /// - Returns: where the next command begins; nil if the client's input ends here for now, or for good.
    @inline(never)
    private func resumeParsing(_ client: Client, _ connection: Connection, _ parser: RequestParser) -> Int? {
        if batchCount == Server.batchSize {
            runBatch()
            if client.has([.blocked, .closing]) || !connection.isOpen { return nil }
        }
        let input = connection.input
        // Taken out while it changes, or it would be copied.
        guard var progress = client.details.progress.take() else { return 0 }
        switch progress.parse(parser, input.base, 0, input.count, arena) {
        case .command(let next, let count):
            addToBatch(client, input, 0, next, count)
            return next
        case .incomplete(let needed):
            client.state.pointee.needed = needed
            client.details.progress = progress
        case .nothing(let next): return next
        case .failed(let error):
            runBatch()
            if connection.isOpen, !client.has([.blocked, .closing]) { refuse(client, error) }
        }
        return nil
    }

    /// A protocol error: the reply says what was wrong, then the connection ends, since nothing after it can be understood.
    private func refuse(_ client: Client, _ error: RequestError) {
        client.reply.error("ERR Protocol error: \(error.text)")
        takeError(client.connection.output)
        log.verbose("protocol-error", "Protocol error (\(error.text)) from client \(client.connection.remoteAddress)")
        closeAfterReplies(client)
    }

    @inline(never) func runBatch() {
        let count = batchCount
        if count == 0 { return }
        if count > 1 { prefetch(count) }
        var index = 0
        while index < count {
            let command = batch[index]
            if !command.client.has([.blocked, .closing]) {
                command.client.state.pointee.executed = command.end
                execute(command)
            }
            index &+= 1
        }
        statistics.commandsProcessed &+= count
        batchCount = 0
        arena.reset()
    }

    /// Has everything fetched that the commands of the batch are going to read.
    @inline(__always) private func prefetch(_ count: Int) {
        var lookups = 0
        var index = 0
        while index < count {
            let hash = batch[index].hash
            if hash != 0 {
                let database = batch[index].client.database
                engine.prefetchEntry(database, hash)
                if let element = batch[index].shape?.element, element != 0 {
                    let number = element > 0 ? Int(element) : batch[index].argumentCount &- 1
                    if number < batch[index].argumentCount {
                        (elementLookups + lookups).initialize(
                            to: ElementLookup(
                                database: database, hash: hash, element: arena[batch[index].firstArgument &+ number]))
                        lookups &+= 1
                    }
                }
            }
            index &+= 1
        }
        if lookups > 0 { engine.prefetchElements(elementLookups, count: lookups) }
    }

    @inline(__always) private func execute(_ command: BatchedCommand) {
        let client = command.client
        guard let shape = command.shape, client.flags.isDisjoint(with: .special), !needsLongWay,
            shortWayBytes == .max || engine.usedBytes <= shortWayBytes,
            shape.accepts(argumentCount: command.argumentCount)
        else { return executeLongWay(command) }
        if shape.hasSubcommands { return executeLongWay(command) }
        commandCalls[Int(shape.id.rawValue)] &+= 1
        client.state.pointee.lastCommand = shape.id
        let invocation = Invocation(
            arguments: arena.pointer(command.firstArgument), count: command.argumentCount, hash: command.hash,
            database: client.database, reply: client.reply)
        // SWAPDB is fast, but concerns those who watch keys.
        // One call in 128 is timed.
        if shape.has(.fast) && shape.id != .swapdb || shape.id == .set, commandCalls[Int(shape.id.rawValue)] & 127 != 1
        {
            if engine.execute(shape, invocation, raw: command.raw.count > 0 ? command.raw : nil) {
                client.connection.state.pointee.isGated = true
                countError(shape.slot, invocation.reply.out)
                if !engine.state.pointee.events.isEmpty { serveEvents() }
                return
            }
        }
        executeTimed(client, shape, invocation, command.raw)
    }

    /// After the batch: takes what was executed off the input and sees to what is left.
    @inline(__always) private func settle(_ client: Client, _ connection: Connection) {
        connection.consumeInput(client.state.pointee.executed)
        let left = connection.input.count
        if left == 0 { return }
        settleRest(client, connection, left)
    }

    @inline(never) private func settleRest(_ client: Client, _ connection: Connection, _ left: Int) {
        if client.has(.closing) { return connection.consumeInput(left) }
        if left + (client.details.progress?.bytes ?? 0) > settings.queryBufferLimit {
            log.warning(
                "query-buffer",
                "Closing client that reached max query buffer length: \(describe(client)), \(left) bytes")
            statistics.queryLimitDisconnections += 1
            return connection.close(.local("query buffer limit"))
        }
        // A blocked client may send ahead, but not without bound.
        if client.has(.blocked), left > Server.blockedInputBytes {
            connection.setReadingPaused(true, endsWithPeer: true)
        }
    }

    static let blockedInputBytes = 1 << 20

    /// The client can go on: what it sent meanwhile is executed in the next turn.
    func resume(_ client: Client) {
        client.remove(.blocked)
        // What was needed was counted from the last command of the input, and others come before it now.
        client.state.pointee.needed = 0
        client.details.progress = nil
        client.connection.setReadingPaused(false)
        if !client.connection.input.isEmpty { client.connection.revisit() }
    }

    func closeAfterReplies(_ client: Client) {
        client.insert(.closing)
        client.connection.closeAfterFlush()
    }
}
