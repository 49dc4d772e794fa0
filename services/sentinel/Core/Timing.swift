/// The periods and limits of the state machine, in milliseconds. Tests and the simulation may change them.
///
/// Where a value differs from stock Redis Sentinel, the reason is given: stock polls, this one reacts.
public struct SentinelTiming: Sendable {
    /// Longest time between two turns. A gap of `tiltTrigger` between turns means that the process was not running.
    public var tick: Milliseconds = 100
    /// While a primary is down or being replaced, turns come this often.
    public var busyTick: Milliseconds = 20
    public var pingPeriod: Milliseconds = 1000
    /// PING goes out at least this many times per `down-after-milliseconds`, so that a stopped process is found within
    /// 1.25 times that period rather than up to twice (stock).
    public var pingsPerDownPeriod: Milliseconds = 4
    public var informationPeriod: Milliseconds = 10_000
    public var busyInformationPeriod: Milliseconds = 1000
    /// INFO during the short phases of a failover: the next one follows the reply to the last after this time.
    public var failoverInformationPeriod: Milliseconds = 20
    /// So long after a start or a switch the primary is asked for its replicas every `busyInformationPeriod`.
    public var settlingPeriod: Milliseconds = 30_000
    public var helloPeriod: Milliseconds = 2000
    /// How often the others are asked for their opinion: at first, after one second, after five seconds.
    public var askPeriods: [Milliseconds] = [25, 250, 1000]
    /// An opinion older than this does not count.
    public var opinionLifetime: Milliseconds = 5000
    public var connectTimeout: Milliseconds = 2000
    public var reconnectMinimum: Milliseconds = 50
    public var reconnectMaximum: Milliseconds = 500
    /// A link younger than this, or than twice `down-after-milliseconds` if that is less, is not given up for an unanswered
    /// PING. (Stock: 15 s always. A host that died without a word and came back under the same name would stay unseen.)
    public var minimumLinkAge: Milliseconds = 15_000
    public var shortestLinkAge: Milliseconds = 2000
    /// Turns further apart than this mean TILT.
    public var tiltTrigger: Milliseconds = 2000
    /// Stock waits 30 s. Here every age that TILT protects against is corrected by the length of the gap, and a fresh
    /// picture needs two rounds of hello.
    public var tiltPeriod: Milliseconds = 5000
    /// Sentinels start an election in the order of their run ids, this far apart, so that votes seldom split.
    public var electionRankStep: Milliseconds = 40
    public var electionJitter: Milliseconds = 20
    public var electionTimeout: Milliseconds = 2000
    /// After a vote for another sentinel: longest time to leave the failover to it (stock: twice `failover-timeout`).
    public var leaderGrace: Milliseconds = 10_000
    public var retryMaximum: Milliseconds = 10_000
    /// A forced failover goes on without a majority after this time.
    public var forcedElectionPatience: Milliseconds = 1000
    /// A sentinel without a stored identity may have voted in a former life: it gives no vote for this long.
    public var newcomerSilence: Milliseconds = 2000
    /// How long the leader waits for fresh offsets of the replicas that do not answer.
    public var offsetPatience: Milliseconds = 300
    /// Longest time for which a planned handover lets writes wait; it is given up if the replica has not caught up by then.
    public var handoverPatience: Milliseconds = 1000
    /// Longest time for which a db's wish to be replaced holds.
    public var handoverWishLifetime: Milliseconds = 60_000
    public var replicaReconfigurationTimeout: Milliseconds = 10_000
    /// A hello older than this does not count as agreement with our configuration.
    public var agreementLifetime: Milliseconds = 6000
    /// How long an instance must contradict the configuration before it is corrected, unless it is certain to be stale.
    public var correctionDelay: Milliseconds = 8000

    public var scriptRuntime: Milliseconds = 60_000
    /// Doubles with each attempt.
    public var scriptRetryDelay: Milliseconds = 30_000
    public var scriptRetries = 10

    /// Limits.
    public var maximumScripts = 256
    public var maximumRunningScripts = 4
    public var maximumPendingRequests = 100
    public var maximumReplicas = 1000
    public var maximumSentinels = 1000
    public var maximumGated = 10_000

    public init() {}
}

public let defaultDownAfter: Milliseconds = 30_000
public let defaultFailoverTimeout: Milliseconds = 180_000
