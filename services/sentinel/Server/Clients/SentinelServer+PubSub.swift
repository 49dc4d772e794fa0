// Pub/sub of the sentinel's own events: channels are named like the events.

import ByteStorage
import RESP
import Reactor
import SentinelCore

/// Who listens to what.
struct Subscriptions {
    private(set) var channels: [String: [ObjectIdentifier: SentinelClient]] = [:]
    private(set) var patterns: [String: [ObjectIdentifier: SentinelClient]] = [:]

    /// Names that one client may subscribe to.
    static let maximumPerClient = 10_000

    mutating func add(_ client: SentinelClient, channel: String) {
        guard client.channels.insert(channel).inserted else { return }
        channels[channel, default: [:]][ObjectIdentifier(client)] = client
    }

    mutating func add(_ client: SentinelClient, pattern: String) {
        guard client.patterns.insert(pattern).inserted else { return }
        patterns[pattern, default: [:]][ObjectIdentifier(client)] = client
    }

    mutating func remove(_ client: SentinelClient, channel: String) {
        client.channels.remove(channel)
        channels[channel]?[ObjectIdentifier(client)] = nil
        if channels[channel]?.isEmpty == true { channels[channel] = nil }
    }

    mutating func remove(_ client: SentinelClient, pattern: String) {
        client.patterns.remove(pattern)
        patterns[pattern]?[ObjectIdentifier(client)] = nil
        if patterns[pattern]?.isEmpty == true { patterns[pattern] = nil }
    }

    mutating func removeAll(_ client: SentinelClient) {
        for channel in client.channels { remove(client, channel: channel) }
        for pattern in client.patterns { remove(client, pattern: pattern) }
    }
}

extension SentinelServer {
    func publish(_ channel: String, _ payload: String) {
        if let subscribers = subscriptions.channels[channel] {
            for client in subscribers.values where client.connection.isOpen {
                let writer = ReplyWriter(client.connection.output, isRESP3: client.isRESP3)
                writer.push(3)
                writer.bulk("message")
                writer.bulk(channel)
                writer.bulk(payload)
            }
        }
        for (pattern, subscribers) in subscriptions.patterns where matchesGlob(pattern, channel) {
            for client in subscribers.values where client.connection.isOpen {
                let writer = ReplyWriter(client.connection.output, isRESP3: client.isRESP3)
                writer.push(4)
                writer.bulk("pmessage")
                writer.bulk(pattern)
                writer.bulk(channel)
                writer.bulk(payload)
            }
        }
    }

    func subscribe(_ command: OwnCommand, _ client: SentinelClient, _ request: Request) {
        let names = Array(request.words.dropFirst())
        let isPattern = command == .psubscribe || command == .punsubscribe
        switch command {
        case .subscribe, .psubscribe:
            guard client.subscriptionCount + names.count <= Subscriptions.maximumPerClient else {
                return replyError(client, "ERR too many subscriptions")
            }
            for name in names {
                if isPattern {
                    subscriptions.add(client, pattern: name)
                } else {
                    subscriptions.add(client, channel: name)
                }
                confirm(client, command.rawValue, name)
            }
        default:
            let known = isPattern ? client.patterns.sorted() : client.channels.sorted()
            let unwanted = names.isEmpty ? known : names
            if unwanted.isEmpty { confirm(client, command.rawValue, nil) }
            for name in unwanted {
                if isPattern {
                    subscriptions.remove(client, pattern: name)
                } else {
                    subscriptions.remove(client, channel: name)
                }
                confirm(client, command.rawValue, name)
            }
        }
    }

    private func confirm(_ client: SentinelClient, _ kind: String, _ name: String?) {
        reply(client) { writer in
            writer.push(3)
            writer.bulk(kind)
            if let name { writer.bulk(name) } else { writer.null() }
            writer.integer(client.subscriptionCount)
        }
    }
}
