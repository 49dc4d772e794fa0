// LATENCY: events of the monitor, and histograms of commands.
//
// - Spec: Redis command reference 7.2: LATENCY.
import ByteStorage
import DatabaseEngine
import RESP
import Reactor

extension Server {
    func latencyCommand(_ c: CommandContext) {
        if c.isWord(1, "latest") {
            latencyLatest(c)
        } else if c.isWord(1, "history") {
            let samples = latency.events[c.text(2)]?.samples ?? []
            c.reply.array(samples.count)
            for sample in samples {
                c.reply.array(2)
                c.reply.integer(sample.seconds)
                c.reply.integer(sample.milliseconds)
            }
        } else if c.isWord(1, "reset") {
            let names = c.count > 2 ? (2..<c.count).map { c.text($0) } : Array(latency.events.keys)
            c.reply.integer(names.reduce(0) { $0 + (latency.reset($1) ? 1 : 0) })
        } else if c.isWord(1, "graph") {
            guard let event = latency.events[c.text(2)] else {
                return c.reply.error("ERR No samples available for event '\(c.text(2))'")
            }
            c.reply.verbatim(LatencyGraph(event, now: reactor.now / 1000).text(name: c.text(2)))
        } else if c.isWord(1, "doctor") {
            c.reply.verbatim(latencyDoctor())
        } else if c.isWord(1, "histogram") {
            latencyHistogram(c)
        } else {
            replyHelp(
                c, "LATENCY",
                [
                    "DOCTOR", "GRAPH <event>", "HISTOGRAM [COMMAND ...]", "HISTORY <event>", "LATEST",
                    "RESET [<event> ...]",
                ])
        }
    }

    private func latencyLatest(_ c: CommandContext) {
        c.reply.array(latency.events.count)
        for (name, event) in latency.events.sorted(by: { $0.key < $1.key }) {
            c.reply.array(4)
            c.reply.bulk(name)
            c.reply.integer(event.samples.last?.seconds ?? 0)
            c.reply.integer(event.samples.last?.milliseconds ?? 0)
            c.reply.integer(event.longest)
        }
    }

    /// What each event means and what may be done about it.
    private static let latencyAdvice = [
        "command": "A command that is not O(1) worked on much data: SLOWLOG GET shows which. Ask for less at a time.",
        "fast-command":
            "Even O(1) commands were slow: the process did not get the CPU, or its memory was swapped out. Look at the machine.",
        "expire-cycle": "Many keys, or large values, expired together. Spread their times to live.",
        "eviction-cycle": "maxmemory made room by deleting keys. Raise it, or let keys expire sooner.",
        "aof-write": "The disk was too slow for the log's bytes, so the loop had to wait. Look at the disk.",
        "aof-fsync-always":
            "appendfsync is always, and the disk took long to make the log durable. Replies waited, the loop did not.",
        "snapshot-slice":
            "A piece of the walk over the keyspace, usually one very large value. Keep values small, or make snapshots rarer.",
        "snapshot-begin": "A walk over the keyspace began while much was waiting to be written to the log.",
    ]

    private func latencyDoctor() -> String {
        guard isLatencyMonitored else {
            return
                "Latency events are not recorded: latency-monitor-threshold is 0. CONFIG SET it to the milliseconds from which on they matter.\n"
        }
        guard !latency.events.isEmpty else {
            return
                "No event has taken \(settings.latencyMonitorMilliseconds) ms or more since latency events are recorded.\n"
        }
        var text = "Events of \(settings.latencyMonitorMilliseconds) ms or more:\n"
        for (name, event) in latency.events.sorted(by: { $0.value.longest > $1.value.longest }) {
            let count = event.samples.count
            let mean = event.samples.reduce(0) { $0 + $1.milliseconds } / max(1, count)
            text += "\n\(name): \(count) sampled, \(mean) ms on average, \(event.longest) ms at worst.\n"
            if let advice = Server.latencyAdvice[name] { text += advice + "\n" }
        }
        return text
    }

    private func latencyHistogram(_ c: CommandContext) {
        var specs = commands.allSpecs
        if c.count > 2 { specs = (2..<c.count).flatMap { named(c[$0], withSubcommands: true) } }
        let histograms = specs.compactMap { spec in timings.entries[spec.slot].histogram.map { (spec, $0) } }
        c.reply.map(histograms.count)
        for (spec, histogram) in histograms {
            c.reply.bulk(spec.name)
            c.reply.map(2)
            c.reply.bulk("calls")
            // All calls are counted; of the short ones only some are in the histogram.
            c.reply.integer(Int(histogram.total))
            c.reply.bulk("histogram_usec")
            let buckets = histogram.cumulativeMicroseconds
            c.reply.map(buckets.count)
            for bucket in buckets {
                c.reply.integer(bucket.limit)
                c.reply.integer(Int(bucket.calls))
            }
        }
    }
}

/// The samples of an event as columns of characters, oldest first.
struct LatencyGraph {
    private static let rows = 4
    private static let levels: [Character] = ["_", "o", "#"]
    private let event: LatencyMonitor.Event
    private let now: Int64

    init(_ event: LatencyMonitor.Event, now: Int64) {
        self.event = event
        self.now = now
    }

    func text(name: String) -> String {
        let values = event.samples.map(\.milliseconds)
        let low = values.min() ?? 0
        let high = values.max() ?? 0
        var lines = [
            "\(name) - high \(high) ms, low \(low) ms (all time high \(event.longest) ms)",
            String(repeating: "-", count: 80),
        ]
        // Each column is as high as its value: rows full of #, then what is left.
        let heights = values.map { value in
            high == low ? 1 : 1 + (value - low) * (LatencyGraph.rows * LatencyGraph.levels.count - 1) / (high - low)
        }
        for row in (0..<LatencyGraph.rows).reversed() {
            let line = heights.map { height -> Character in
                let rest = height - row * LatencyGraph.levels.count
                return rest <= 0 ? " " : LatencyGraph.levels[min(rest, LatencyGraph.levels.count) - 1]
            }
            if line.contains(where: { $0 != " " }) { lines.append(String(line)) }
        }
        // Under each column its age, from top to bottom.
        let ages = event.samples.map { Array(age($0.seconds)) }
        for row in 0..<(ages.map(\.count).max() ?? 0) {
            lines.append(String(ages.map { row < $0.count ? $0[row] : " " }))
        }
        return lines.map { $0 + "\n" }.joined()
    }

    private func age(_ seconds: Int64) -> String {
        let elapsed = max(0, now - seconds)
        switch elapsed {
        case 0..<60: return "\(elapsed)s"
        case 60..<3600: return "\(elapsed / 60)m"
        case 3600..<86400: return "\(elapsed / 3600)h"
        default: return "\(elapsed / 86400)d"
        }
    }
}
