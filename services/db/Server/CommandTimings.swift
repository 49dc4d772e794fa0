import CLinux
import DatabaseEngine

/// Time spent in commands, for INFO commandstats and LATENCY HISTOGRAM.
///
/// The short way of O(1) commands is not timed: reading the clock twice would cost as much as the command. Their calls are
/// counted; time is known of those calls that took the long way.
struct CommandTimings {
    struct Entry {
        var calls: UInt64 = 0
        var nanoseconds: UInt64 = 0
        /// Calls by power of two of microseconds.
        var histogram = [UInt64](repeating: 0, count: 32)
    }

    private(set) var entries = [Entry](repeating: Entry(), count: CommandID.allCases.count)

    @inline(__always) static func now() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) &* 1_000_000_000 &+ UInt64(time.tv_nsec)
    }

    mutating func add(_ id: CommandID, nanoseconds: UInt64) {
        let index = Int(id.rawValue)
        entries[index].calls &+= 1
        entries[index].nanoseconds &+= nanoseconds
        let bucket = min(31, 64 - (nanoseconds / 1000).leadingZeroBitCount)
        entries[index].histogram[bucket] &+= 1
    }

    mutating func reset() { entries = [Entry](repeating: Entry(), count: CommandID.allCases.count) }
}

extension Server {
    /// Microseconds since 1970, now.
    static func microsecondsNow() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }
}
