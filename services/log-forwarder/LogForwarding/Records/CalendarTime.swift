// The two forms of time in our log lines, parsed by arithmetic alone.
import ByteStorage

enum CalendarTime {
    /// Days from 1970-01-01 to a date of the Gregorian calendar.
    static func days(year: Int, month: Int, day: Int) -> Int64 {
        // Years begin in March, so that the leap day ends one.
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return Int64(era * 146_097 + dayOfEra - 719_468)
    }

    /// `count` decimal digits at `position`; -1 where there are none.
    @inline(__always) private static func digits(_ view: ByteView, _ position: Int, _ count: Int) -> Int {
        guard position &+ count <= view.count else { return -1 }
        var value = 0
        for index in position..<position &+ count {
            let digit = view[index] &- 48
            guard digit <= 9 else { return -1 }
            value = value &* 10 &+ Int(digit)
        }
        return value
    }

    /// `hh:mm:ss[.fraction]` at `position`: seconds of the day, nanoseconds, and where it ends.
    private static func clock(_ view: ByteView, _ position: Int) -> (second: Int64, nanoseconds: UInt32, end: Int)? {
        let hour = digits(view, position, 2)
        let minute = digits(view, position + 3, 2)
        let second = digits(view, position + 6, 2)
        guard hour >= 0, hour < 24, minute >= 0, minute < 60, second >= 0, second <= 60,
            view[position + 2] == UInt8(ascii: ":"), view[position + 5] == UInt8(ascii: ":")
        else { return nil }
        var end = position + 8
        var nanoseconds: UInt32 = 0
        if end < view.count, view[end] == UInt8(ascii: ".") {
            end += 1
            var unit: UInt32 = 100_000_000
            let first = end
            while end < view.count, view[end] &- 48 <= 9 {
                nanoseconds += UInt32(view[end] &- 48) * unit
                unit /= 10
                end += 1
            }
            guard end > first else { return nil }
        }
        return (Int64(hour * 3600 + minute * 60 + second), nanoseconds, end)
    }

    /// `2026-01-31T12:00:00.000Z`, also with `+hh:mm` for Z.
    /// - Spec: RFC 3339, section 5.6.
    static func parseISO8601(_ view: ByteView) -> EventTime? {
        let year = digits(view, 0, 4)
        let month = digits(view, 5, 2)
        let day = digits(view, 8, 2)
        guard view.count >= 20, year >= 0, (1...12).contains(month), (1...31).contains(day),
            view[4] == UInt8(ascii: "-"), view[7] == UInt8(ascii: "-"), view[10] | 0x20 == UInt8(ascii: "t"),
            let clock = clock(view, 11), clock.end < view.count
        else { return nil }
        var seconds = days(year: year, month: month, day: day) * 86400 + clock.second
        switch view[clock.end] {
        case UInt8(ascii: "Z"), UInt8(ascii: "z"):
            guard clock.end + 1 == view.count else { return nil }
        case let sign where sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-"):
            let hours = digits(view, clock.end + 1, 2)
            let minutes = digits(view, clock.end + 4, 2)
            guard clock.end + 6 == view.count, hours >= 0, minutes >= 0 else { return nil }
            let offset = Int64(hours * 3600 + minutes * 60)
            seconds -= sign == UInt8(ascii: "-") ? -offset : offset
        default: return nil
        }
        return EventTime(seconds: seconds, nanoseconds: clock.nanoseconds)
    }

    private static let months: [StaticString] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]

    /// `31 Jan 2026 12:00:00.000` at the front of `view`, in a time zone that is `utcOffset` seconds east.
    static func parseRedis(_ view: ByteView, utcOffset: Int64) -> (time: EventTime, end: Int)? {
        let day = digits(view, 0, 2)
        let year = digits(view, 7, 4)
        guard view.count >= 20, (1...31).contains(day), year >= 0, view[2] == 32, view[6] == 32, view[11] == 32,
            let month = months.firstIndex(where: { view.slice(3, 6).equalsIgnoringCase($0) }),
            let clock = clock(view, 12)
        else { return nil }
        let seconds = days(year: year, month: month + 1, day: day) * 86400 + clock.second - utcOffset
        return (EventTime(seconds: seconds, nanoseconds: clock.nanoseconds), clock.end)
    }
}
