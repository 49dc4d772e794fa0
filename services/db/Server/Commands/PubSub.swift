// Publish and subscribe, and the channels of keyspace events.
//
// - Spec: Redis command reference 7.2, group "pubsub"; keyspace notifications.
import ByteStorage
import DatabaseEngine
import RESP

/// Who listens to what.
struct PubSub {
    enum Kind { case channel, pattern, shard }

    private(set) var channels: [[UInt8]: Set<Client>] = [:]
    private(set) var patterns: [[UInt8]: Set<Client>] = [:]
    private(set) var shardChannels: [[UInt8]: Set<Client>] = [:]

    mutating func add(_ client: Client, _ name: [UInt8], _ kind: Kind) {
        switch kind {
        case .channel: channels[name, default: []].insert(client)
        case .pattern: patterns[name, default: []].insert(client)
        case .shard: shardChannels[name, default: []].insert(client)
        }
    }

    mutating func remove(_ client: Client, _ name: [UInt8], _ kind: Kind) {
        switch kind {
        case .channel: PubSub.remove(client, name, &channels)
        case .pattern: PubSub.remove(client, name, &patterns)
        case .shard: PubSub.remove(client, name, &shardChannels)
        }
    }

    private static func remove(_ client: Client, _ name: [UInt8], _ table: inout [[UInt8]: Set<Client>]) {
        table[name]?.remove(client)
        if table[name]?.isEmpty ?? false { table[name] = nil }
    }

    mutating func removeAll(_ client: Client) {
        for name in client.details.channels { remove(client, name, .channel) }
        for name in client.details.patterns { remove(client, name, .pattern) }
        for name in client.details.shardChannels { remove(client, name, .shard) }
    }
}

extension Server {
    func subscribe(_ c: CommandContext, _ kind: PubSub.Kind) {
        let word: StaticString = kind == .channel ? "subscribe" : kind == .pattern ? "psubscribe" : "ssubscribe"
        for index in 1..<c.count {
            let name = c[index].array
            let details = c.client.details
            switch kind {
            case .channel: details.channels.insert(name)
            case .pattern: details.patterns.insert(name)
            case .shard: details.shardChannels.insert(name)
            }
            pubsub.add(c.client, name, kind)
            confirm(c, word, name, kind)
        }
        c.client.insert(.subscribed)
    }

    func unsubscribe(_ c: CommandContext, _ kind: PubSub.Kind) {
        let word: StaticString =
            kind == .channel ? "unsubscribe" : kind == .pattern ? "punsubscribe" : "sunsubscribe"
        let details = c.client.details
        var names = (1..<max(1, c.count)).map { c[$0].array }
        if names.isEmpty {
            let all = kind == .channel ? details.channels : kind == .pattern ? details.patterns : details.shardChannels
            names = Array(all)
        }
        if names.isEmpty { confirm(c, word, nil, kind) }
        for name in names {
            switch kind {
            case .channel: details.channels.remove(name)
            case .pattern: details.patterns.remove(name)
            case .shard: details.shardChannels.remove(name)
            }
            pubsub.remove(c.client, name, kind)
            confirm(c, word, name, kind)
        }
        if details.subscriptionCount == 0 && details.shardChannels.isEmpty { c.client.remove(.subscribed) }
    }

    private func confirm(_ c: CommandContext, _ word: StaticString, _ name: [UInt8]?, _ kind: PubSub.Kind) {
        let details = c.client.details
        c.reply.push(3)
        c.reply.bulk(word)
        if let name { c.reply.bulk(name) } else { c.reply.null() }
        c.reply.integer(kind == .shard ? details.shardChannels.count : details.subscriptionCount)
    }

    func publish(_ c: CommandContext, shard: Bool) {
        let receivers = deliver(channel: c[1], message: c[2], shard: shard)
        propagateMessage(c, shard: shard)
        c.reply.integer(receivers)
    }

    /// Sends a message to everybody who listens and returns how many those are.
    @discardableResult
    func deliver(channel: ByteView, message: ByteView, shard: Bool = false) -> Int {
        let name = channel.array
        var receivers = 0
        for client in (shard ? pubsub.shardChannels[name] : pubsub.channels[name]) ?? [] {
            let writer = pushWriter(client)
            writer.push(3)
            writer.bulk(shard ? "smessage" : "message")
            writer.bulk(channel)
            writer.bulk(message)
            receivers += 1
        }
        guard !shard else { return receivers }
        for (pattern, clients) in pubsub.patterns where pattern.withView({ matchesGlob($0, channel) }) {
            for client in clients {
                let writer = pushWriter(client)
                writer.push(4)
                writer.bulk("pmessage")
                writer.bulk(pattern)
                writer.bulk(channel)
                writer.bulk(message)
                receivers += 1
            }
        }
        return receivers
    }

    /// Where a message to a client goes: after the reply of its own command, if that is what caused the message.
    private func pushWriter(_ client: Client) -> ReplyWriter {
        guard client == currentClient else { return client.reply }
        return ReplyWriter(deferredPushes, isRESP3: client.state.pointee.isRESP3)
    }

    /// Publishes a keyspace event on its one or two channels.
    func publishKeyspaceEvent(_ name: String, database: Int, key: [UInt8]) {
        let event = Array(name.utf8)
        if settings.keyspaceEvents.contains(.keyspace) {
            let channel = Array("__keyspace@\(database)__:".utf8) + key
            channel.withView { channel in event.withView { _ = deliver(channel: channel, message: $0) } }
        }
        if settings.keyspaceEvents.contains(.keyevent) {
            let channel = Array("__keyevent@\(database)__:\(name)".utf8)
            channel.withView { channel in key.withView { _ = deliver(channel: channel, message: $0) } }
        }
    }

    func pubsubCommand(_ c: CommandContext) {
        if c.isWord(1, "channels"), c.count <= 3 {
            replyNames(c, Array(pubsub.channels.keys))
        } else if c.isWord(1, "shardchannels"), c.count <= 3 {
            replyNames(c, Array(pubsub.shardChannels.keys))
        } else if c.isWord(1, "numsub") {
            replyCounts(c, pubsub.channels)
        } else if c.isWord(1, "shardnumsub") {
            replyCounts(c, pubsub.shardChannels)
        } else if c.isWord(1, "numpat"), c.count == 2 {
            c.reply.integer(pubsub.patterns.count)
        } else if c.isWord(1, "help") {
            replyHelp(
                c, "PUBSUB",
                [
                    "CHANNELS [<pattern>]", "NUMPAT", "NUMSUB [<channel> ...]", "SHARDCHANNELS [<pattern>]",
                    "SHARDNUMSUB [<shardchannel> ...]",
                ])
        } else {
            c.subcommandSyntaxError("PUBSUB")
        }
    }

    private func replyNames(_ c: CommandContext, _ names: [[UInt8]]) {
        let matching = c.count == 3 ? names.filter { $0.withView { matchesGlob(c[2], $0) } } : names
        c.reply.array(matching.count)
        for name in matching { c.reply.bulk(name) }
    }

    private func replyCounts(_ c: CommandContext, _ table: [[UInt8]: Set<Client>]) {
        c.reply.array((c.count - 2) * 2)
        for index in 2..<max(2, c.count) {
            c.reply.bulk(c[index])
            c.reply.integer(table[c[index].array]?.count ?? 0)
        }
    }

    /// HELP of a container command: its subcommands, one a line.
    func replyHelp(_ c: CommandContext, _ command: String, _ subcommands: [String]) {
        let lines = ["\(command) <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"] + subcommands + ["HELP"]
        c.reply.array(lines.count)
        for line in lines { c.reply.simple(line) }
    }
}
