/// Builds the text that Prometheus scrapes. Each metric: `family` once, then its samples.
/// - Spec: Prometheus text exposition format, version 0.0.4.
public struct PrometheusText: Sendable {
    public enum Kind: String, Sendable {
        case counter
        case gauge
        case histogram
        case untyped
    }

    public typealias Label = (name: String, value: String)

    /// The value of the HTTP header Content-Type.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    public private(set) var bytes: [UInt8] = []
    private var family = ""

    public init() { bytes.reserveCapacity(16384) }

    public var string: String { String(decoding: bytes, as: UTF8.self) }

    /// Starts a metric. Names are the caller's constants and must be valid.
    public mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        family = name
        append("# HELP \(name) \(Self.escape(help, quotes: false))\n# TYPE \(name) \(kind.rawValue)\n")
    }

    /// A sample of the current family.
    public mutating func sample(_ value: Double, _ labels: [Label] = []) {
        line(family, labels, Self.format(value))
    }

    public mutating func sample(_ value: Int64, _ labels: [Label] = []) { line(family, labels, String(value)) }
    public mutating func sample(_ value: UInt64, _ labels: [Label] = []) { line(family, labels, String(value)) }

    /// All samples of a histogram under the current family.
    public mutating func sample(_ histogram: Histogram, _ labels: [Label] = []) {
        var cumulative: UInt64 = 0
        for (index, bound) in histogram.bounds.enumerated() {
            cumulative += histogram.counts[index]
            line(family + "_bucket", labels + [("le", Self.format(bound))], String(cumulative))
        }
        line(family + "_bucket", labels + [("le", "+Inf")], String(histogram.count))
        line(family + "_sum", labels, Self.format(histogram.sum))
        line(family + "_count", labels, String(histogram.count))
    }

    public mutating func counter(_ name: String, _ help: String, _ value: UInt64, _ labels: [Label] = []) {
        family(name, .counter, help)
        sample(value, labels)
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Int64, _ labels: [Label] = []) {
        family(name, .gauge, help)
        sample(value, labels)
    }

    public mutating func gauge(_ name: String, _ help: String, _ value: Double, _ labels: [Label] = []) {
        family(name, .gauge, help)
        sample(value, labels)
    }

    private mutating func append(_ text: String) { bytes += Array(text.utf8) }

    private mutating func line(_ name: String, _ labels: [Label], _ value: String) {
        append(name)
        if !labels.isEmpty {
            append("{")
            append(labels.map { "\($0.name)=\"\(Self.escape($0.value, quotes: true))\"" }.joined(separator: ","))
            append("}")
        }
        append(" \(value)\n")
    }

    private static func escape(_ text: String, quotes: Bool) -> String {
        var result: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): result += Array("\\\\".utf8)
            case UInt8(ascii: "\n"): result += Array("\\n".utf8)
            case UInt8(ascii: "\"") where quotes: result += Array("\\\"".utf8)
            default: result.append(byte)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    static func format(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }
}

/// Counts of observations by size.
public struct Histogram: Sendable {
    /// Upper bounds, ascending; a last bucket without bound is implied.
    public let bounds: [Double]
    /// Observations for each bound, not cumulative, and one more for those beyond the last.
    public private(set) var counts: [UInt64]
    public private(set) var count: UInt64 = 0
    public private(set) var sum = 0.0

    public init(bounds: [Double]) {
        self.bounds = bounds.sorted()
        counts = Array(repeating: 0, count: bounds.count + 1)
    }

    /// Seconds from 100 microseconds to 10 seconds.
    public static var seconds: Histogram {
        Histogram(bounds: [
            0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
        ])
    }

    public mutating func observe(_ value: Double) {
        counts[bounds.firstIndex { value <= $0 } ?? bounds.count] += 1
        count += 1
        sum += value
    }
}
