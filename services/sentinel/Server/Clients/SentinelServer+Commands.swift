// The sentinel's own commands except pub/sub.

import ByteStorage
import RESP
import Reactor
import SentinelCore
import Telemetry

extension SentinelServer {
    func execute(_ command: OwnCommand, _ client: SentinelClient, _ request: Request) {
        switch command {
        case .ping: ping(client, request)
        case .info: reply(client) { $0.verbatim(information(request)) }
        case .role:
            reply(client) { writer in
                writer.array(2)
                writer.bulk("sentinel")
                let names = machine.primaryNames
                writer.array(names.count)
                for name in names { writer.bulk(name) }
            }
        case .hello: hello(client, request)
        case .auth: authenticate(client, request)
        case .client: clientCommand(client, request)
        case .acl: accessControl(client, request)
        case .command: describeCommands(client, request)
        case .subscribe, .psubscribe, .unsubscribe, .punsubscribe: subscribe(command, client, request)
        case .publish, .sentinel: askMachine(client, request)
        case .shutdown: shutdownCommand(client, request)
        case .quit:
            reply(client) { $0.ok() }
            closeAfterReplies(client)
        case .reset: resetClient(client)
        }
    }

    /// SENTINEL and hello messages: the state machine answers, at once or when its answer is durable.
    private func askMachine(_ client: SentinelClient, _ request: Request) {
        lastRequester += 1
        let requester = RequesterID(rawValue: lastRequester)
        requesters[requester] = PendingAnswer(client: client.id, slot: client.slots.append())
        handle(.request(requester, request.words))
    }

    private func ping(_ client: SentinelClient, _ request: Request) {
        guard request.count <= 2 else {
            return replyError(client, "ERR wrong number of arguments for 'ping' command")
        }
        reply(client) { writer in
            if client.isSubscribed, !client.isRESP3 {
                writer.array(2)
                writer.bulk("pong")
                if request.count == 2 { writer.bulk(request[1]) } else { writer.bulk("") }
            } else if request.count == 2 {
                writer.bulk(request[1])
            } else {
                writer.simple("PONG")
            }
        }
    }

    private func shutdownCommand(_ client: SentinelClient, _ request: Request) {
        for word in request.words.dropFirst()
        where !["NOSAVE", "SAVE", "NOW", "FORCE"].contains(word.uppercased()) {
            return replyError(client, "ERR syntax error")
        }
        client.isClosing = true
        shutDown("User requested shutdown...")
    }

    private func resetClient(_ client: SentinelClient) {
        subscriptions.removeAll(client)
        if !client.isLinkClean || client.outstanding > 0 { releaseLinks(of: client) }
        client.isRESP3 = false
        client.name = ""
        client.hasPrimaryCredentials = false
        client.needsAuthentication = !settings.password.isEmpty
        reply(client) { $0.simple("RESET") }
    }

    // MARK: Authentication

    private func authenticate(_ client: SentinelClient, _ request: Request) {
        guard request.count <= 3 else { return replyError(client, "ERR syntax error") }
        let user = request.count == 3 ? request.word(1) : "default"
        if let problem = checkCredentials(client, user, request.word(request.count - 1)) {
            return replyError(client, problem)
        }
        reply(client) { $0.ok() }
    }

    /// - Returns: the error, or nil when the credentials are right. They are right for this process, for the primary that
    ///   commands are forwarded to, or for both.
    private func checkCredentials(_ client: SentinelClient, _ user: String, _ password: String) -> String? {
        let primary = forwardedPrimaryName.flatMap { machine.credentials(of: $0) }
        if settings.password.isEmpty, primary == nil {
            return "ERR AUTH <password> called without any password configured for the default user. "
                + "Are you sure your configuration is correct?"
        }
        var isRight = false
        if !settings.password.isEmpty, user == "default", isSameSecret(password, settings.password) {
            client.needsAuthentication = false
            isRight = true
        }
        if let primary, user == (primary.user ?? "default"), isSameSecret(password, primary.password) {
            client.hasPrimaryCredentials = true
            // Whoever has only the primary's secret must not command the sentinel.
            isRight = isRight || settings.password.isEmpty
        }
        if isRight { return nil }
        log.event(.notice, "auth-failed", "Authentication failed", ["address": client.connection.remoteAddress])
        return "WRONGPASS invalid username-password pair or user is disabled."
    }

    private func hello(_ client: SentinelClient, _ request: Request) {
        var isRESP3 = client.isRESP3
        var index = 1
        if request.count > 1 {
            guard let version = parseInteger(request[1]) else {
                return replyError(client, "ERR Protocol version is not an integer or out of range")
            }
            guard version == 2 || version == 3 else {
                return replyError(client, "NOPROTO unsupported protocol version")
            }
            isRESP3 = version == 3
            index = 2
        }
        var name: String?
        while index < request.count {
            let left = request.count - index - 1
            if request[index].equalsIgnoringCase("auth"), left >= 2 {
                if let problem = checkCredentials(client, request.word(index + 1), request.word(index + 2)) {
                    return replyError(client, problem)
                }
                index += 3
            } else if request[index].equalsIgnoringCase("setname"), left >= 1 {
                name = request.word(index + 1)
                guard Self.isValidClientName(request.word(index + 1)) else {
                    return replyError(client, Self.invalidName)
                }
                index += 2
            } else {
                return replyError(client, "ERR Syntax error in HELLO option '\(request.word(index).prefix(128))'")
            }
        }
        if client.needsAuthentication {
            return replyError(
                client,
                "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH "
                    + "<user> <pass> option can be used to authenticate the client and select the RESP protocol version "
                    + "at the same time")
        }
        // Links to the primary speak one protocol: replies that are under way must not change theirs.
        if isRESP3 != client.isRESP3, client.ownLink != nil { releaseLinks(of: client) }
        client.isRESP3 = isRESP3
        if let name { client.name = name }
        reply(client) { writer in
            writer.map(6)
            writer.bulk("server")
            writer.bulk("redis")
            writer.bulk("version")
            writer.bulk(Self.compatibleVersion)
            writer.bulk("proto")
            writer.integer(isRESP3 ? 3 : 2)
            writer.bulk("id")
            writer.integer(Int64(client.id))
            writer.bulk("mode")
            writer.bulk("sentinel")
            writer.bulk("modules")
            writer.array(0)
        }
    }

    /// The version of Redis whose sentinel this one stands for.
    static let compatibleVersion = "7.2.0"
    static let invalidName = "ERR Client names cannot contain spaces, newlines or special characters."

    static func isValidClientName(_ name: String) -> Bool {
        name.utf8.count <= 1024 && name.utf8.allSatisfy { $0 > 32 && $0 < 127 }
    }

    // MARK: ACL, COMMAND

    private func accessControl(_ client: SentinelClient, _ request: Request) {
        switch request.word(1).lowercased() {
        case "whoami" where request.count == 2: reply(client) { $0.bulk("default") }
        case "users" where request.count == 2:
            reply(client) { writer in
                writer.array(1)
                writer.bulk("default")
            }
        case "list" where request.count == 2:
            let secret = settings.password.isEmpty ? "nopass" : "#(set by requirepass)"
            reply(client) { writer in
                writer.array(1)
                writer.bulk("user default on \(secret) ~* &* +@all")
            }
        default:
            replyError(client, "ERR unknown subcommand '\(request.word(1).prefix(128))'. Try ACL HELP.")
        }
    }

    private func describeCommands(_ client: SentinelClient, _ request: Request) {
        let subcommand = request.count > 1 ? request.word(1).lowercased() : ""
        switch subcommand {
        case "", "info":
            let wanted =
                request.count > 2
                ? (2..<request.count).map { OwnCommand(rawValue: request.word($0).lowercased()) }
                : OwnCommand.allCases.map { $0 }
            reply(client) { writer in
                writer.array(wanted.count)
                for command in wanted {
                    if let command { Self.describe(command, writer) } else { writer.nullArray() }
                }
            }
        case "count": reply(client) { $0.integer(OwnCommand.allCases.count) }
        case "docs": reply(client) { $0.map(0) }
        case "list":
            reply(client) { writer in
                writer.array(OwnCommand.allCases.count)
                for command in OwnCommand.allCases { writer.bulk(command.rawValue) }
            }
        default:
            replyError(client, "ERR unknown subcommand '\(request.word(1).prefix(128))'. Try COMMAND HELP.")
        }
    }

    /// Ten fields: name, arity, flags, keys (none), categories, tips, key specifications, subcommands.
    private static func describe(_ command: OwnCommand, _ writer: ReplyWriter) {
        writer.array(10)
        writer.bulk(command.rawValue)
        writer.integer(command.arity)
        writer.set(4)
        for flag in ["admin", "noscript", "loading", "stale"] { writer.simple(flag) }
        for _ in 0..<3 { writer.integer(0) }
        writer.set(1)
        writer.simple("@admin")
        for _ in 0..<3 { writer.array(0) }
    }
}

/// Equality of secrets in a time that does not tell where they differ.
func isSameSecret(_ left: String, _ right: String) -> Bool {
    let left = Array(left.utf8)
    let right = Array(right.utf8)
    var difference = left.count ^ right.count
    for index in 0..<left.count { difference |= Int(left[index] ^ (right.isEmpty ? 0 : right[index % right.count])) }
    return difference == 0
}
