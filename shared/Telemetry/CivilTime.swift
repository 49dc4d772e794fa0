/// Seconds since 1970 as a calendar date, by arithmetic alone: no locale, no lock.
public struct CivilTime: Sendable {
    public let year: Int64
    /// From 1.
    public let month: Int64
    public let day: Int64
    public let secondOfDay: Int64

    public init(seconds: Int64) {
        let days = seconds >= 0 ? seconds / 86400 : -((-seconds + 86399) / 86400)
        secondOfDay = seconds - days * 86400
        // Days since 0000-03-01 in eras of 400 years, so that the leap day ends a year.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    private static func padded(_ value: Int64, _ width: Int = 2) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, width - text.count)) + text
    }

    private func clock(_ milliseconds: Int) -> String {
        let hour = Self.padded(secondOfDay / 3600)
        let minute = Self.padded(secondOfDay / 60 % 60)
        return "\(hour):\(minute):\(Self.padded(secondOfDay % 60)).\(Self.padded(Int64(milliseconds), 3))"
    }

    /// `2026-01-31T12:00:00Z`.
    public var iso8601: String {
        let hour = Self.padded(secondOfDay / 3600)
        let minute = Self.padded(secondOfDay / 60 % 60)
        return "\(date)T\(hour):\(minute):\(Self.padded(secondOfDay % 60))Z"
    }

    private var date: String { "\(Self.padded(year, 4))-\(Self.padded(month))-\(Self.padded(day))" }

    /// `2026-01-31T12:00:00.000Z`.
    func iso8601(milliseconds: Int) -> String {
        "\(date)T\(clock(milliseconds))Z"
    }

    /// `31 Jan 2026 12:00:00.000`.
    func redis(milliseconds: Int) -> String {
        "\(Self.padded(day)) \(Self.months[Int(month) - 1]) \(year) \(clock(milliseconds))"
    }
}
