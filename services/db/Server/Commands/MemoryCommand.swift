// MEMORY.
//
// - Spec: Redis command reference 7.2: MEMORY.
import ByteStorage
import CLinux
import DatabaseEngine
import RESP

extension Server {
    func memoryCommand(_ c: CommandContext) {
        if c.isWord(1, "usage") {
            memoryUsage(c)
        } else if c.isWord(1, "stats") {
            memoryStats(c)
        } else if c.isWord(1, "doctor") {
            c.reply.verbatim(memoryDoctor())
        } else if c.isWord(1, "malloc-stats") {
            let heap = mallinfo2()
            c.reply.verbatim(
                "slabs: \(engine.reservedBytes) bytes held\nheap: \(heap.arena + heap.hblkhd) bytes held, "
                    + "\(heap.uordblks + heap.hblkhd) in use, \(heap.fordblks) free\nused_memory: \(engine.usedBytes) bytes\n"
            )
        } else if c.isWord(1, "purge") {
            engine.releaseUnusedMemory()
            c.reply.ok()
        } else {
            replyHelp(c, "MEMORY", ["DOCTOR", "MALLOC-STATS", "PURGE", "STATS", "USAGE <key> [SAMPLES <count>]"])
        }
    }

    private func memoryUsage(_ c: CommandContext) {
        var index = 3
        while index < c.count {
            guard c.isWord(index, "samples"), index + 1 < c.count else { return c.syntaxError() }
            guard let samples = c.integer(index + 1) else { return }
            guard samples >= 0 else { return c.syntaxError() }
            index += 2
        }
        if let bytes = engine.memoryUsage(of: c[2], in: c.client.database) {
            c.reply.integer(bytes)
        } else {
            c.reply.null()
        }
    }

    private enum Figure {
        case integer(Int)
        case share(Double)
        /// Tables of a database: for its keys and for their expiries.
        case tables(Int)
    }

    private func memoryStats(_ c: CommandContext) {
        let report = memoryReport()
        let keys = (0..<settings.databases).reduce(0) { $0 + engine.keyCount($1) }
        let net = max(0, report.used - report.startup)
        func ratio(_ left: Int, _ right: Int) -> Figure { .share(right > 0 ? Double(left) / Double(right) : 0) }
        func percent(_ left: Int, _ right: Int) -> Figure { .share(right > 0 ? Double(left) * 100 / Double(right) : 0) }
        var figures: [(String, Figure)] = [
            ("peak.allocated", .integer(report.peak)), ("total.allocated", .integer(report.used)),
            ("startup.allocated", .integer(report.startup)), ("replication.backlog", .integer(report.backlog)),
            ("clients.slaves", .integer(report.replicas)), ("clients.normal", .integer(report.normalClients)),
            ("cluster.links", .integer(0)), ("aof.buffer", .integer(report.log)), ("lua.caches", .integer(0)),
            ("functions.caches", .integer(0)),
        ]
        for database in 0..<settings.databases where engine.keyCount(database) > 0 {
            figures.append(("db.\(database)", .tables(engine.tableBytes(of: database))))
        }
        figures += [
            ("overhead.total", .integer(report.overhead)), ("keys.count", .integer(keys)),
            ("keys.bytes-per-key", .integer(keys > 0 ? net / keys : 0)), ("dataset.bytes", .integer(report.dataset)),
            ("dataset.percentage", percent(report.dataset, net)),
            ("peak.percentage", percent(report.used, report.peak)),
            ("allocator.allocated", .integer(report.used)), ("allocator.active", .integer(report.active)),
            ("allocator.resident", .integer(report.anonymous)),
            ("allocator-fragmentation.ratio", ratio(report.active, report.used)),
            ("allocator-fragmentation.bytes", .integer(report.active - report.used)),
            ("allocator-rss.ratio", ratio(report.anonymous, report.active)),
            ("allocator-rss.bytes", .integer(report.anonymous - report.active)),
            ("rss-overhead.ratio", ratio(report.resident, report.anonymous)),
            ("rss-overhead.bytes", .integer(report.resident - report.anonymous)),
            ("fragmentation", ratio(report.resident, report.used)),
            ("fragmentation.bytes", .integer(report.resident - report.used)),
        ]
        c.reply.map(figures.count)
        for (name, figure) in figures {
            c.reply.bulk(name)
            switch figure {
            case .integer(let value): c.reply.integer(value)
            case .share(let value): Array("\(value)".utf8).withView { c.reply.double(formatted: $0) }
            case .tables(let bytes):
                c.reply.map(3)
                c.reply.bulk("overhead.hashtable.main")
                c.reply.integer(bytes)
                // Expiries live in the entries, and are linked into a wheel of fixed size.
                c.reply.bulk("overhead.hashtable.expires")
                c.reply.integer(0)
                c.reply.bulk("overhead.hashtable.slot-to-keys")
                c.reply.integer(0)
            }
        }
    }

    private func memoryDoctor() -> String {
        let report = memoryReport()
        guard report.used > Server.smallMemory else {
            return "Little memory is in use (\(Server.human(report.used))): there is nothing to diagnose yet.\n"
        }
        var findings: [String] = []
        if report.peak > report.used + report.used / 2 {
            findings.append(
                "The peak was \(Server.human(report.peak)), \(Server.ratio(report.peak, report.used)) times what is in use now: what was freed is kept for reuse."
            )
        }
        if report.resident > report.used * 3 / 2 {
            findings.append(
                "The process holds \(Server.human(report.resident)), \(Server.ratio(report.resident, report.used)) times what the dataset needs. Buffers of clients take \(Server.human(report.normalClients)), replicas \(Server.human(report.replicas + report.backlog))."
            )
        }
        if !clients.isEmpty, report.normalClients / max(1, clients.count) > Server.largeClient {
            findings.append(
                "Clients hold \(Server.human(report.normalClients)) of buffers: some do not read their replies.")
        }
        let limit = settings.engine.maxMemoryBytes
        if limit > 0, report.used > limit / 10 * 9 {
            findings.append("\(Server.percent(report.used, limit)) of maxmemory are in use.")
        }
        if findings.isEmpty { return "No problem with memory was found.\n" }
        return findings.map { "- \($0)\n" }.joined()
    }

    private static let smallMemory = 5 << 20
    private static let largeClient = 200 << 10
}
