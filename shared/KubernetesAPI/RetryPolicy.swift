/// When a failed request is made again, and after which time.
///
/// A request is repeated when repeating cannot do harm: when the server has refused it (429), and on 5xx or without an answer
/// when its method is idempotent. The wait doubles with each attempt, half of it left to chance, so that clients which failed
/// together do not come back together; a server that names a time is obeyed.
public struct RetryPolicy: Sendable {
    public var attempts: Int
    public var firstWait: Duration
    public var longestWait: Duration

    public init(attempts: Int = 6, firstWait: Duration = .milliseconds(100), longestWait: Duration = .seconds(10)) {
        self.attempts = attempts
        self.firstWait = firstWait
        self.longestWait = longestWait
    }

    public static let none = RetryPolicy(attempts: 1)

    /// The time to wait after attempt number `attempt`, counted from 1; nil: give up.
    ///
    /// - Parameter chance: 0 to 1, where in the half that is left to chance.
    func wait(after attempt: Int, _ error: KubernetesError, isIdempotent: Bool, chance: Double) -> Duration? {
        guard attempt < attempts else { return nil }
        switch error.code {
        case .tooManyRequests: break
        case .server, .unreachable: guard isIdempotent else { return nil }
        default: return nil
        }
        if let seconds = error.retryAfterSeconds { return min(.seconds(seconds), longestWait) }
        let whole = min(firstWait * (1 << min(attempt - 1, 20)), longestWait)
        return whole / 2 + whole / 2 * chance
    }
}
