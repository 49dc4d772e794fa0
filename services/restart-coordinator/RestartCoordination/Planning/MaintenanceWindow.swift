// When disruption is allowed.
//
// A window opens at the times of its cron expression and stays open for its duration, but not on blackout dates, which are days
// of its own time zone. Several windows together are open when any of them is. Everything here is a function of a date.
import Foundation

public struct MaintenanceWindow: Sendable, Equatable {
    public let name: String
    public let opens: CronExpression
    /// The text of `opens`, for people.
    public let cron: String
    public let timeZone: TimeZone
    public let duration: Duration

    public init(name: String, opens: CronExpression, cron: String = "", timeZone: TimeZone, duration: Duration) {
        self.name = name
        self.opens = opens
        self.cron = cron
        self.timeZone = timeZone
        self.duration = duration
    }

    private var seconds: Double { duration / .seconds(1) }

    /// The opening that contains `date` and is not blacked out, as the time when it ends.
    func end(at date: Date, _ blackouts: [Blackout]) -> Date? {
        guard !isBlackedOut(date, blackouts) else { return nil }
        // The latest opening that could still last: what opened later ends later.
        var upTo = date
        var found: Date?
        let earliest = date.addingTimeInterval(-seconds)
        while found == nil, let opening = opens.last(upTo: upTo, notBefore: earliest, in: timeZone) {
            if isBlackedOut(opening, blackouts) {
                upTo = day(of: opening).start.addingTimeInterval(-1)
            } else {
                found = opening
            }
        }
        // The moment of its end is outside.
        guard let last = found, last > earliest else { return nil }
        var end = last.addingTimeInterval(seconds)
        // A blackout that begins meanwhile ends the window.
        for blackout in blackouts {
            if let start = blackout.start(in: timeZone), start > date { end = min(end, start) }
        }
        return end
    }

    /// The next opening after `date` that is not blacked out.
    func next(after date: Date, _ blackouts: [Blackout]) -> Date? {
        var date = date
        while let opening = opens.next(after: date, in: timeZone) {
            guard isBlackedOut(opening, blackouts) else { return opening }
            // The first second of the next day fits too.
            date = day(of: opening).end.addingTimeInterval(-1)
        }
        return nil
    }

    private func day(of date: Date) -> DateInterval {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        return calendar.dateInterval(of: .day, for: date) ?? DateInterval(start: date, duration: 86400)
    }

    private func isBlackedOut(_ date: Date, _ blackouts: [Blackout]) -> Bool {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        let day = calendar.dateComponents([.year, .month, .day], from: date)
        return blackouts.contains { $0.contains(day) }
    }
}

/// Days on which nothing is disturbed, both ends included.
public struct Blackout: Sendable, Equatable {
    let first: Day
    let last: Day

    struct Day: Sendable, Equatable, Comparable {
        let year, month, day: Int

        static func < (left: Day, right: Day) -> Bool {
            (left.year, left.month, left.day) < (right.year, right.month, right.day)
        }

        /// - Parameter text: `2026-12-24`.
        init?(_ text: Substring) {
            let parts = text.split(separator: "-", omittingEmptySubsequences: false)
            guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
                let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2])
            else { return nil }
            var calendar = Calendar(identifier: .gregorian)
            calendar.timeZone = .gmt
            let components = DateComponents(calendar: calendar, year: year, month: month, day: day)
            guard components.isValidDate else { return nil }
            (self.year, self.month, self.day) = (year, month, day)
        }
    }

    /// - Parameter text: `2026-12-24` or `2026-12-24/2027-01-02`.
    public init(_ text: String) throws(CronExpression.Problem) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), let first = Day(parts[0]), let last = Day(parts[parts.count - 1]),
            first <= last
        else {
            throw CronExpression.Problem(
                description: "blackout '\(text)': a date such as 2026-12-24 is needed, or two with a slash between them"
            )
        }
        self.first = first
        self.last = last
    }

    func contains(_ components: DateComponents) -> Bool {
        guard let year = components.year, let month = components.month, let day = components.day else { return false }
        let asked = (year, month, day)
        return asked >= (first.year, first.month, first.day) && asked <= (last.year, last.month, last.day)
    }

    func start(in timeZone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        return calendar.date(from: DateComponents(year: first.year, month: first.month, day: first.day))
    }
}

/// All windows of a release.
public struct MaintenanceSchedule: Sendable, Equatable {
    public let windows: [MaintenanceWindow]
    public let blackouts: [Blackout]

    public init(windows: [MaintenanceWindow], blackouts: [Blackout] = []) {
        self.windows = windows
        self.blackouts = blackouts
    }

    public enum State: Sendable, Equatable {
        /// Open, until then: the latest end when several are.
        case open(name: String, until: Date)
        /// Closed until then; nil: for ever.
        case closed(next: Date?)
    }

    public func state(at date: Date) -> State {
        let open = windows.compactMap { window in window.end(at: date, blackouts).map { (window.name, $0) } }
        if let longest = open.max(by: { $0.1 < $1.1 }) { return .open(name: longest.0, until: longest.1) }
        return .closed(next: windows.compactMap { $0.next(after: date, blackouts) }.min())
    }
}
