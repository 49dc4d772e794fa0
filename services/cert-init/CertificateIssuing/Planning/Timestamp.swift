import FoundationEssentials
import Telemetry

/// Times in annotations: RFC 3339 in seconds, as Kubernetes writes them.
enum Timestamp {
    static func text(_ seconds: Int64) -> String { CivilTime(seconds: seconds).iso8601 }

    /// Nil when `text` is no time.
    static func seconds(_ text: String) -> Int64? {
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        return Int64(exactly: date.timeIntervalSince1970.rounded(.down))
    }
}
