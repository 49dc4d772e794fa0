// CLIENT and its subcommands.
//
// - Spec: Redis command reference 7.2: CLIENT.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor

extension Server {
    func client(_ c: CommandContext) {
        if c.isWord(1, "id"), c.count == 2 {
            c.reply.integer(Int(c.client.id))
        } else if c.isWord(1, "getname"), c.count == 2 {
            if c.client.details.name.isEmpty { c.reply.null() } else { c.reply.bulk(c.client.details.name) }
        } else if c.isWord(1, "setname"), c.count == 3 {
            guard isValidName(c[2]) else { return refuseName(c) }
            c.client.details.name = c.text(2)
            c.reply.ok()
        } else if c.isWord(1, "setinfo"), c.count == 4 {
            clientSetInfo(c)
        } else if c.isWord(1, "info"), c.count == 2 {
            c.reply.verbatim(describe(c.client) + "\n")
        } else if c.isWord(1, "list") {
            clientList(c)
        } else if c.isWord(1, "kill"), c.count >= 3 {
            clientKill(c)
        } else if c.isWord(1, "pause"), c.count == 3 || c.count == 4 {
            clientPause(c)
        } else if c.isWord(1, "unpause"), c.count == 2 {
            endPause()
            c.reply.ok()
        } else if c.isWord(1, "reply"), c.count == 3 {
            clientReply(c)
        } else if c.isWord(1, "no-evict"), c.count == 3 {
            setSwitch(c, .noEvict)
        } else if c.isWord(1, "no-touch"), c.count == 3 {
            setSwitch(c, .noTouch)
        } else if c.isWord(1, "unblock"), c.count == 3 || c.count == 4 {
            clientUnblock(c)
        } else if c.isWord(1, "getredir"), c.count == 2 {
            c.reply.integer(-1)
        } else if c.isWord(1, "help"), c.count == 2 {
            replyHelp(
                c, "CLIENT",
                [
                    "GETNAME", "GETREDIR", "ID", "INFO", "KILL <option> ...", "LIST [options ...]", "NO-EVICT (ON|OFF)",
                    "NO-TOUCH (ON|OFF)", "PAUSE <timeout> [WRITE|ALL]", "REPLY (ON|OFF|SKIP)",
                    "SETINFO <option> <value>",
                    "SETNAME <name>", "UNBLOCK <clientid> [TIMEOUT|ERROR]", "UNPAUSE",
                ])
        } else {
            c.subcommandSyntaxError("CLIENT")
        }
    }

    private func clientSetInfo(_ c: CommandContext) {
        guard isValidName(c[3]) else {
            return c.reply.error("ERR \(c.text(2)) cannot contain spaces, newlines or special characters.")
        }
        if c.isWord(2, "lib-name") {
            c.client.details.libraryName = c.text(3)
        } else if c.isWord(2, "lib-ver") {
            c.client.details.libraryVersion = c.text(3)
        } else {
            return c.reply.error("ERR Unrecognized option '\(c.text(2))'")
        }
        c.reply.ok()
    }

    private func setSwitch(_ c: CommandContext, _ flag: ClientFlags) {
        if c.isWord(2, "on") {
            c.client.insert(flag)
        } else if c.isWord(2, "off") {
            c.client.remove(flag)
        } else {
            return c.syntaxError()
        }
        c.reply.ok()
    }

    private func clientReply(_ c: CommandContext) {
        if c.isWord(2, "on") {
            c.client.remove([.replyOff, .replySkipNext])
            ReplyWriter(c.client.connection.output).ok()
        } else if c.isWord(2, "off") {
            c.client.insert(.replyOff)
        } else if c.isWord(2, "skip") {
            if !c.client.has(.replyOff) { c.client.insert(.replySkipNext) }
        } else {
            c.syntaxError()
        }
    }

    // MARK: LIST

    /// One line of CLIENT LIST.
    func describe(_ client: Client) -> String {
        let connection = client.connection
        let details = client.details
        var flags = ""
        if client.has(.replica) { flags += "S" }
        if client.has(.primary) { flags += "M" }
        if client.has(.monitor) { flags += "O" }
        if client.has(.subscribed) { flags += "P" }
        if client.has(.inTransaction) { flags += "x" }
        if client.has(.blocked) { flags += "b" }
        if client.has(.watchFailed) { flags += "d" }
        if client.has(.closing) { flags += "c" }
        if client.has(.unixSocket) { flags += "U" }
        if client.has(.noEvict) { flags += "e" }
        if client.has(.noTouch) { flags += "T" }
        let now = reactor.monotonicNow
        var command = "NULL"
        if let last = client.state.pointee.lastCommand {
            let spec = commands.spec(last)
            let subcommand = CommandShape.isContainer(last) ? details.lastSubcommand.map { "|" + $0 } ?? "" : ""
            command = spec.name + subcommand
        }
        let bytesOut = connection.isOpen ? connection.pendingOutput : 0
        return "id=\(client.id) addr=\(connection.remoteAddress) laddr=\(connection.localAddress) "
            + "fd=\(connection.fileDescriptor) name=\(details.name) age=\((now - connection.created) / 1000) "
            + "idle=\((now - connection.lastActivity) / 1000) flags=\(flags.isEmpty ? "N" : flags) "
            + "db=\(client.database) sub=\(details.channels.count) psub=\(details.patterns.count) "
            + "ssub=\(details.shardChannels.count) multi=\(client.has(.inTransaction) ? details.queued.count : -1) "
            + "watch=\(details.watched.count) qbuf=\(connection.input.count) qbuf-free=0 argv-mem=0 "
            + "multi-mem=\(details.queuedBytes) rbs=\(Reactor.receiveBytes) rbp=0 obl=\(bytesOut) oll=0 omem=0 "
            + "tot-mem=\(connection.bufferBytes + details.queuedBytes + 512) events=\(bytesOut > 0 ? "rw" : "r") "
            + "cmd=\(command) user=\(details.user) redir=-1 resp=\(client.state.pointee.isRESP3 ? 3 : 2) "
            + "lib-name=\(details.libraryName) lib-ver=\(details.libraryVersion)"
    }

    private func clientType(_ client: Client) -> StaticString {
        if client.has(.replica) { return "replica" }
        if client.has(.primary) { return "master" }
        return client.has(.subscribed) ? "pubsub" : "normal"
    }

    private func hasType(_ client: Client, _ word: ByteView) -> Bool {
        word.equalsIgnoringCase(clientType(client)) || client.has(.replica) && word.equalsIgnoringCase("slave")
    }

    private func isType(_ word: ByteView) -> Bool {
        (["normal", "master", "replica", "slave", "pubsub"] as [StaticString]).contains { word.equalsIgnoringCase($0) }
    }

    private func clientList(_ c: CommandContext) {
        var chosen = clients.values.sorted { $0.id < $1.id }
        if c.count == 4, c.isWord(2, "type") {
            guard isType(c[3]) else { return c.reply.error("ERR Unknown client type '\(c.text(3))'") }
            chosen = chosen.filter { hasType($0, c[3]) }
        } else if c.count > 3, c.isWord(2, "id") {
            var wanted: Set<UInt64> = []
            for index in 3..<c.count {
                guard let id = parseInteger(c[index]), id > 0 else { return c.reply.error("ERR Invalid client ID") }
                wanted.insert(UInt64(id))
            }
            chosen = chosen.filter { wanted.contains($0.id) }
        } else if c.count != 2 {
            return c.syntaxError()
        }
        c.reply.verbatim(chosen.map { describe($0) + "\n" }.joined())
    }

    // MARK: KILL

    private func clientKill(_ c: CommandContext) {
        if c.count == 3 {
            guard let victim = clients.values.first(where: { $0.connection.remoteAddress == c.text(2) }) else {
                return c.reply.error("ERR No such client")
            }
            c.reply.ok()
            return kill(victim, by: c.client)
        }
        guard c.count % 2 == 0 else { return c.syntaxError() }
        var filters: [(Client) -> Bool] = []
        var skipsMe = true
        for index in stride(from: 2, to: c.count, by: 2) {
            let value = c[index + 1]
            let text = c.text(index + 1)
            if c.isWord(index, "id") {
                guard let id = parseInteger(value), id > 0 else {
                    return c.reply.error("ERR client-id should be greater than 0")
                }
                filters.append { $0.id == UInt64(id) }
            } else if c.isWord(index, "type") {
                guard isType(value) else { return c.reply.error("ERR Unknown client type '\(text)'") }
                filters.append { [unowned self] in hasType($0, value) }
            } else if c.isWord(index, "addr") {
                filters.append { $0.connection.remoteAddress == text }
            } else if c.isWord(index, "laddr") {
                filters.append { $0.connection.localAddress == text }
            } else if c.isWord(index, "user") {
                guard text == "default" else { return c.reply.error("ERR No such user '\(text)'") }
                filters.append { $0.details.user == text }
            } else if c.isWord(index, "skipme") {
                guard value.equalsIgnoringCase("yes") || value.equalsIgnoringCase("no") else { return c.syntaxError() }
                skipsMe = value.equalsIgnoringCase("yes")
            } else {
                return c.syntaxError()
            }
        }
        let victims = clients.values.filter { client in
            !(skipsMe && client == c.client) && filters.allSatisfy { $0(client) }
        }
        c.reply.integer(victims.count)
        for victim in victims { kill(victim, by: c.client) }
    }

    private func kill(_ victim: Client, by client: Client) {
        if victim == client {
            closeAfterReplies(victim)
        } else if reactor.monotonicNow < farewellUntil {
            let id = victim.id
            reactor.schedule(after: Server.farewellMilliseconds / 2) { [unowned self] in
                if let victim = clients[id] { closeAfterReplies(victim) }
            }
        } else {
            victim.insert(.closing)
            victim.connection.close(.local("killed by CLIENT KILL"))
        }
    }

    // MARK: PAUSE, UNBLOCK

    private func clientPause(_ c: CommandContext) {
        guard let milliseconds = parseInteger(c[2]) else {
            return c.reply.error("ERR timeout is not an integer or out of range")
        }
        guard milliseconds >= 0 else { return c.reply.error("ERR timeout is negative") }
        var onlyWrites = false
        if c.count == 4 {
            if c.isWord(3, "write") {
                onlyWrites = true
            } else if !c.isWord(3, "all") {
                return c.reply.error("ERR CLIENT PAUSE mode must be WRITE or ALL")
            }
        }
        pauseClients(milliseconds: milliseconds, onlyWrites: onlyWrites)
        c.reply.ok()
    }

    /// Starts a pause or extends the one in force; the stricter mode and the later end win.
    func pauseClients(milliseconds: Int64, onlyWrites: Bool) {
        let until = reactor.monotonicNow + min(milliseconds, 1 << 50)
        if let current = pause {
            pause = ClientPause(
                until: max(until, current.until), onlyWrites: onlyWrites && current.onlyWrites, waiting: current.waiting
            )
        } else {
            pause = ClientPause(until: until, onlyWrites: onlyWrites)
        }
        updateEngineRole()
        updateLongWay()
    }

    private func refuseWaiting(_ target: Client) {
        let reply = lateReply(target)
        reply.error("UNBLOCKED client unblocked via CLIENT UNBLOCK")
        takeError(reply.out)
    }

    private func unblockWaiting(_ target: Client, withError: Bool) -> Bool {
        guard withError else { return endWaiting(of: target) }
        guard
            waitingClients.contains(where: { $0.clientID == target.id })
                || logWaiters.contains(where: { $0.clientID == target.id })
        else { return false }
        dropWaiting(target)
        refuseWaiting(target)
        resume(target)
        return true
    }

    private func clientUnblock(_ c: CommandContext) {
        guard let id = c.integer(2) else { return }
        var withError = false
        if c.count == 4 {
            if c.isWord(3, "error") {
                withError = true
            } else if !c.isWord(3, "timeout") {
                return c.reply.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR")
            }
        }
        guard id > 0, let target = clients[UInt64(id)] else { return c.reply.integer(0) }
        guard let command = target.details.blocking else {
            return c.reply.integer(unblockWaiting(target, withError: withError) ? 1 : 0)
        }
        unblock(target)
        if withError {
            refuseWaiting(target)
        } else {
            command.timeoutReply(lateReply(target))
        }
        resume(target)
        c.reply.integer(1)
    }
}
