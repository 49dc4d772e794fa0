/// What is wrong with a value, in the words that `CONFIG SET` answers with.
public struct ConfigurationValueError: Error, Equatable, Sendable {
    public let message: String

    public init(_ message: String) { self.message = message }
}

/// Reading and writing of single values.
public enum ConfigurationValue {
    /// `yes` or `no` in any case.
    public static func boolean(_ text: String) throws(ConfigurationValueError) -> Bool {
        switch text.lowercased() {
        case "yes": true
        case "no": false
        default: throw ConfigurationValueError("argument must be 'yes' or 'no'")
        }
    }

    public static func format(_ value: Bool) -> String { value ? "yes" : "no" }

    /// A decimal integer within `range`.
    public static func integer(
        _ text: String, in range: ClosedRange<Int64> = .min ... .max
    ) throws(ConfigurationValueError) -> Int64 {
        guard let value = strictInteger(text) else {
            throw ConfigurationValueError("argument couldn't be parsed into an integer")
        }
        return try check(value, range)
    }

    /// File permissions in octal, such as `700`.
    public static func octal(
        _ text: String, in range: ClosedRange<Int64> = 0...0o1777
    ) throws(ConfigurationValueError) -> Int64 {
        guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 < 56 }), let value = Int64(text, radix: 8) else {
            throw ConfigurationValueError("argument couldn't be parsed into an integer")
        }
        return try check(value, range)
    }

    /// Bytes with an optional unit in any case: `1k` is 1000, `1kb` 1024; `m`, `mb`, `g`, `gb` likewise; `b` is none.
    public static func memory(
        _ text: String, in range: ClosedRange<Int64> = 0 ... .max
    ) throws(ConfigurationValueError) -> Int64 {
        let digits = text.utf8.prefix { $0 >= 48 && $0 < 58 }
        let unit = text.utf8.dropFirst(digits.count)
        guard let factor = units[String(Substring(unit)).lowercased()], let number = Int64(Substring(digits)) else {
            throw ConfigurationValueError("argument must be a memory value")
        }
        let (value, overflow) = number.multipliedReportingOverflow(by: factor)
        guard !overflow else { throw ConfigurationValueError("argument must be a memory value") }
        return try check(value, range)
    }

    public enum MemoryOrPercent: Equatable, Sendable {
        case bytes(Int64)
        case percent(Int64)
    }

    /// A memory value, or a percentage such as `5%`.
    public static func memoryOrPercent(
        _ text: String, percentages: ClosedRange<Int64> = 0...100
    ) throws(ConfigurationValueError) -> MemoryOrPercent {
        guard text.hasSuffix("%") else { return .bytes(try memory(text)) }
        guard let value = strictInteger(String(text.dropLast())) else {
            throw ConfigurationValueError("argument must be a memory or percent value")
        }
        return .percent(try check(value, percentages))
    }

    /// The shortest exact form: `1gb`, `512mb`, `64kb` or plain bytes.
    public static func formatMemory(_ bytes: Int64) -> String {
        for (unit, factor) in [("gb", 1 << 30), ("mb", 1 << 20), ("kb", 1 << 10)] as [(String, Int64)]
        where bytes != 0 && bytes % factor == 0 {
            return "\(bytes / factor)\(unit)"
        }
        return "\(bytes)"
    }

    /// One of `names`, in any case; returns its position.
    public static func choice(_ text: String, of names: [String]) throws(ConfigurationValueError) -> Int {
        let wanted = text.lowercased()
        guard let index = names.firstIndex(where: { $0.lowercased() == wanted }) else {
            throw ConfigurationValueError(
                "argument(s) must be one of the following: " + names.joined(separator: ", "))
        }
        return index
    }

    private static let units: [String: Int64] = [
        "": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1_000_000, "mb": 1 << 20, "g": 1_000_000_000, "gb": 1 << 30,
    ]

    /// Swift's own parser takes a leading plus; Redis does not.
    private static func strictInteger(_ text: String) -> Int64? { text.hasPrefix("+") ? nil : Int64(text) }

    private static func check(_ value: Int64, _ range: ClosedRange<Int64>) throws(ConfigurationValueError) -> Int64 {
        guard range.contains(value) else {
            throw ConfigurationValueError(
                "argument must be between \(range.lowerBound) and \(range.upperBound) inclusive")
        }
        return value
    }
}
