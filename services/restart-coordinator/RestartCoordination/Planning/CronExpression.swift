// When a maintenance window opens: a cron expression in a time zone.
//
// - Spec: crontab(5) of POSIX and of Debian's cron: five fields, lists, ranges, steps, names of months and days, 7 for Sunday; when
//   both day of month and day of week are restricted, either of them suffices. The nicknames @yearly to @hourly are known.
import Foundation

public struct CronExpression: Sendable, Equatable {
    let minutes: Set<Int>
    let hours: Set<Int>
    let days: Set<Int>
    let months: Set<Int>
    /// 0 is Sunday.
    let weekdays: Set<Int>
    private let isDayRestricted: Bool
    private let isWeekdayRestricted: Bool

    /// What is wrong with an expression.
    public struct Problem: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    private static let nicknames = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let monthNames = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let dayNames = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    public init(_ text: String) throws(Problem) {
        let expanded = CronExpression.nicknames[text.lowercased()] ?? text
        let fields = expanded.split(whereSeparator: \.isWhitespace)
        guard fields.count == 5 else {
            throw Problem(description: "'\(text)': five fields are needed, minute hour day month weekday")
        }
        minutes = try CronExpression.field(fields[0], "minute", 0...59)
        hours = try CronExpression.field(fields[1], "hour", 0...23)
        days = try CronExpression.field(fields[2], "day of the month", 1...31)
        months = try CronExpression.field(fields[3], "month", 1...12, CronExpression.monthNames, first: 1)
        let weekdays = try CronExpression.field(fields[4], "day of the week", 0...7, CronExpression.dayNames, first: 0)
        self.weekdays = Set(weekdays.map { $0 % 7 })
        isDayRestricted = !fields[2].hasPrefix("*")
        isWeekdayRestricted = !fields[4].hasPrefix("*")
    }

    private static func field(
        _ text: Substring, _ name: String, _ range: ClosedRange<Int>, _ names: [String] = [], first: Int = 0
    ) throws(Problem) -> Set<Int> {
        func problem(_ why: String) -> Problem { Problem(description: "\(name) '\(text)': \(why)") }
        func number(_ part: Substring) throws(Problem) -> Int {
            if let index = names.firstIndex(of: part.lowercased()) { return index + first }
            guard let value = Int(part), part.allSatisfy(\.isNumber) else { throw problem("'\(part)' is no number") }
            guard range.contains(value) else {
                throw problem("\(value) is not from \(range.lowerBound) to \(range.upperBound)")
            }
            return value
        }
        var result = Set<Int>()
        for item in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = item.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            var values = range
            if parts[0] != "*" {
                let ends = parts[0].split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
                let low = try number(ends[0])
                let high = ends.count > 1 ? try number(ends[1]) : parts.count > 1 ? range.upperBound : low
                guard low <= high else { throw problem("the range goes backwards") }
                values = low...high
            }
            var step = 1
            if parts.count > 1 {
                guard let value = Int(parts[1]), value > 0 else {
                    throw problem("the step '\(parts[1])' is no number over 0")
                }
                step = value
            }
            result.formUnion(stride(from: values.lowerBound, through: values.upperBound, by: step))
        }
        return result
    }

    /// The first minute after `date` that fits; nil when none does within five years, as for 30 February.
    ///
    /// Times that the change to summer time skips do not come that day; those that the change back repeats come once.
    public func next(after date: Date, in timeZone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        var day = calendar.startOfDay(for: date)
        for _ in 0..<(5 * 366) {
            if fits(calendar.dateComponents([.day, .month, .weekday], from: day)),
                let found = firstTime(on: day, after: date, calendar)
            {
                return found
            }
            guard let tomorrow = calendar.date(byAdding: .day, value: 1, to: day) else { return nil }
            day = calendar.startOfDay(for: tomorrow)
        }
        return nil
    }

    /// The last minute that fits, not after `date` and not before `earliest`.
    public func last(upTo date: Date, notBefore earliest: Date, in timeZone: TimeZone) -> Date? {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = timeZone
        var day = calendar.startOfDay(for: date)
        let firstDay = calendar.startOfDay(for: earliest)
        while day >= firstDay {
            if fits(calendar.dateComponents([.day, .month, .weekday], from: day)),
                let found = lastTime(on: day, upTo: date, calendar)
            {
                return found >= earliest ? found : nil
            }
            guard let yesterday = calendar.date(byAdding: .day, value: -1, to: day) else { return nil }
            day = calendar.startOfDay(for: yesterday)
        }
        return nil
    }

    private func fits(_ components: DateComponents) -> Bool {
        guard let day = components.day, let month = components.month, let weekday = components.weekday,
            months.contains(month)
        else { return false }
        let fitsDay = days.contains(day)
        let fitsWeekday = weekdays.contains(weekday - 1)
        return isDayRestricted && isWeekdayRestricted ? fitsDay || fitsWeekday : fitsDay && fitsWeekday
    }

    private func firstTime(on day: Date, after date: Date, _ calendar: Calendar) -> Date? {
        // Earlier times of the same day need no look: there may be a thousand of them.
        let passed = calendar.dateComponents([.hour, .minute], from: date)
        let isSameDay = calendar.isDate(date, inSameDayAs: day)
        for hour in hours.sorted() where !isSameDay || hour >= passed.hour ?? 0 {
            let isSameHour = isSameDay && hour == passed.hour
            for minute in minutes.sorted() where !isSameHour || minute > passed.minute ?? 0 {
                if let time = time(on: day, hour, minute, calendar), time > date { return time }
            }
        }
        return nil
    }

    private func lastTime(on day: Date, upTo date: Date, _ calendar: Calendar) -> Date? {
        let now = calendar.dateComponents([.hour, .minute], from: date)
        let isSameDay = calendar.isDate(date, inSameDayAs: day)
        for hour in hours.sorted(by: >) where !isSameDay || hour <= now.hour ?? 23 {
            let isSameHour = isSameDay && hour == now.hour
            for minute in minutes.sorted(by: >) where !isSameHour || minute <= now.minute ?? 59 {
                if let time = time(on: day, hour, minute, calendar), time <= date { return time }
            }
        }
        return nil
    }

    private func time(on day: Date, _ hour: Int, _ minute: Int, _ calendar: Calendar) -> Date? {
        var wanted = calendar.dateComponents([.year, .month, .day], from: day)
        wanted.hour = hour
        wanted.minute = minute
        guard let time = calendar.date(from: wanted) else { return nil }
        // A time that does not exist is moved by the calendar: then it is another one.
        let components = calendar.dateComponents([.hour, .minute], from: time)
        return components.hour == hour && components.minute == minute ? time : nil
    }
}
