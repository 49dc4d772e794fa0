import SentinelCore

/// A sentinel process: the real state machine in a simulated shell.
final class SimulatedSentinel: SimulatedProcess {
    let endpoint: Endpoint
    unowned let cluster: SimulatedCluster
    var machine: SentinelStateMachine?
    /// The settings file. Only this survives a crash.
    var disk: [[String]]
    var isPaused = false { didSet { if !isPaused { resume() } } }
    /// Added to the cluster's time: a clock that jumps.
    var clockOffset: Milliseconds = 0
    /// Counts the lives of the process: what was under way in a former one does not arrive in this one.
    private(set) var generation = 0
    private var links: [LinkID: Connection] = [:]
    private var attempts: Set<LinkID> = []
    private var waiting: [() -> Void] = []
    private var answers: [Int: [(request: RequestID, reply: Reply?)]] = [:]
    private var requesters: [RequesterID: (connection: Connection, request: RequestID, words: [String])] = [:]
    private var lastRequester: UInt64 = 0
    private var timerNumber = 0
    private var turns = 0

    init(_ endpoint: Endpoint, settings: [[String]], cluster: SimulatedCluster) {
        self.endpoint = endpoint
        self.disk = settings
        self.cluster = cluster
    }

    var isAlive: Bool { machine != nil }
    var clock: Milliseconds { cluster.now + clockOffset }

    func start() {
        generation += 1
        guard let configuration = try? SentinelConfiguration(lines: disk) else {
            return cluster.fail("the settings of \(endpoint) cannot be read: \(disk)")
        }
        let machine = SentinelStateMachine(
            configuration: configuration, listenPort: endpoint.port, seed: cluster.generator.next(),
            timing: cluster.timing, now: clock)
        self.machine = machine
        perform(machine.start(now: clock))
    }

    func crash() {
        guard isAlive else { return }
        generation += 1
        machine = nil
        isPaused = false
        waiting = []
        answers = [:]
        requesters = [:]
        attempts = []
        cluster.closeAll(of: self, .reset)
        links = [:]
    }

    // MARK: Into the state machine

    func handle(_ event: Event) {
        guard let machine else { return }
        if isPaused {
            let generation = generation
            waiting.append { [weak self] in
                if self?.generation == generation { self?.handle(event) }
            }
            return
        }
        perform(machine.handle(event, now: clock))
        turns += 1
        // In a debug build the check costs as much as the turn.
        guard turns % 8 == 0 else { return }
        for problem in machine.checkInvariants() { cluster.fail("\(endpoint): \(problem)") }
    }

    /// An event about one of our links; late news about an old one does not come through.
    func deliver(_ event: Event, link: LinkID) {
        guard links[link] != nil || attempts.contains(link) else { return }
        if case .linkFailed = event {
            links[link] = nil
            attempts.remove(link)
        }
        handle(event)
    }

    private func resume() {
        let actions = waiting
        waiting = []
        for action in actions { action() }
    }

    /// A command of an operator, whose answer does not matter.
    func order(_ words: [String]) {
        lastRequester += 1
        handle(.request(RequesterID(rawValue: lastRequester), words))
    }

    // MARK: Out of the state machine

    private func perform(_ actions: [Action]) {
        for action in actions { perform(action) }
    }

    private func perform(_ action: Action) {
        switch action {
        case .connect(let link, let target):
            attempts.insert(link)
            cluster.connect(self, link, target)
        case .disconnect(let link):
            attempts.remove(link)
            if let connection = links.removeValue(forKey: link) { cluster.close(connection, .closed) }
        case .send(let link, let request, let command):
            noteSent(command)
            if let connection = links[link] { cluster.send(request, command, on: connection) }
        case .respond(let requester, let reply):
            guard let entry = requesters.removeValue(forKey: requester) else { return }
            noteAnswered(entry.words, reply)
            answer(entry.connection, entry.request, reply)
        case .emit(let event): cluster.record(self, event)
        case .persist(let version, let directives):
            let generation = generation
            cluster.after(Milliseconds(1 + cluster.random(cluster.slowestDisk))) { [weak self] in
                guard let self, self.generation == generation else { return }
                disk = directives.map(\.words)
                handle(.persisted(version: version))
            }
        case .resolve, .runScript, .crash: break
        case .setTimer(let time):
            timerNumber += 1
            let number = timerNumber
            let generation = generation
            cluster.at(max(time - clockOffset, cluster.now)) { [weak self] in
                guard let self, self.generation == generation, timerNumber == number || isPaused else { return }
                handle(.timer)
            }
        }
    }

    /// A candidate that asks for votes has voted for itself.
    private func noteSent(_ command: Command) {
        if case .isMasterDown(_, let epoch, .some(let candidate)) = command {
            cluster.recordVote(by: self, epoch: epoch, for: candidate)
        }
    }

    private func noteAnswered(_ words: [String], _ reply: Reply) {
        guard words.count == 6, words[1] == "is-master-down-by-addr", case .array(let parts) = reply, parts.count == 3,
            let leader = parts[1].text, leader != "*", let epoch = parts[2].integerValue
        else { return }
        cluster.recordVote(by: self, epoch: Epoch(epoch), for: leader)
    }

    // MARK: As a server

    func isWaiting(for link: LinkID) -> Bool { attempts.contains(link) }

    func opened(_ connection: Connection) {
        attempts.remove(connection.link)
        links[connection.link] = connection
    }

    func accepted(_ connection: Connection) { answers[connection.number] = [] }

    func closed(_ connection: Connection) { answers[connection.number] = nil }

    func received(_ request: RequestID, _ command: Command, on connection: Connection) {
        if isPaused {
            waiting.append { [weak self] in
                if connection.isOpen { self?.received(request, command, on: connection) }
            }
            return
        }
        answers[connection.number]?.append((request, nil))
        switch command {
        case .ping: answer(connection, request, .simple("PONG"))
        case .isMasterDown, .publishHello:
            lastRequester += 1
            let requester = RequesterID(rawValue: lastRequester)
            requesters[requester] = (connection, request, command.arguments)
            handle(.request(requester, command.arguments))
        default: answer(connection, request, .ok)
        }
    }

    /// Answers leave in the order of the requests of their connection.
    private func answer(_ connection: Connection, _ request: RequestID, _ reply: Reply) {
        guard var open = answers[connection.number] else { return }
        if let index = open.firstIndex(where: { $0.request == request }) { open[index].reply = reply }
        while let first = open.first, let reply = first.reply {
            open.removeFirst()
            cluster.reply(.reply(connection.link, first.request, reply), on: connection)
        }
        answers[connection.number] = open
    }
}
