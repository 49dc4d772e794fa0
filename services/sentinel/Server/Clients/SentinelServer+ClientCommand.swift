// CLIENT: who is connected.

import ByteStorage
import RESP
import Reactor

extension SentinelServer {
    func clientCommand(_ client: SentinelClient, _ request: Request) {
        let count = request.count
        switch request.word(1).lowercased() {
        case "id" where count == 2: reply(client) { $0.integer(Int64(client.id)) }
        case "info" where count == 2: reply(client) { $0.verbatim(describe(client) + "\n") }
        case "list": listClients(client, request)
        case "kill" where count >= 3: killClients(client, request)
        case "getname" where count == 2:
            reply(client) { client.name.isEmpty ? $0.null() : $0.bulk(client.name) }
        case "setname" where count == 3:
            let name = request.word(2)
            guard Self.isValidClientName(name) else { return replyError(client, Self.invalidName) }
            client.name = name
            reply(client) { $0.ok() }
        case "setinfo" where count == 4: setInformation(client, request)
        case "no-evict" where count == 3, "no-touch" where count == 3: reply(client) { $0.ok() }
        case "id", "info", "kill", "getname", "setname", "setinfo", "no-evict", "no-touch":
            replyError(
                client, "ERR wrong number of arguments for 'client|\(request.word(1).lowercased())' command")
        default:
            replyError(client, "ERR unknown subcommand '\(request.word(1).prefix(128))'. Try CLIENT HELP.")
        }
    }

    private func setInformation(_ client: SentinelClient, _ request: Request) {
        let value = request.word(3)
        let attribute = request.word(2).lowercased()
        guard attribute == "lib-name" || attribute == "lib-ver" else {
            return replyError(client, "ERR Unrecognized option '\(request.word(2).prefix(128))'")
        }
        guard Self.isValidClientName(value) else {
            return replyError(client, "ERR \(attribute) cannot contain spaces, newlines or special characters.")
        }
        if attribute == "lib-name" { client.libraryName = value } else { client.libraryVersion = value }
        reply(client) { $0.ok() }
    }

    private func describe(_ client: SentinelClient) -> String {
        let connection = client.connection
        let now = reactor.monotonicNow
        let flags = client.isSubscribed ? "P" : client.isClosing ? "c" : client.stall != nil ? "b" : "N"
        return "id=\(client.id) addr=\(connection.remoteAddress) laddr=\(connection.localAddress) "
            + "fd=\(connection.fileDescriptor) name=\(client.name) age=\((now - connection.created) / 1000) "
            + "idle=\((now - connection.lastActivity) / 1000) flags=\(flags) db=\(client.database) "
            + "sub=\(client.channels.count) psub=\(client.patterns.count) ssub=0 "
            + "multi=\(client.isInTransaction ? 0 : -1) qbuf=\(connection.input.count) qbuf-free=0 argv-mem=0 multi-mem=0 "
            + "rbs=0 rbp=0 obl=0 oll=0 omem=\(connection.pendingOutput) tot-mem=\(connection.bufferBytes) events=r "
            + "cmd=\(client.lastCommand.isEmpty ? "NULL" : client.lastCommand) user=default redir=-1 "
            + "resp=\(client.isRESP3 ? 3 : 2) lib-name=\(client.libraryName) lib-ver=\(client.libraryVersion)"
    }

    private func kind(_ client: SentinelClient) -> String { client.isSubscribed ? "pubsub" : "normal" }

    private func listClients(_ client: SentinelClient, _ request: Request) {
        var wanted = clients.values.sorted { $0.id < $1.id }
        if request.count == 4, request[2].equalsIgnoringCase("type") {
            let type = request.word(3).lowercased()
            guard ["normal", "pubsub", "master", "replica", "slave"].contains(type) else {
                return replyError(client, "ERR Unknown client type '\(request.word(3).prefix(128))'")
            }
            wanted = wanted.filter { kind($0) == type }
        } else if request.count >= 4, request[2].equalsIgnoringCase("id") {
            let ids = (3..<request.count).compactMap { parseInteger(request[$0]) }
            wanted = wanted.filter { ids.contains(Int64($0.id)) }
        } else if request.count != 2 {
            return replyError(client, "ERR syntax error")
        }
        reply(client) { $0.verbatim(wanted.map { self.describe($0) + "\n" }.joined()) }
    }

    private func killClients(_ client: SentinelClient, _ request: Request) {
        if request.count == 3 {
            let address = request.word(2)
            guard let victim = clients.values.first(where: { $0.connection.remoteAddress == address }) else {
                return replyError(client, "ERR No such client")
            }
            reply(client) { $0.ok() }
            return kill([victim], by: client)
        }
        guard request.count % 2 == 0 else { return replyError(client, "ERR syntax error") }
        var victims = Array(clients.values)
        var skipsMe = true
        for index in stride(from: 2, to: request.count, by: 2) {
            let value = request.word(index + 1)
            switch request.word(index).lowercased() {
            case "id":
                guard let id = UInt64(value), id > 0 else {
                    return replyError(client, "ERR client-id should be greater than 0")
                }
                victims = victims.filter { $0.id == id }
            case "addr": victims = victims.filter { $0.connection.remoteAddress == value }
            case "laddr": victims = victims.filter { $0.connection.localAddress == value }
            case "type": victims = victims.filter { kind($0) == value.lowercased() }
            case "user": victims = value == "default" ? victims : []
            case "skipme":
                guard ["yes", "no"].contains(value.lowercased()) else { return replyError(client, "ERR syntax error") }
                skipsMe = value.lowercased() == "yes"
            default: return replyError(client, "ERR syntax error")
            }
        }
        if skipsMe { victims.removeAll { $0 === client } }
        reply(client) { $0.integer(victims.count) }
        kill(victims, by: client)
    }

    private func kill(_ victims: [SentinelClient], by client: SentinelClient) {
        for victim in victims {
            if victim === client {
                closeAfterReplies(client)
            } else {
                victim.connection.close(.local("killed by CLIENT KILL"))
            }
        }
    }
}
