// How much may wait for a peer that does not take it.

/// Bytes at which a connection is closed at once, and bytes that it may not stay over for longer than the seconds. 0 switches a
/// limit off.
///
/// - Spec: redis.conf: `client-output-buffer-limit`.
public struct OutputLimit: Equatable, Sendable {
    public var hardBytes: Int
    public var softBytes: Int
    public var softSeconds: Int

    public init(hardBytes: Int, softBytes: Int = 0, softSeconds: Int = 0) {
        self.hardBytes = hardBytes
        self.softBytes = softBytes
        self.softSeconds = softSeconds
    }
}

/// One connection's standing against its limit.
public struct OutputLimitWatch: Sendable {
    public enum Verdict {
        case within
        /// Over the soft limit, not for long enough yet: look again later, although nothing may happen on the connection.
        case overSoft
        case exceeded
    }

    /// Since when it has been over the soft limit, monotonic milliseconds.
    private var since: Int64?

    public init() {}

    public mutating func judge(_ bytes: Int, _ limit: OutputLimit, now: Int64) -> Verdict {
        if limit.hardBytes > 0, bytes > limit.hardBytes { return .exceeded }
        guard limit.softBytes > 0, bytes > limit.softBytes else {
            since = nil
            return .within
        }
        let begin = since ?? now
        since = begin
        return now - begin > Int64(limit.softSeconds) * 1000 ? .exceeded : .overSoft
    }
}
