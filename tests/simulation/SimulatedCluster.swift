// A whole cluster in one process, driven by one seed: three sentinels (the real state machine) and three model dbs.
//
// What is checked at every step: the state machines' own invariants; no sentinel tells of two different votes in one
// epoch, be there a crash between or not; no epoch has two elected leaders.

import SentinelCore

struct Pair: Hashable {
    let hosts: Set<String>
    init(_ left: Endpoint, _ right: Endpoint) { hosts = [left.host, right.host] }
}

final class SimulatedCluster {
    static let primaryName = "dssm"

    let seed: UInt64
    var generator: SeededGenerator
    var timing = SentinelTiming()
    var conditions = NetworkConditions()
    var slowestDisk = 5
    private(set) var now: Milliseconds = 1_000_000
    private var queue = EventQueue()
    private var lastConnection = 0
    var connections: [Int: Connection] = [:]
    var partitions: Set<Pair> = []
    private(set) var databases: [SimulatedDatabase] = []
    private(set) var sentinels: [SimulatedSentinel] = []

    // What happened
    private(set) var failures: [String] = []
    private(set) var log: [String] = []
    private(set) var switches: [(time: Milliseconds, sentinel: Int, payload: String)] = []
    private(set) var electionCount = 0
    private var leaders: [Epoch: Endpoint] = [:]
    private var votes: [String: [Epoch: String]] = [:]

    /// - Parameter settings: lines for every sentinel beyond `monitor`, in words without `sentinel` and the name.
    init(
        seed: UInt64, sentinelCount: Int = 3, databaseCount: Int = 3, settings: [(String, String)] = [],
        withIdentities: Bool = true
    ) {
        self.seed = seed
        generator = SeededGenerator(seed: seed)
        let first = Endpoint("10.0.0.1", 6379)
        for index in 0..<databaseCount {
            databases.append(
                SimulatedDatabase(
                    Endpoint("10.0.0.\(index + 1)", 6379), primary: index == 0 ? nil : first, cluster: self))
        }
        let endpoints = (0..<sentinelCount).map { Endpoint("10.0.1.\($0 + 1)", 26379) }
        let identities = endpoints.map { _ in generator.runID() }
        for index in 0..<sentinelCount {
            let name = Self.primaryName
            var lines = [
                ["sentinel", "monitor", name, first.host, "6379", String(sentinelCount / 2 + 1)],
                ["sentinel", "down-after-milliseconds", name, "1000"],
                ["sentinel", "failover-timeout", name, "10000"],
            ]
            for (directive, value) in settings { lines.append(["sentinel", directive, name, value]) }
            if withIdentities { lines.append(["sentinel", "myid", identities[index]]) }
            sentinels.append(SimulatedSentinel(endpoints[index], settings: lines, cluster: self))
        }
    }

    func start() {
        for sentinel in sentinels { after(Milliseconds(random(50))) { sentinel.start() } }
        after(10) { [weak self] in self?.stepDatabases() }
    }

    private func stepDatabases() {
        for database in databases { database.step() }
        after(10) { [weak self] in self?.stepDatabases() }
    }

    // MARK: Time

    func at(_ time: Milliseconds, _ action: @escaping () -> Void) { queue.add(at: time, action) }
    func after(_ delay: Milliseconds, _ action: @escaping () -> Void) { queue.add(at: now + delay, action) }

    func run(for duration: Milliseconds) { run(until: now + duration) { false } }

    /// Runs until the condition holds.
    /// - Returns: false if it does not hold by `end`.
    @discardableResult
    func run(until end: Milliseconds, _ condition: () -> Bool) -> Bool {
        while let time = queue.nextTime, time <= end, failures.isEmpty {
            // Conditions are looked at between two milliseconds.
            if time > now, condition() { return true }
            now = max(now, time)
            queue.pop()?()
        }
        now = max(now, end)
        return condition()
    }

    func random(_ bound: Int) -> Int { bound <= 0 ? 0 : Int.random(in: 0..<bound, using: &generator) }

    func nextConnection() -> Int {
        lastConnection += 1
        return lastConnection
    }

    func process(at endpoint: Endpoint) -> (any SimulatedProcess)? {
        if let database = databases.first(where: { $0.endpoint == endpoint }) { return database }
        return sentinels.first { $0.endpoint == endpoint }
    }

    // MARK: Records

    func fail(_ problem: String) { failures.append("seed \(seed), \(now): \(problem)") }

    func record(_ sentinel: SimulatedSentinel, _ event: SentinelEvent) {
        log.append("\(now) \(sentinel.endpoint.host) \(event.type) \(event.payload)")
        switch event.type {
        case "+switch-master":
            let index = sentinels.firstIndex { $0 === sentinel } ?? -1
            switches.append((now, index, event.payload))
        case "+try-failover": electionCount += 1
        case "+elected-leader":
            guard let vote = sentinel.machine?.lastVote(Self.primaryName) else { return }
            if let other = leaders[vote.epoch], other != sentinel.endpoint {
                fail("epoch \(vote.epoch) has two leaders, \(other) and \(sentinel.endpoint)")
            }
            leaders[vote.epoch] = sentinel.endpoint
        default: break
        }
    }

    func recordVote(by sentinel: SimulatedSentinel, epoch: Epoch, for candidate: String) {
        guard let voter = sentinel.machine?.myID else { return }
        if let former = votes[voter]?[epoch], former != candidate {
            fail("\(sentinel.endpoint) voted for \(former) and for \(candidate) in epoch \(epoch)")
        }
        votes[voter, default: [:]][epoch] = candidate
    }

    // MARK: State

    /// Where all sentinels say that the primary is, nil if they differ.
    var agreedPrimary: Endpoint? {
        let states = sentinels.compactMap { $0.machine?.primaryState(named: Self.primaryName) }
        guard let first = states.first, states.count == sentinels.count,
            states.allSatisfy({ $0.primary == first.primary && $0.configEpoch == first.configEpoch })
        else { return nil }
        return first.primary
    }

    /// One primary that everybody follows, and nothing going on any more.
    var isSettled: Bool {
        guard let primary = agreedPrimary else { return false }
        let states = sentinels.compactMap { $0.machine?.primaryState(named: Self.primaryName) }
        guard states.allSatisfy({ $0.status == "ok" && !$0.isFailingOver && $0.isServing }) else { return false }
        return databases.allSatisfy { database in
            guard database.isAlive else { return true }
            if database.endpoint == primary { return database.primary == nil }
            return database.primary == primary && database.isLinkUp
        }
    }

    /// All sentinels know each other and all dbs.
    var isAcquainted: Bool {
        // Asked often: the cheap half of the answer first.
        guard databases.allSatisfy({ $0.primary == nil || $0.isLinkUp }) else { return false }
        return sentinels.allSatisfy { sentinel in
            guard let state = sentinel.machine?.primaryState(named: Self.primaryName) else { return false }
            return state.usableSentinels == sentinels.count && state.usableReplicas == databases.count - 1
                && state.replicas == databases.count - 1 && sentinel.machine?.isDurable == true
        }
    }

    var report: String {
        "seed \(seed)\n" + (failures + log.suffix(120)).joined(separator: "\n") + "\n"
            + databases.map {
                "\($0.endpoint) alive=\($0.isAlive) primary=\(String(describing: $0.primary)) up=\($0.isLinkUp)"
            }
            .joined(separator: "\n") + "\n"
            + sentinels.map { "\($0.endpoint) \(String(describing: $0.machine?.primaryStates))" }.joined(
                separator: "\n")
    }
}
