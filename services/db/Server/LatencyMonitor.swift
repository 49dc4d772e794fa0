// Latency events: what stalled the loop for longer than `latency-monitor-threshold`.
//
// Events here: `command` and `fast-command` (executing one), `expire-cycle`, `eviction-cycle`, `aof-write` (handing the log its
// bytes), `aof-fsync-always` (from then until they are on the disk: replies wait for it, the loop does not), `snapshot-slice`
// (a piece of the walk behind snapshots, log bases and full syncs), `snapshot-begin`. Redis's `fork` and its kin cannot occur.
//
// - Spec: Redis latency monitoring: 160 samples an event, one a second at most, the worst of its second.
import DatabaseEngine
import Reactor

struct LatencyMonitor {
    struct Sample: Equatable {
        /// Unix time.
        var seconds: Int64
        var milliseconds: Int
    }

    struct Event {
        /// Oldest first.
        private(set) var samples: [Sample] = []
        private(set) var longest = 0

        mutating func add(_ sample: Sample) {
            longest = max(longest, sample.milliseconds)
            if let last = samples.last, last.seconds == sample.seconds {
                samples[samples.count - 1].milliseconds = max(last.milliseconds, sample.milliseconds)
                return
            }
            if samples.count == LatencyMonitor.keptSamples { samples.removeFirst() }
            samples.append(sample)
        }
    }

    static let keptSamples = 160

    private(set) var events: [String: Event] = [:]

    mutating func add(_ name: String, seconds: Int64, milliseconds: Int) {
        events[name, default: Event()].add(Sample(seconds: seconds, milliseconds: milliseconds))
    }

    /// Forgets an event; returns whether it was there.
    mutating func reset(_ name: String) -> Bool { events.removeValue(forKey: name) != nil }
}

extension Server {
    var isLatencyMonitored: Bool { settings.latencyMonitorMilliseconds > 0 }

    /// Records an event if it took as long as the threshold.
    func noteLatency(_ name: String, nanoseconds: UInt64) {
        let milliseconds = Int(nanoseconds / 1_000_000)
        guard isLatencyMonitored, milliseconds >= settings.latencyMonitorMilliseconds else { return }
        latency.add(name, seconds: reactor.now / 1000, milliseconds: milliseconds)
    }

    /// Runs `body`, and records how long it took when latencies are monitored.
    @inline(__always) func monitored<Result>(_ name: String, _ body: () -> Result) -> Result {
        guard isLatencyMonitored else { return body() }
        let start = CommandTimings.now()
        defer { noteLatency(name, nanoseconds: CommandTimings.now() &- start) }
        return body()
    }
}
