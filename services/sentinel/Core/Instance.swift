/// One process that the sentinel watches for a monitored primary: the primary, a replica or another sentinel.
///
/// An instance keeps its identity and its links when its role in the configuration changes: after a failover the promoted
/// replica is the same instance, with the same open connections, as the new primary.
final class Instance {
    enum Kind: String { case primary = "master", replica = "slave", sentinel }
    enum Role: String { case primary = "master", replica = "slave" }

    /// How far a replica is on its way to a new primary.
    enum Reconfiguration: Equatable {
        case none
        case sent(at: Milliseconds)
        case inProgress
        case done
    }

    let number: Int
    var kind: Kind
    var endpoint: Endpoint
    /// Of a sentinel: its identity. Of a db: the last one it reported.
    var runID: String?

    // Links
    var command = LinkSlot()
    var pubSub = LinkSlot()

    // Liveness
    /// The last valid answer to a PING.
    var lastAvailable: Milliseconds
    var lastPong: Milliseconds
    /// It has given a valid answer in its present role.
    var hasAnswered = false
    var lastPingSent: Milliseconds = 0
    /// When the oldest PING without a valid answer was sent; survives the loss of the link.
    var unansweredSince: Milliseconds?
    /// A connection attempt was refused and nothing valid has been heard since.
    var isRefused = false
    var subjectivelyDownSince: Milliseconds?
    var lastHelloPublished: Milliseconds = 0
    var hasTriedScriptKill = false

    // From INFO (db only)
    var informationRefreshed: Milliseconds?
    var informationText: String?
    /// When the INFO went out whose reply is still to come.
    var informationAsked: Milliseconds?
    var informationLastAsked: Milliseconds = .min / 2
    var reportedRole: Role
    var reportedRoleSince: Milliseconds
    var productVersion: String?
    var reportedPrimary: Endpoint?
    var reportedPrimarySince: Milliseconds
    var isPrimaryLinkUp = false
    var primaryLinkDownTime: Milliseconds = 0
    var priority = 100
    var offset: Int64 = 0
    var isAnnounced = true
    var rebootedSince: Milliseconds?
    /// Since when it says that it has not found its role: a db of ours after a start.
    var undecidedSince: Milliseconds?

    // Replica
    var reconfiguration = Reconfiguration.none
    /// Was the primary before the last change of configuration and has not reported itself a replica since: whatever it
    /// says as a primary is stale.
    var isFormerPrimary = false
    /// The last epoch under which it confirmed that it follows nobody, with its offset at that time.
    var fenced: (epoch: Epoch, offset: Int64)?
    var lastCorrection: Milliseconds?

    // Sentinel
    var lastHello: Milliseconds
    /// The configuration in its last hello.
    var claimed: (configEpoch: Epoch, primary: Endpoint)?
    var considersPrimaryDown = false
    var opinionAt: Milliseconds?
    var opinionAsked: Milliseconds?
    var vote: (leader: String, epoch: Epoch)?
    /// The epoch of the last request for a vote that it has answered.
    var answeredEpoch: Epoch = 0

    init(number: Int, kind: Kind, endpoint: Endpoint, now: Milliseconds) {
        self.number = number
        self.kind = kind
        self.endpoint = endpoint
        lastAvailable = now
        lastPong = now
        reportedRole = kind == .replica ? .replica : .primary
        reportedRoleSince = now
        reportedPrimarySince = now
        lastHello = now
    }

    var isDatabase: Bool { kind != .sentinel }
    var isSubjectivelyDown: Bool { subjectivelyDownSince != nil }
    var isConnected: Bool { command.isConnected }

    /// Forgets what was known about the health and state of the instance, not who it is or how it is linked.
    func resetState(now: Milliseconds) {
        lastAvailable = now
        lastPong = now
        hasAnswered = false
        unansweredSince = nil
        isRefused = false
        subjectivelyDownSince = nil
        rebootedSince = nil
        undecidedSince = nil
        reconfiguration = .none
        fenced = nil
        lastCorrection = nil
        reportedRole = kind == .replica ? .replica : .primary
        reportedRoleSince = now
        reportedPrimarySince = now
    }
}

/// Where an instance's link of one kind is kept, and when to try again.
struct LinkSlot {
    var link: Link?
    var nextAttempt: Milliseconds = 0
    /// The wait before the next attempt but one; 0 while the link is healthy, so that the first attempt after a loss
    /// comes at once.
    var backoff: Milliseconds = 0

    var isConnected: Bool { link?.connectedAt != nil }
    var pendingCount: Int { link?.pending.count ?? 0 }
}

/// An open or opening connection.
struct Link {
    /// What a reply belongs to.
    enum Pending: Equatable {
        case ping
        case information
        case opinion(askedEpoch: Epoch, asCandidate: Bool)
        case fence(Epoch)
        case replicaOf
        case pause
        case subscribe
        case auth
        case other
    }

    let id: LinkID
    let openedAt: Milliseconds
    var connectedAt: Milliseconds?
    var localHost = ""
    var lastActivity: Milliseconds
    var pending: [(request: RequestID, kind: Pending)] = []

    var isAskingForOpinion: Bool {
        pending.contains { entry in
            if case .opinion = entry.kind { true } else { false }
        }
    }

    func isPending(_ kind: Pending) -> Bool { pending.contains { $0.kind == kind } }
}
