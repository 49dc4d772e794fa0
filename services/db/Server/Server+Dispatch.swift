// The long way of a command: everything that the short way in `Server+Process` has excluded.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP
import Reactor

/// What a server command works with: the client, the arguments and the reply.
struct CommandContext {
    let client: Client
    let invocation: Invocation
    let shape: CommandShape
    let raw: ByteView

    var reply: ReplyWriter { invocation.reply }
    var count: Int { invocation.count }
    subscript(_ index: Int) -> ByteView { invocation[index] }
    func isWord(_ index: Int, _ lowercase: StaticString) -> Bool { invocation[index].equalsIgnoringCase(lowercase) }
    func text(_ index: Int) -> String { invocation[index].string }

    /// The integer argument at `index`; replies with the error and returns nil when it is none.
    func integer(_ index: Int) -> Int64? {
        if let value = parseInteger(self[index]) { return value }
        reply.error("ERR value is not an integer or out of range")
        return nil
    }

    func syntaxError() { reply.error("ERR syntax error") }
    func wrongArity(_ name: String) { reply.error("ERR wrong number of arguments for '\(name)' command") }
    /// Refuses arguments that fit no form of a subcommand. Unknown subcommands do not come so far: see `executeChecked`.
    func subcommandSyntaxError(_ command: String) {
        reply.error(
            "ERR unknown subcommand or wrong number of arguments for '\(self[1].slice(0, min(128, self[1].count)).string)'. Try \(command) HELP."
        )
    }
}

extension Server {
    @inline(never) func executeLongWay(_ command: BatchedCommand) {
        let client = command.client
        currentCommandStart = command.start
        let arguments = arena.pointer(command.firstArgument)
        if client.has(.replyOff) || client.has(.replySkipNext) {
            return executeSilently(command, arguments)
        }
        executeChecked(
            client, command.shape, arguments, command.argumentCount, command.hash, client.reply, command.raw)
    }

    private func executeSilently(_ command: BatchedCommand, _ arguments: UnsafeMutablePointer<ByteView>) {
        let client = command.client
        let skips = client.has(.replySkipNext)
        client.remove(.replySkipNext)
        let reply = ReplyWriter(scratchOutput, isRESP3: client.state.pointee.isRESP3)
        executeChecked(
            client, command.shape, arguments, command.argumentCount, command.hash, reply, command.raw)
        scratchOutput.removeAll()
        // Held back by a pause, it will come here again: the reply to skip is still its own.
        if skips, client.has(.blocked), client.details.blocking == nil { client.insert(.replySkipNext) }
    }

    /// Checks in Redis's order: known, arity, authentication, memory, role, pub/sub, loading; then queues or runs.
    func executeChecked(
        _ client: Client, _ command: CommandShape?, _ arguments: UnsafeMutablePointer<ByteView>, _ count: Int,
        _ hash: UInt64, _ reply: ReplyWriter, _ raw: ByteView
    ) {
        if persistence.isEnded { return }
        currentClient = client
        defer { flushDeferredPushes(client) }
        guard var shape = command else {
            if arguments[0].equalsIgnoringCase("post") || arguments[0].equalsIgnoringCase("host:") {
                return cutOffBrowser(client)
            }
            return refuse(client, nil, reply, unknownCommandText(arguments, count))
        }
        if shape.hasSubcommands, count > 1 {
            guard let found = commands.subcommand(shape.id, arguments[1]) else {
                return refuse(client, nil, reply, unknownSubcommandText(shape, arguments[1]))
            }
            shape = found
        }
        guard shape.accepts(argumentCount: count) else {
            return refuse(client, shape, reply, "ERR wrong number of arguments for '\(fullName(shape))' command")
        }
        if client.has(.needsAuthentication), !shape.has(.noAuth) {
            return refuse(client, shape, reply, "NOAUTH Authentication required.")
        }
        if let text = roleRefusal(client, shape) { return refuse(client, shape, reply, text) }
        if let text = memoryRefusal(client, shape) { return refuse(client, shape, reply, text) }
        if let text = diskRefusal(client, shape) { return refuse(client, shape, reply, text) }
        if client.has(.subscribed), !client.state.pointee.isRESP3, !isAllowedWhileSubscribed(shape.id) {
            return refuse(
                client, shape, reply,
                "ERR Can't execute '\(fullName(shape))': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context"
            )
        }
        if isLoading, !shape.has(.loading) {
            return refuse(client, shape, reply, "LOADING dSSM is loading the dataset in memory")
        }
        if pause != nil, mustPause(client, shape, arguments) { return holdPaused(client) }
        if client.has(.inTransaction), !isExecutedInsideTransaction(shape.id) {
            queue(client, shape, arguments, count, reply)
            return countError(shape.slot, reply.out, isRejection: true)
        }
        let invocation = Invocation(
            arguments: arguments, count: count, hash: hash, database: client.database, reply: reply)
        engine.state.pointee.noTouch = client.has(.noTouch) && shape.id != .touch
        commandCalls[Int(shape.slot)] &+= 1
        // EXEC is shown after what it executes.
        if !monitors.isEmpty, shape.id != .exec { feedMonitors(client, shape, arguments, count) }
        executeTimed(client, shape, invocation, raw)
        engine.state.pointee.noTouch = false
    }

    /// An HTTP request on this port comes from a browser that a hostile page uses against us: its body must not be executed.
    private func cutOffBrowser(_ client: Client) {
        log.warning(
            "http-request",
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands. Connection from \(client.connection.remoteAddress) aborted."
        )
        client.insert(.closing)
        client.connection.close(.local("an HTTP request"))
    }

    /// A refused command also breaks the transaction that it was meant for.
    private func refuse(_ client: Client, _ shape: CommandShape?, _ reply: ReplyWriter, _ text: String) {
        if client.has(.inTransaction) { client.insert(.transactionBroken) }
        reply.error(text)
        if let shape { countError(shape.slot, reply.out, isRejection: true) } else { takeError(reply.out) }
    }

    /// `get`, or `config|get`.
    func fullName(_ shape: CommandShape) -> String { commands.allSpecs[Int(shape.slot)].name }

    private func unknownSubcommandText(_ shape: CommandShape, _ name: ByteView) -> String {
        let shown = name.slice(0, min(128, name.count)).string
        return "ERR unknown subcommand '\(shown)'. Try \(commands.spec(shape.id).name.uppercased()) HELP."
    }

    /// What was pushed to a client while its own command ran follows the command's reply, as in Redis 7.2.
    private func flushDeferredPushes(_ client: Client) {
        currentClient = nil
        guard !deferredPushes.isEmpty else { return }
        if client.connection.isOpen { client.connection.output.append(deferredPushes.view) }
        deferredPushes.removeAll()
        deferredPushes.shrink(to: Server.keptPushBytes)
    }

    private static let keptPushBytes = 64 << 10

    private func unknownCommandText(_ arguments: UnsafeMutablePointer<ByteView>, _ count: Int) -> String {
        let name = arguments[0].slice(0, min(128, arguments[0].count)).string
        var quoted = ""
        for index in 1..<max(1, count) {
            if quoted.utf8.count >= 128 { break }
            let room = 128 - quoted.utf8.count
            quoted += "'\(arguments[index].slice(0, min(room, arguments[index].count)).string)' "
        }
        return "ERR unknown command '\(name)', with args beginning with: \(quoted)"
    }

    /// Runs a command, measures it and acts on what it has caused.
    @inline(never)
    func executeTimed(_ client: Client, _ shape: CommandShape, _ invocation: Invocation, _ raw: ByteView) {
        measure(client, shape, invocation, raw)
        if !engine.state.pointee.events.isEmpty { serveEvents() }
    }

    /// Runs a command and measures it.
    func measure(_ client: Client, _ shape: CommandShape, _ invocation: Invocation, _ raw: ByteView) {
        let start = CommandTimings.now()
        run(client, shape, invocation, raw)
        let nanoseconds = CommandTimings.now() &- start
        timings.add(slot: Int(shape.slot), nanoseconds: nanoseconds)
        countError(shape.slot, invocation.reply.out)
        if isLatencyMonitored {
            noteLatency(shape.has(.fast) ? "fast-command" : "command", nanoseconds: nanoseconds)
        }
        if settings.slowlogMicroseconds >= 0, nanoseconds >= UInt64(settings.slowlogMicroseconds) * 1000,
            !shape.has(.skipSlowlog)
        {
            noteSlow(client, invocation, microseconds: Int(nanoseconds / 1000))
        }
    }

    /// Runs a command: the engine's, or one of the server's own.
    func run(_ client: Client, _ shape: CommandShape, _ invocation: Invocation, _ raw: ByteView) {
        client.state.pointee.lastCommand = shape.id
        let isContainer = shape.hasSubcommands && invocation.count > 1
        client.details.lastSubcommand = isContainer ? invocation[1].string.lowercased() : nil
        if !watchers.isEmpty { failWatches(shape, invocation) }
        if engine.execute(shape, invocation, raw: raw.count > 0 ? raw : nil) {
            // From now on its replies may depend on data, so they wait for what makes data safe. A connection that only asks
            // for INFO, PING or messages is never held up, or a sentinel would take a db for dead that waits for its disk.
            client.connection.state.pointee.isGated = true
            return
        }
        if runDumpCommand(shape.id, invocation) {
            client.connection.state.pointee.isGated = true
            return
        }
        let c = CommandContext(client: client, invocation: invocation, shape: shape, raw: raw)
        if runConnectionCommand(c) || runServerCommand(c) || runReplicationCommand(c) { return }
        invocation.reply.error(
            "ERR unknown command '\(invocation[0].string)', with args beginning with: ")
    }

    private func runConnectionCommand(_ c: CommandContext) -> Bool {
        switch c.shape.id {
        case .ping: ping(c)
        case .echo: c.reply.bulk(c[1])
        case .quit: quit(c)
        case .reset: reset(c)
        case .select: select(c)
        case .auth: authenticate(c)
        case .hello: hello(c)
        case .client: client(c)
        case .multi: multi(c)
        case .exec: exec(c)
        case .discard: discard(c)
        case .watch: watch(c)
        case .unwatch: unwatch(c)
        case .subscribe: subscribe(c, .channel)
        case .psubscribe: subscribe(c, .pattern)
        case .ssubscribe: subscribe(c, .shard)
        case .unsubscribe: unsubscribe(c, .channel)
        case .punsubscribe: unsubscribe(c, .pattern)
        case .sunsubscribe: unsubscribe(c, .shard)
        case .publish: publish(c, shard: false)
        case .spublish: publish(c, shard: true)
        case .pubsub: pubsubCommand(c)
        case .blpop, .brpop, .blmove, .brpoplpush, .blmpop, .bzpopmin, .bzpopmax, .bzmpop: block(c)
        case .readonly, .readwrite: c.reply.error("ERR This instance has cluster support disabled")
        default: return false
        }
        return true
    }

    private func runServerCommand(_ c: CommandContext) -> Bool {
        switch c.shape.id {
        case .command: command(c)
        case .config: config(c)
        case .info: info(c)
        case .time: time(c)
        case .lolwut: lolwut(c)
        case .shutdown: shutdownCommand(c)
        case .slowlog: slowlogCommand(c)
        case .latency: latencyCommand(c)
        case .memory: memoryCommand(c)
        case .debug: debugCommand(c)
        case .monitor: monitor(c)
        case .save: save(c)
        case .bgsave: backgroundSave(c)
        case .bgrewriteaof: rewriteLog(c)
        case .lastsave: c.reply.integer(lastSaveSeconds)
        default: return false
        }
        return true
    }

    private func isExecutedInsideTransaction(_ id: CommandID) -> Bool {
        switch id {
        case .exec, .discard, .multi, .watch, .quit, .reset: true
        default: false
        }
    }

    private func isAllowedWhileSubscribed(_ id: CommandID) -> Bool {
        switch id {
        case .subscribe, .unsubscribe, .psubscribe, .punsubscribe, .ssubscribe, .sunsubscribe, .ping, .quit, .reset:
            true
        default: false
        }
    }
}
