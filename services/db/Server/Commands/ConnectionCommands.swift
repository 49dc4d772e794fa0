// Commands about the connection itself.
//
// - Spec: Redis command reference 7.2: PING, QUIT, RESET, SELECT, AUTH, HELLO.
import ByteStorage
import RESP
import Reactor

extension Server {
    func ping(_ c: CommandContext) {
        guard c.count <= 2 else { return c.wrongArity("ping") }
        if c.client.has(.subscribed), !c.client.state.pointee.isRESP3 {
            c.reply.array(2)
            c.reply.bulk("pong")
            if c.count == 2 { c.reply.bulk(c[1]) } else { c.reply.bulk("") }
        } else if c.count == 2 {
            c.reply.bulk(c[1])
        } else {
            c.reply.simple("PONG")
        }
    }

    func quit(_ c: CommandContext) {
        c.reply.ok()
        closeAfterReplies(c.client)
    }

    func reset(_ c: CommandContext) {
        let client = c.client
        if client.has([.replica, .primary]) { return c.reply.error("ERR can only reset normal connections") }
        forget(client)
        client.database = 0
        client.state.pointee.isRESP3 = false
        client.details.name = ""
        client.flags = client.has(.unixSocket) ? [.unixSocket] : []
        if !settings.password.isEmpty { client.insert(.needsAuthentication) }
        ReplyWriter(c.reply.out).simple("RESET")
    }

    /// Undoes everything that other parts of the server remember of a client.
    func forget(_ client: Client) {
        unblock(client)
        dropTransaction(client)
        unwatchAll(client)
        dropWaiting(client)
        pubsub.removeAll(client)
        client.details.channels.removeAll()
        client.details.patterns.removeAll()
        client.details.shardChannels.removeAll()
        client.remove([.subscribed, .monitor])
        if monitors.remove(client) != nil { updateLongWay() }
        forgetReplica(client)
    }

    func select(_ c: CommandContext) {
        guard let index = c.integer(1) else { return }
        guard index >= 0, index < Int64(settings.databases) else {
            return c.reply.error("ERR DB index is out of range")
        }
        c.client.database = Int(index)
        c.reply.ok()
    }

    // MARK: Authentication

    func authenticate(_ c: CommandContext) {
        guard c.count <= 3 else { return c.syntaxError() }
        if c.count == 2, settings.password.isEmpty {
            return c.reply.error(
                "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
            )
        }
        let user = c.count == 3 ? c.text(1) : "default"
        guard check(user: user, password: c[c.count - 1]) else {
            log.notice(
                "authentication-failed",
                "Failed authentication of user '\(user)' from \(c.client.connection.remoteAddress)")
            return c.reply.error("WRONGPASS invalid username-password pair or user is disabled.")
        }
        c.client.remove(.needsAuthentication)
        c.reply.ok()
    }

    /// Compares in time that does not depend on where the first difference is.
    private func check(user: String, password: ByteView) -> Bool {
        let isRight = matches(user: user, password: password)
        if !isRight { statistics.authenticationFailures += 1 }
        return isRight
    }

    private func matches(user: String, password: ByteView) -> Bool {
        let expected = Array(settings.password.utf8)
        var difference: UInt8 = user == "default" ? 0 : 1
        if expected.isEmpty { return difference == 0 }
        if expected.count != password.count { difference |= 1 }
        for index in 0..<password.count { difference |= password[index] ^ expected[index % expected.count] }
        return difference == 0
    }

    func hello(_ c: CommandContext) {
        let client = c.client
        var isRESP3 = client.state.pointee.isRESP3
        if c.count > 1 {
            guard let version = parseInteger(c[1]) else {
                return c.reply.error("ERR Protocol version is not an integer or out of range")
            }
            guard version == 2 || version == 3 else { return c.reply.error("NOPROTO unsupported protocol version") }
            isRESP3 = version == 3
        }
        var name: String?
        var index = 2
        while index < c.count {
            if c.isWord(index, "auth"), index + 2 < c.count {
                guard check(user: c.text(index + 1), password: c[index + 2]) else {
                    return c.reply.error("WRONGPASS invalid username-password pair or user is disabled.")
                }
                client.remove(.needsAuthentication)
                index += 3
            } else if c.isWord(index, "setname"), index + 1 < c.count {
                guard isValidName(c[index + 1]) else { return refuseName(c) }
                name = c.text(index + 1)
                index += 2
            } else {
                return c.reply.error("ERR Syntax error in HELLO option '\(c.text(index))'")
            }
        }
        if client.has(.needsAuthentication) {
            return c.reply.error(
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
            )
        }
        if let name { client.details.name = name }
        client.state.pointee.isRESP3 = isRESP3
        let reply = ReplyWriter(c.reply.out, isRESP3: isRESP3)
        reply.map(7)
        reply.bulk("server")
        reply.bulk("redis")
        reply.bulk("version")
        reply.bulk(Server.redisVersion)
        reply.bulk("proto")
        reply.integer(isRESP3 ? 3 : 2)
        reply.bulk("id")
        reply.integer(Int(client.id))
        reply.bulk("mode")
        reply.bulk("standalone")
        reply.bulk("role")
        reply.bulk(isReplicaRole ? "replica" : "master")
        reply.bulk("modules")
        reply.array(0)
    }

    /// The version of Redis whose commands and replies this server has.
    static let redisVersion = "7.2.0"

    func isValidName(_ name: ByteView) -> Bool {
        for index in 0..<name.count where name[index] < 33 || name[index] > 126 { return false }
        return true
    }

    func refuseName(_ c: CommandContext) {
        c.reply.error("ERR Client names cannot contain spaces, newlines or special characters.")
    }

    // MARK: Who may connect

    /// Redis's protected mode: without a password and without an explicit bind, only the machine itself may connect.
    func protectedModeRefusal(_ connection: Connection) -> StaticString? {
        guard settings.protectedMode, settings.password.isEmpty, connection.tag == ConnectionTag.client else {
            return nil
        }
        let host = connection.remoteHost
        if host == "::1" || host.hasPrefix("127.") || connection.isTLS || connection.phase == .handshaking {
            return nil
        }
        return
            "-DENIED dSSM is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. Set a password with requirepass, use TLS with client certificates, or switch protected-mode off.\r\n"
    }

    func closeIdleClients() {
        let timeout = Int64(settings.timeoutSeconds) * 1000
        guard timeout > 0 else { return }
        for client in clients.values
        where client.flags.isDisjoint(with: [.blocked, .subscribed, .replica, .primary, .monitor])
            && reactor.monotonicNow - client.connection.lastActivity > timeout
        {
            log.verbose("client-idle", "Closing idle client \(client.connection.remoteAddress)")
            client.connection.close(.local("idle timeout"))
        }
    }

    // MARK: Output limits

    private func limitClass(_ client: Client) -> Int {
        client.has(.replica) ? 1 : client.has(.subscribed) ? 2 : 0
    }

    /// Called when a client does not take its replies: closes it when it is over its class's limits.
    func checkOutputLimit(_ client: Client) {
        // A replica's snapshot has its own bound: the walk waits for the slowest replica.
        let bytes = client.connection.pendingOutput - (client.details.replica?.pendingSnapshotBytes(client) ?? 0)
        let limit = settings.outputLimits[limitClass(client)]
        switch client.details.outputWatch.judge(bytes, limit, now: reactor.monotonicNow) {
        case .within: overSoftLimit.remove(client.id)
        case .overSoft: overSoftLimit.insert(client.id)
        case .exceeded: closeForOutput(client, bytes)
        }
    }

    /// A client that takes nothing and gets nothing makes no event: looked at by time.
    func checkSoftLimits() {
        for id in overSoftLimit {
            if let client = clients[id] { checkOutputLimit(client) } else { overSoftLimit.remove(id) }
        }
    }

    private func closeForOutput(_ client: Client, _ bytes: Int) {
        statistics.outputLimitDisconnections += 1
        log.warning(
            "output-limit",
            "Client \(describe(client)) closed for overcoming of output buffer limits: \(bytes) bytes")
        client.connection.close(.local("output buffer limit"))
    }
}
