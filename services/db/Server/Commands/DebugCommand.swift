// DEBUG, for tests. Refused unless `enable-debug-command` allows it.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP
import Reactor
import Telemetry

extension Server {
    func debugCommand(_ c: CommandContext) {
        guard allows(settings.enableDebugCommand, c.client) else {
            return c.reply.error(
                "ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
            )
        }
        if c.isWord(1, "sleep"), c.count == 3 {
            guard let seconds = Double(c.text(2)), seconds >= 0, seconds < 3600 else {
                return c.reply.error("ERR invalid sleep time")
            }
            usleep(UInt32(seconds * 1_000_000))
            c.reply.ok()
        } else if c.isWord(1, "jmap") || c.isWord(1, "quicklist-packed-threshold") || c.isWord(1, "stringmatch-len")
            || c.isWord(1, "change-repl-id") || c.isWord(1, "dict-resizing")
        {
            c.reply.ok()
        } else if c.isWord(1, "set-active-expire"), c.count == 3 {
            engine.state.pointee.activeExpire = c.text(2) != "0"
            c.reply.ok()
        } else if c.isWord(1, "object"), c.count >= 3 {
            guard let line = engine.debugDescription(of: c[2], in: c.client.database) else {
                return c.reply.error("ERR no such key")
            }
            c.reply.simple(line)
        } else if c.isWord(1, "populate"), c.count >= 3, c.count <= 5 {
            populate(c)
        } else if c.isWord(1, "reload") {
            if let problem = reloadFromDisk() { c.reply.error("ERR \(problem)") } else { c.reply.ok() }
        } else if c.isWord(1, "loadaof") {
            if let problem = reloadLog() { c.reply.error("ERR \(problem)") } else { c.reply.ok() }
        } else if c.isWord(1, "flushall"), c.count == 2 {
            for database in 0..<settings.databases { engine.flush(database) }
            c.reply.ok()
        } else if c.isWord(1, "segfault") || c.isWord(1, "panic") {
            log.warning("debug", "DEBUG asked for a crash")
            log.sink.finish()
            abort()
        } else if c.isWord(1, "help") {
            replyHelp(
                c, "DEBUG",
                [
                    "LOADAOF", "OBJECT <key>", "POPULATE <count> [<prefix>] [<size>]", "RELOAD",
                    "SET-ACTIVE-EXPIRE <0|1>",
                    "SLEEP <seconds>",
                ])
        } else {
            c.subcommandSyntaxError("DEBUG")
        }
    }

    private func populate(_ c: CommandContext) {
        guard let count = c.integer(2), count >= 0 else {
            return c.reply.error("ERR value is out of range, must be positive")
        }
        let prefix = c.count > 3 ? c.text(3) : "key"
        let size = c.count > 4 ? Int(parseInteger(c[4]) ?? 0) : 0
        for number in 0..<count {
            let key = Array("\(prefix):\(number)".utf8)
            var value = Array("value:\(number)".utf8)
            if size > 0 {
                value = Array((value + [UInt8](repeating: 0, count: max(0, size - value.count))).prefix(size))
            }
            key.withView { key in value.withView { engine.populate(c.client.database, key, $0) } }
        }
        c.reply.ok()
    }
}
