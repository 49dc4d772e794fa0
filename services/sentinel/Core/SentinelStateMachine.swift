// The sentinel as a state machine: an event and the time go in, actions come out.
//
// Problem: a failover is decided by several processes that see late, lost and reordered messages, pause, crash and come
// back. Such logic can be tested only if a whole cluster can be run from a seed, as fast as a processor allows.
//
// Approach: one object holds everything that is known. Each event first updates what it brings news about; then
// `advance` looks at all conditions once, in a fixed order, and does whatever has become due. Conditions that depend on
// time alone call `schedule`, so that the next turn comes exactly then. The number of instances is small (tens), hence
// looking at all of them each turn costs microseconds and leaves no condition forgotten.
//
// Rejected: handlers per condition with their own timers (orderings multiply); polling every 100 ms like stock Redis
// Sentinel (a failover then costs the sum of its polls).
//
// Invariants, checked by `checkInvariants`:
// - Epochs never shrink; a vote is given at most once per epoch, and nobody outside learns of it before it is durable.
// - A link id belongs to at most one instance; an instance in a list is there once.
// - A failover beyond its election has an epoch that this sentinel has voted for itself in, unless an operator forced it.

/// The logic of one sentinel process. Not thread-safe: its owner calls it from one thread.
public final class SentinelStateMachine {
    public let myID: String
    public internal(set) var timing: SentinelTiming
    /// The password for other sentinels when `sentinel-pass` is not set: the one that guards this process.
    public var peerPassword: String?

    /// The settings of the whole process; the parts about primaries live in `groups`.
    var global: SentinelConfiguration
    let listenPort: Int
    let startedAt: Milliseconds
    /// Nothing is written before it is known whom to monitor: a file without a monitor line would be taken for a memory.
    var isWithheld = false
    /// Started without an identity of its own: it may have voted in a former life.
    let isNewcomer: Bool
    var generator: SeededGenerator
    var groups: [MonitoredPrimary] = []
    var currentEpoch: Epoch
    var links: [LinkID: LinkOwner] = [:]
    /// The last known addresses of names.
    var addresses: [String: String] = [:]
    var askedNames: [String: Milliseconds] = [:]

    // The turn under way
    var actions: [Action] = []
    var now: Milliseconds
    var wake: Milliseconds = 0
    var timerSet: Milliseconds = .min
    var lastTurn: Milliseconds?
    var tiltSince: Milliseconds?
    var tiltUntil: Milliseconds = 0

    var scripts: [ScriptJob] = []
    var simulatedFailures: SimulatedFailures = []

    // Persistence
    /// Counts the changes of the persistent state.
    var version: UInt64 = 0
    var durableVersion: UInt64 = 0
    var persisting: UInt64?
    var retryPersistenceAt: Milliseconds = 0
    var gated: [Gated] = []

    private var lastNumber: UInt64 = 0

    struct LinkOwner {
        let group: MonitoredPrimary
        let instance: Instance
        let kind: LinkKind
    }

    /// - Parameters:
    ///   - configuration: the directives of the settings file.
    ///   - listenPort: announced to the others unless `announce-port` says otherwise.
    ///   - seed: of every random choice, the run id included if the configuration has none.
    public init(
        configuration: SentinelConfiguration, listenPort: Int, seed: UInt64, timing: SentinelTiming = SentinelTiming(),
        now: Milliseconds
    ) {
        var generator = SeededGenerator(seed: seed)
        self.timing = timing
        self.listenPort = listenPort
        self.now = now
        startedAt = now
        isNewcomer = configuration.myID == nil
        myID = configuration.myID ?? generator.runID()
        self.generator = generator
        global = configuration
        global.myID = myID
        global.primaries = []
        currentEpoch = configuration.currentEpoch
        for primary in configuration.primaries { groups.append(makeGroup(primary)) }
        for group in groups { currentEpoch = max(currentEpoch, group.leaderEpoch, group.configEpoch) }
        version = 1
    }

    /// The first turn: announces what is monitored and opens the links.
    public func start(now: Milliseconds) -> [Action] {
        self.now = now
        for group in groups { emit(.warning, "+monitor", group, group.primary, " quorum \(group.quorum)") }
        return handle(.timer, now: now)
    }

    /// Says, before `start`, that `beginMonitoring` will follow.
    public func withholdMonitoring() { isWithheld = true }

    /// Monitors a primary that has been found out. Does nothing if an operator has been quicker.
    public func beginMonitoring(_ primary: SentinelConfiguration.Primary, now: Milliseconds) -> [Action] {
        isWithheld = false
        guard !groups.contains(where: { $0.name == primary.name }) else { return handle(.timer, now: now) }
        noteTime(now)
        let group = makeGroup(primary)
        groups.append(group)
        currentEpoch = max(currentEpoch, group.configEpoch)
        emit(.warning, "+monitor", group, group.primary, " quorum \(group.quorum)")
        markChanged()
        return handle(.timer, now: now)
    }

    /// Takes one event and returns what is to be done about it, in order.
    ///
    /// - Parameter now: monotonic; a step back or a gap longer than `SentinelTiming.tiltTrigger` leads to TILT.
    public func handle(_ event: Event, now: Milliseconds) -> [Action] {
        noteTime(now)
        switch event {
        case .timer: break
        case .linkConnected(let link, let localHost): linkConnected(link, localHost: localHost)
        case .linkFailed(let link, let failure): linkFailed(link, failure)
        case .reply(let link, let request, let reply): received(reply, to: request, on: link)
        case .message(let link, let channel, let payload):
            noteActivity(on: link)
            guard let owner = links[link] else { break }
            if channel == helloChannel { _ = receiveHello(payload) }
            if channel == handoverChannel { handoverAsked(payload, by: owner.instance, owner.group) }
        case .request(let requester, let words): execute(words, for: requester)
        case .resolved(let host, let address): resolved(host, address)
        case .persisted(let version): persisted(version)
        case .persistenceFailed(let version, let reason): persistenceFailed(version, reason)
        case .scriptEnded(let id, let code): scriptEnded(id, code)
        }
        advance()
        let result = actions
        actions = []
        return result
    }

    /// The words of a command on this link, with the `rename-command` of its primary applied.
    public func words(of command: Command, on link: LinkID) -> [String] {
        var words = command.arguments
        if let owner = links[link], owner.instance.isDatabase, let first = words.first,
            let renamed = owner.group.renamedCommands[first.uppercased()]
        {
            words[0] = renamed
        }
        return words
    }

    // MARK: One turn

    private func advance() {
        wake = now + timing.tick
        for group in groups { advance(group) }
        runScripts()
        persistIfNeeded()
        if wake != timerSet || timerSet <= now {
            timerSet = wake
            actions.append(.setTimer(at: wake))
        }
    }

    private func advance(_ group: MonitoredPrimary) {
        for instance in group.everyone {
            maintainLinks(group, instance)
            sendPeriodic(group, instance)
        }
        guard tiltSince == nil else { return }
        for instance in group.everyone { checkSubjectivelyDown(group, instance) }
        checkObjectivelyDown(group)
        correctFormerPrimaries(group)
        startElectionIfNeeded(group)
        stepFailover(group)
        askOthers(group)
        if group.failover != nil || group.primary.isSubjectivelyDown { schedule(now + timing.busyTick) }
    }

    /// Makes sure that a turn comes at `time`.
    func schedule(_ time: Milliseconds) { wake = min(wake, max(time, now + 1)) }

    private func noteTime(_ now: Milliseconds) {
        self.now = now
        guard let previous = lastTurn else {
            lastTurn = now
            return
        }
        lastTurn = now
        let gap = now - previous
        if gap < 0 || gap > timing.tiltTrigger {
            enterTilt(gap: gap)
        } else if let since = tiltSince, now >= tiltUntil {
            tiltSince = nil
            emit(.warning, "-tilt", "#tilt mode exited after \(now - since) ms")
        }
    }

    /// Nothing that is measured in elapsed time can be trusted after a gap, so all ages are taken back by its length, and
    /// for a while the sentinel only watches. A failover that is not past the point of no return is given up: another
    /// sentinel may have taken over meanwhile.
    private func enterTilt(gap: Milliseconds) {
        if tiltSince == nil {
            tiltSince = now
            emit(.warning, "+tilt", "#tilt mode entered")
        }
        tiltUntil = now + timing.tiltPeriod
        for group in groups {
            for instance in group.everyone {
                if let since = instance.unansweredSince { instance.unansweredSince = min(now, since + gap) }
                instance.lastAvailable = min(now, instance.lastAvailable + gap)
                instance.lastPingSent = min(instance.lastPingSent, now)
                instance.lastHelloPublished = min(instance.lastHelloPublished, now)
                instance.considersPrimaryDown = false
                instance.opinionAsked = nil
            }
            group.electionAt = nil
            if let failover = group.failover, !failover.isBeyondReturn { abortFailover(group, "-failover-abort-tilt") }
        }
    }

    // MARK: Numbers

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    func makeGroup(_ settings: SentinelConfiguration.Primary) -> MonitoredPrimary {
        let group = MonitoredPrimary(settings, number: Int(nextNumber()), now: now)
        for endpoint in settings.replicas where !isSame(endpoint, settings.endpoint) {
            group.replicas.append(makeInstance(.replica, endpoint))
        }
        for known in settings.sentinels where known.runID != myID {
            let instance = makeInstance(.sentinel, known.endpoint)
            instance.runID = known.runID
            group.sentinels.append(instance)
        }
        return group
    }

    func makeInstance(_ kind: Instance.Kind, _ endpoint: Endpoint) -> Instance {
        Instance(number: Int(nextNumber()), kind: kind, endpoint: endpoint, now: now)
    }

    func random(below bound: Milliseconds) -> Milliseconds {
        bound <= 0 ? 0 : Milliseconds.random(in: 0..<bound, using: &generator)
    }
}
