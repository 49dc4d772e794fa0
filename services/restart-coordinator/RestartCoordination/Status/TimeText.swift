// Times as a person reads them: UTC, with how far away they are.
import FoundationEssentials

enum TimeText {
    /// `2026-11-23 03:07 UTC`; with seconds on request.
    static func utc(_ date: Date, seconds: Bool = false) -> String {
        let text = date.formatted(Date.ISO8601FormatStyle(dateTimeSeparator: .space, timeZone: .gmt))
        return text.prefix(seconds ? 19 : 16) + " UTC"
    }

    /// `2026-11-23`.
    static func day(_ date: Date) -> String { String(utc(date).prefix(10)) }

    /// A length of time in one or two units, rounded down: `42 s`, `5 min`, `3 h 12 min`, `9 days`.
    static func length(_ seconds: Double) -> String {
        // A report may hold any number; more than this is years anyway.
        let whole = Int(min(max(seconds, 0), 1e11))
        let (minutes, hours, days) = (whole / 60, whole / 3600, whole / 86400)
        if whole < 60 { return "\(whole) s" }
        if minutes < 60 { return "\(minutes) min" }
        if hours < 48 { return minutes % 60 == 0 ? "\(hours) h" : "\(hours) h \(minutes % 60) min" }
        return "\(days) days"
    }

    /// `in 5 min`, `5 min ago`, `now`.
    static func relative(_ date: Date, now: Date) -> String {
        let seconds = date.timeIntervalSince(now)
        if abs(seconds) < 1 { return "now" }
        return seconds > 0 ? "in \(length(seconds))" : "\(length(-seconds)) ago"
    }

    /// A `time` element with both: `2026-11-23 03:07 UTC (5 min ago)`.
    static func html(_ date: Date, now: Date) -> HTML {
        """
        <time datetime="\(date.formatted(.iso8601))">\(utc(date))</time> <span class="n">(\(relative(date, now: now)))</span>
        """
    }
}
