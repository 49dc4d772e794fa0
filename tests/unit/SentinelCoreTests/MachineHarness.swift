import SentinelCore

/// One state machine with a made-up world: links open when they are asked for, writes succeed at once unless told otherwise.
final class MachineHarness {
    static let primary = Endpoint("10.0.0.1", 6379)
    static let myID = String(repeating: "5", count: 40)

    let machine: SentinelStateMachine
    var now: Milliseconds = 100_000
    var persistsAtOnce = true
    /// Attempts to connect to these are refused.
    var refused: Set<Endpoint> = []
    /// These accept and never answer.
    var silent: Set<Endpoint> = []
    var information: [Endpoint: String] = [:]
    private(set) var events: [SentinelEvent] = []
    private(set) var responses: [RequesterID: Reply] = [:]
    private(set) var sent: [(endpoint: Endpoint, command: Command)] = []
    private(set) var scripts: [(id: UInt64, words: [String])] = []
    private(set) var crashes = 0
    private(set) var saved: [SentinelDirective] = []
    private(set) var unsavedVersion: UInt64?
    private(set) var links: [LinkID: LinkTarget] = [:]
    private var requests: [(LinkID, RequestID, Command)] = []
    private var lastRequester: UInt64 = 0
    private var timer: Milliseconds?
    /// The answers of other sentinels to questions about the primary.
    var opinion: (Endpoint, Command) -> Reply = { _, _ in .array([.integer(0), .bulk("*"), .integer(0)]) }

    init(_ lines: [String] = [], withIdentity: Bool = true) {
        var all = ["monitor dssm 10.0.0.1 6379 2", "down-after-milliseconds dssm 1000"] + lines
        if withIdentity { all.append("myid \(Self.myID)") }
        let words = all.map { ["sentinel"] + $0.split(separator: " ").map(String.init) }
        let configuration: SentinelConfiguration
        do {
            configuration = try SentinelConfiguration(lines: words)
        } catch {
            preconditionFailure("the test's settings are wrong: \(error)")
        }
        machine = SentinelStateMachine(configuration: configuration, listenPort: 26379, seed: 1, now: now)
        information[Self.primary] = Self.primaryInformation([])
    }

    static func primaryInformation(_ replicas: [Endpoint], runID: String = String(repeating: "a", count: 40)) -> String
    {
        var text = "run_id:\(runID)\r\nrole:master\r\n"
        for (index, replica) in replicas.enumerated() {
            text += "slave\(index):ip=\(replica.host),port=\(replica.port),state=online,offset=1,lag=0\r\n"
        }
        return text
    }

    static func replicaInformation(
        of primary: Endpoint = primary, runID: Character, priority: Int = 100, offset: Int = 1000, isUp: Bool = true
    ) -> String {
        "run_id:\(String(repeating: runID, count: 40))\r\nrole:slave\r\nmaster_host:\(primary.host)\r\n"
            + "master_port:\(primary.port)\r\nmaster_link_status:\(isUp ? "up" : "down")\r\n"
            + "slave_priority:\(priority)\r\nslave_repl_offset:\(offset)\r\n"
    }

    func start() { perform(machine.start(now: now)) }
    func handle(_ event: Event) { perform(machine.handle(event, now: now)) }

    /// Lets time pass, with timers, in steps that do not look like a pause of the process.
    func run(for duration: Milliseconds) {
        let end = now + duration
        while let timer, timer <= end {
            now = max(now, timer)
            self.timer = nil
            handle(.timer)
        }
        now = end
    }

    func request(_ words: String...) -> Reply? {
        lastRequester += 1
        let requester = RequesterID(rawValue: lastRequester)
        handle(.request(requester, words.flatMap { $0.split(separator: " ").map(String.init) }))
        return responses[requester]
    }

    var lastResponse: Reply? { responses[RequesterID(rawValue: lastRequester)] }

    func hello(
        from runID: Character, at sender: Endpoint, primary: Endpoint = primary, current: Epoch = 0, config: Epoch = 0
    ) {
        let message = HelloMessage(
            sender: sender, runID: String(repeating: runID, count: 40), currentEpoch: current, primaryName: "dssm",
            primary: primary, configEpoch: config)
        _ = request("PUBLISH", helloChannel, message.text)
    }

    func types(_ prefixes: String...) -> [String] {
        events.map(\.type).filter { type in prefixes.isEmpty || prefixes.contains { type.hasPrefix($0) } }
    }

    func payloads(_ type: String) -> [String] { events.filter { $0.type == type }.map(\.payload) }
    func forgetHistory() {
        events = []
        sent = []
    }

    func fail(_ endpoint: Endpoint, _ failure: LinkFailure) {
        for (id, target) in links where target.endpoint == endpoint {
            links[id] = nil
            handle(.linkFailed(id, failure))
        }
    }

    /// Puts what was held back on the disk, or not.
    func finishSaving(successfully: Bool) {
        guard let version = unsavedVersion else { return }
        unsavedVersion = nil
        handle(successfully ? .persisted(version: version) : .persistenceFailed(version: version, reason: "disk full"))
    }

    private func perform(_ actions: [Action]) {
        var following: [Event] = []
        for action in actions {
            switch action {
            case .connect(let id, let target):
                if refused.contains(target.endpoint) {
                    following.append(.linkFailed(id, .refused))
                } else {
                    links[id] = target
                    following.append(.linkConnected(id, localHost: "10.0.1.1"))
                }
            case .disconnect(let id): links[id] = nil
            case .send(let id, let request, let command):
                guard let target = links[id] else { continue }
                sent.append((target.endpoint, command))
                if let reply = answer(target.endpoint, command) { following.append(.reply(id, request, reply)) }
            case .respond(let requester, let reply): responses[requester] = reply
            case .emit(let event): events.append(event)
            case .persist(let version, let directives):
                if persistsAtOnce {
                    saved = directives
                    following.append(.persisted(version: version))
                } else {
                    unsavedVersion = version
                }
            case .resolve: break
            case .runScript(let id, let words, _): scripts.append((id, words))
            case .crash: crashes += 1
            case .setTimer(let time): timer = time
            }
        }
        for event in following { handle(event) }
    }

    private func answer(_ endpoint: Endpoint, _ command: Command) -> Reply? {
        if silent.contains(endpoint) { return nil }
        switch command {
        case .ping: return .simple("PONG")
        case .info: return information[endpoint].map { .bulk($0) } ?? .error("ERR")
        case .isMasterDown: return opinion(endpoint, command)
        case .publishHello: return .integer(1)
        default: return .ok
        }
    }
}
