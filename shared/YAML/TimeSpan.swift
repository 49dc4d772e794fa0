/// A length of time as settings write it: `90s`, `10m`, `24h`, `30d`, or seconds without a unit.
public enum TimeSpan {
    public static let longestSeconds: Int64 = 36500 * 86400

    /// Nil when `text` is none, or longer than a century.
    public static func seconds(_ text: String) -> Int64? {
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        let unit = text.last.flatMap { units[$0] }
        guard let number = Int64(unit == nil ? text : String(text.dropLast())) else { return nil }
        let (seconds, overflow) = number.multipliedReportingOverflow(by: unit ?? 1)
        guard !overflow, seconds.magnitude <= longestSeconds else { return nil }
        return seconds
    }
}
