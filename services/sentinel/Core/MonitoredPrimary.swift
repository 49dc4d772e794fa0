/// One monitored primary by name, with its replicas, the sentinels that share it, and the failover that may be going on.
final class MonitoredPrimary {
    let name: String
    var primary: Instance
    var replicas: [Instance] = []
    var sentinels: [Instance] = []

    // Settings
    var quorum: Int
    var downAfter: Milliseconds
    var failoverTimeout: Milliseconds
    var parallelSyncs: Int
    var authPassword: String?
    var authUser: String?
    var rebootDownAfter: Milliseconds
    /// The db's `write-quorum`; 0 when writes do not wait for replicas, and then a failover does not fence.
    var writeQuorum: Int
    var renamedCommands: [String: String]
    var notificationScript: String?
    var reconfigurationScript: String?

    // Epochs and vote
    var configEpoch: Epoch
    /// The epoch of the last vote given, and for whom. After a restart the epoch is known, the name is not.
    var leaderEpoch: Epoch
    var leader: String?
    /// The version of the persistent state that holds the vote.
    var voteVersion: UInt64 = 0

    /// When the present primary became the primary of the configuration, as far as this process knows.
    var configuredSince: Milliseconds

    // Health
    var objectivelyDownSince: Milliseconds?

    // Election and failover
    var failover: Failover?
    /// When to start an election; chosen when the primary becomes objectively down.
    var electionAt: Milliseconds?
    /// Until then another sentinel, for which we voted, may do the failover.
    var leaveToLeaderUntil: Milliseconds = 0
    var failedAttempts = 0
    /// Until then the primary waits to be replaced, because it is about to stop.
    var handoverWantedUntil: Milliseconds?
    /// The epoch under which replicas were last fenced.
    var fencedEpoch: Epoch?

    init(_ settings: SentinelConfiguration.Primary, number: Int, now: Milliseconds) {
        name = settings.name
        configuredSince = now
        quorum = settings.quorum
        downAfter = settings.downAfter
        failoverTimeout = settings.failoverTimeout
        parallelSyncs = settings.parallelSyncs
        authPassword = settings.authPassword
        authUser = settings.authUser
        rebootDownAfter = settings.rebootDownAfter
        writeQuorum = settings.writeQuorum
        renamedCommands = settings.renamedCommands
        notificationScript = settings.notificationScript
        reconfigurationScript = settings.reconfigurationScript
        configEpoch = settings.configEpoch
        leaderEpoch = settings.leaderEpoch
        primary = Instance(number: number, kind: .primary, endpoint: settings.endpoint, now: now)
    }
}

extension MonitoredPrimary {
    /// The primary and its replicas.
    var databases: [Instance] { [primary] + replicas }
    var everyone: [Instance] { [primary] + replicas + sentinels }
    /// All sentinels of this primary, this one included.
    var voters: Int { sentinels.count + 1 }
    var majority: Int { voters / 2 + 1 }

    /// The replica that the running failover promotes.
    var promoted: Instance? {
        switch failover?.phase {
        case .handOver(let instance), .sendReplicaOfNoOne(let instance), .waitPromotion(let instance),
            .reconfigureReplicas(let instance),
            .updateConfiguration(let instance):
            instance
        default: nil
        }
    }

    /// Where clients find the primary: during a failover, from the promotion on, the new one.
    var currentPrimary: Instance {
        switch failover?.phase {
        case .reconfigureReplicas(let instance), .updateConfiguration(let instance): instance
        default: primary
        }
    }
}

/// A failover from the start of the election to the change of configuration.
struct Failover {
    /// What the failover waits for.
    enum Phase {
        /// Votes.
        case waitStart
        /// Enough replicas to stop following the old primary (only with a write quorum).
        case fencing
        /// Fresh offsets of the replicas.
        case selectReplica
        /// The chosen replica to have all that the primary has, whose writes wait (only if the primary still works).
        case handOver(Instance)
        /// A link to the chosen replica.
        case sendReplicaOfNoOne(Instance)
        /// The chosen replica to say that it is a primary.
        case waitPromotion(Instance)
        /// The other replicas to follow the new primary.
        case reconfigureReplicas(Instance)
        /// Nothing: the next step makes the promoted replica the primary of the configuration.
        case updateConfiguration(Instance)

        /// The word in `failover-state` of SENTINEL MASTERS.
        var name: String {
            switch self {
            case .waitStart: "wait_start"
            case .fencing: "fencing"
            case .selectReplica: "select_slave"
            case .handOver: "hand_over"
            case .sendReplicaOfNoOne: "send_slaveof_noone"
            case .waitPromotion: "wait_promotion"
            case .reconfigureReplicas: "reconf_slaves"
            case .updateConfiguration: "update_config"
            }
        }
    }

    enum Cause {
        /// A quorum holds the primary for down.
        case failure
        /// An operator's order.
        case order
        /// The primary's own wish: it is about to stop.
        case wish
    }

    let epoch: Epoch
    let startedAt: Milliseconds
    let cause: Cause
    var phase = Phase.waitStart
    var phaseSince: Milliseconds
    /// The primary has said that its writes wait.
    var isPaused = false
    /// The replica that was chosen for the handover has had all that the primary has.
    var isCaughtUp = false
    var lastPromotionOrder: Milliseconds = 0

    /// Goes on without votes if it must.
    var isForced: Bool { cause == .order }
    /// The primary works as far as anybody knows: it can be asked to let its writes wait.
    var isPlanned: Bool { cause != .failure }

    /// Whether a replica may have been told to become a primary already.
    var isBeyondReturn: Bool {
        switch phase {
        case .waitStart, .fencing, .selectReplica, .handOver, .sendReplicaOfNoOne: false
        case .waitPromotion, .reconfigureReplicas, .updateConfiguration: true
        }
    }
}
