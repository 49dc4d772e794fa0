// SLOWLOG, MONITOR, TIME, LOLWUT.
//
// - Spec: Redis command reference 7.2, group "server".
import ByteStorage
import DatabaseEngine
import RESP
import Reactor
import Telemetry

/// The slow commands, newest first.
struct SlowLog {
    struct Entry {
        let id: Int
        let seconds: Int64
        let microseconds: Int
        let arguments: [[UInt8]]
        let address: String
        let name: String
    }

    private(set) var entries: [Entry] = []
    private var nextID = 0

    mutating func add(
        seconds: Int64, microseconds: Int, arguments: [[UInt8]], address: String, name: String, limit: Int
    ) {
        entries.insert(
            Entry(
                id: nextID, seconds: seconds, microseconds: microseconds, arguments: arguments, address: address,
                name: name), at: 0)
        nextID += 1
        if entries.count > limit { entries.removeLast(entries.count - limit) }
    }

    mutating func reset() { entries.removeAll() }
}

extension Server {
    /// Arguments of a slow command that are kept, and bytes of each.
    private static let slowlogArguments = 32
    private static let slowlogBytes = 128

    func noteSlow(_ client: Client, _ c: Invocation, microseconds: Int) {
        var arguments: [[UInt8]] = []
        let kept = c.count > Server.slowlogArguments ? Server.slowlogArguments - 1 : c.count
        for index in 0..<kept {
            let view = c[index]
            if view.count > Server.slowlogBytes {
                let cut = view.slice(0, Server.slowlogBytes).array
                arguments.append(cut + Array("... (\(view.count - Server.slowlogBytes) more bytes)".utf8))
            } else {
                arguments.append(view.array)
            }
        }
        if kept < c.count { arguments.append(Array("... (\(c.count - kept) more arguments)".utf8)) }
        slowlog.add(
            seconds: reactor.now / 1000, microseconds: microseconds, arguments: arguments,
            address: client.connection.remoteAddress, name: client.details.name, limit: settings.slowlogMaxEntries)
    }

    func slowlogCommand(_ c: CommandContext) {
        if c.isWord(1, "get") {
            guard c.count <= 3 else { return c.subcommandSyntaxError("SLOWLOG") }
            var limit = 10
            if c.count == 3 {
                guard let number = parseInteger(c[2]), number >= -1 else {
                    return c.reply.error("ERR count should be greater than or equal to -1")
                }
                limit = number == -1 ? .max : Int(number)
            }
            let entries = slowlog.entries.prefix(limit)
            c.reply.array(entries.count)
            for entry in entries {
                c.reply.array(6)
                c.reply.integer(entry.id)
                c.reply.integer(entry.seconds)
                c.reply.integer(entry.microseconds)
                c.reply.array(entry.arguments.count)
                for argument in entry.arguments { c.reply.bulk(argument) }
                c.reply.bulk(entry.address)
                c.reply.bulk(entry.name)
            }
        } else if c.isWord(1, "len") {
            c.reply.integer(slowlog.entries.count)
        } else if c.isWord(1, "reset") {
            slowlog.reset()
            c.reply.ok()
        } else {
            replyHelp(c, "SLOWLOG", ["GET [<count>]", "LEN", "RESET"])
        }
    }

    // MARK: MONITOR

    func monitor(_ c: CommandContext) {
        if c.client.has(.inTransaction) { return c.reply.error("ERR Command not allowed inside a transaction") }
        c.client.insert(.monitor)
        monitors.insert(c.client)
        updateLongWay()
        c.reply.ok()
    }

    func feedMonitors(
        _ client: Client, _ shape: CommandShape, _ arguments: UnsafeMutablePointer<ByteView>, _ count: Int
    ) {
        // Commands that carry secrets or steer the server are not shown.
        if shape.has(.admin) || shape.id == .auth || shape.id == .hello { return }
        let micro = String(reactor.now % 1000 * 1000)
        let time = "\(reactor.now / 1000).\(String(repeating: "0", count: max(0, 6 - micro.count)))\(micro)"
        var line = "\(time) [\(client.database) \(client.connection.remoteAddress)]"
        for index in 0..<count { line += " " + Server.quoted(arguments[index]) }
        for monitor in monitors { monitor.reply.simple(line) }
    }

    /// A string in double quotes with escapes, as MONITOR and logs show it.
    static func quoted(_ view: ByteView) -> String {
        var text = "\""
        for index in 0..<view.count {
            switch view[index] {
            case UInt8(ascii: "\\"): text += "\\\\"
            case UInt8(ascii: "\""): text += "\\\""
            case 10: text += "\\n"
            case 13: text += "\\r"
            case 9: text += "\\t"
            case 7: text += "\\a"
            case 8: text += "\\b"
            case 32...126: text.unicodeScalars.append(UnicodeScalar(view[index]))
            default:
                let hex = String(view[index], radix: 16)
                text += "\\x" + (hex.count == 1 ? "0" : "") + hex
            }
        }
        return text + "\""
    }

    // MARK: Small ones

    func time(_ c: CommandContext) {
        let now = Server.microsecondsNow()
        c.reply.array(2)
        c.reply.bulk(integer: now / 1_000_000)
        c.reply.bulk(integer: now % 1_000_000)
    }

    func lolwut(_ c: CommandContext) {
        if c.count > 2, c.isWord(1, "version"), c.integer(2) == nil { return }
        c.reply.verbatim(
            """
              .-----.   .-----.   .-----.
              | db0 |===| db1 |===| db2 |
              '-----'   '-----'   '-----'
            Redis ver. \(Server.redisVersion) (dSSM \(ProductVersion.current))

            """)
    }
}
