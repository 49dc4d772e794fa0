import CLinux
import DatabaseEngine

/// Time spent in commands, for INFO commandstats and latencystats and LATENCY HISTOGRAM.
///
/// The short way of O(1) commands is timed for one call in 128: reading the clock twice would cost as much as the command.
/// All calls are counted; sums over calls are scaled up from those that were timed.
struct CommandTimings {
    /// Calls by duration: sixteen steps for each power of two of nanoseconds, so a value is known to 6%.
    struct Histogram {
        private static let steps = 16
        private static let powers = 40
        private(set) var counts = [UInt64](repeating: 0, count: steps * powers)
        private(set) var total: UInt64 = 0

        mutating func add(_ nanoseconds: UInt64) {
            counts[Histogram.index(nanoseconds)] &+= 1
            total &+= 1
        }

        private static func index(_ value: UInt64) -> Int {
            guard value >= 16 else { return Int(value) }
            let power = 63 - value.leadingZeroBitCount
            let step = Int(value >> UInt64(power - 4)) & 15
            return min((power - 3) * steps + step, steps * powers - 1)
        }

        /// The highest value that is counted at `index`.
        private static func upperBound(_ index: Int) -> UInt64 {
            guard index >= 16 else { return UInt64(index) }
            let power = index / steps + 3
            return (UInt64(16 + index % steps + 1) << UInt64(power - 4)) - 1
        }

        /// The duration in nanoseconds that so many percent of the calls did not exceed.
        func percentile(_ percent: Double) -> UInt64 {
            guard total > 0 else { return 0 }
            let wanted = max(1, UInt64((Double(total) * min(max(percent, 0), 100) / 100).rounded(.up)))
            var seen: UInt64 = 0
            for (index, count) in counts.enumerated() where count > 0 {
                seen += count
                if seen >= wanted { return Histogram.upperBound(index) }
            }
            return 0
        }

        /// Calls that took at most 1, 2, 4, 8 ... microseconds, where their number grows.
        var cumulativeMicroseconds: [(limit: Int, calls: UInt64)] {
            var result: [(limit: Int, calls: UInt64)] = []
            var limit: UInt64 = 1
            var seen: UInt64 = 0
            for (index, count) in counts.enumerated() where count > 0 {
                while Histogram.upperBound(index) > limit * 1024 { limit *= 2 }
                seen += count
                if result.last?.limit == Int(limit) {
                    result[result.count - 1].calls = seen
                } else {
                    result.append((Int(limit), seen))
                }
            }
            return result
        }
    }

    struct Entry {
        var calls: UInt64 = 0
        var nanoseconds: UInt64 = 0
        var rejected: UInt64 = 0
        var failed: UInt64 = 0
        /// Made with the first timed call: most commands are never used.
        var histogram: Histogram?
    }

    /// By the command's slot.
    private(set) var entries = [Entry](repeating: Entry(), count: CommandTable.shared.slotCount)
    var isTracking = true

    @inline(__always) static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    mutating func add(slot: Int, nanoseconds: UInt64) {
        entries[slot].calls &+= 1
        entries[slot].nanoseconds &+= nanoseconds
        guard isTracking else { return }
        if entries[slot].histogram == nil { entries[slot].histogram = Histogram() }
        entries[slot].histogram?.add(nanoseconds)
    }

    mutating func addFailure(slot: Int, isRejection: Bool) {
        if isRejection { entries[slot].rejected &+= 1 } else { entries[slot].failed &+= 1 }
    }

    mutating func reset() { entries = [Entry](repeating: Entry(), count: entries.count) }

    mutating func dropHistograms() {
        for index in entries.indices { entries[index].histogram = nil }
    }
}

extension Server {
    /// Microseconds since 1970, now.
    static func microsecondsNow() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
