import SentinelCore

/// A model of a db as a sentinel sees it: roles, offsets, INFO, pub/sub. No data.
final class SimulatedDatabase: SimulatedProcess {
    let endpoint: Endpoint
    unowned let cluster: SimulatedCluster
    var isAlive = true
    var isPaused = false { didSet { if !isPaused { resume() } } }
    var runID: String
    /// nil: a primary.
    var primary: Endpoint?
    /// What CONFIG REWRITE has stored, and a restart begins with.
    var storedPrimary: Endpoint?
    var offset: Int64 = 1000
    var isLinkUp = false
    var linkDownSince: Milliseconds = 0
    var linkUpAt: Milliseconds = 0
    var priority = 100
    var supportsFencing = false
    var fencedEpoch: Epoch?
    private(set) var pausedUntil: Milliseconds = 0
    /// It has got SIGTERM, and waits to be replaced.
    private var isStopping = false
    /// Offsets at its last change to a primary and to a replica.
    private(set) var promotedAtOffset: Int64?
    private(set) var demotedAtOffset: Int64?
    private var queued: [Int: [Command]] = [:]
    private var subscribers: Set<Int> = []
    private var waiting: [() -> Void] = []

    init(_ endpoint: Endpoint, primary: Endpoint?, cluster: SimulatedCluster) {
        self.endpoint = endpoint
        self.primary = primary
        storedPrimary = primary
        self.cluster = cluster
        runID = cluster.generator.runID()
    }

    var role: String { primary == nil ? "master" : "slave" }

    func crash() {
        guard isAlive else { return }
        isAlive = false
        isPaused = false
        waiting = []
        isLinkUp = false
        cluster.closeAll(of: self, .reset)
    }

    /// SIGTERM: a primary lets its writes wait and asks to be replaced, for at most `patience`; then it ends.
    func terminate(patience: Milliseconds = 10_000) {
        guard isAlive, !isPaused, !isStopping else { return }
        guard primary == nil, !subscribers.isEmpty else { return crash() }
        isStopping = true
        pausedUntil = cluster.now + patience
        for number in subscribers.sorted() {
            guard let subscriber = cluster.connections[number] else { continue }
            cluster.reply(.message(subscriber.link, channel: handoverChannel, payload: "\(patience)"), on: subscriber)
        }
        waitForHandover(until: cluster.now + patience, runID)
    }

    private func waitForHandover(until deadline: Milliseconds, _ life: String) {
        cluster.after(10) { [weak self] in
            guard let self, isAlive, isStopping, runID == life else { return }
            if primary != nil || cluster.now >= deadline { crash() } else { waitForHandover(until: deadline, life) }
        }
    }

    /// SHUTDOWN ABORT.
    func stay() {
        guard isStopping else { return }
        isStopping = false
        pausedUntil = 0
    }

    func restart() {
        guard !isAlive else { return }
        isAlive = true
        isStopping = false
        pausedUntil = 0
        runID = cluster.generator.runID()
        primary = storedPrimary
        fencedEpoch = nil
        linkDownSince = cluster.now
        linkUpAt = cluster.now + 20
    }

    func accepted(_ connection: Connection) {}

    func closed(_ connection: Connection) {
        queued[connection.number] = nil
        subscribers.remove(connection.number)
    }

    private func resume() {
        let actions = waiting
        waiting = []
        for action in actions { action() }
    }

    /// Replication, in steps of 10 ms: a primary's offset grows, a replica's follows unless something is in the way.
    func step() {
        guard isAlive, !isPaused else { return }
        guard let primary else {
            if cluster.random(2) == 0, cluster.now >= pausedUntil { offset += 10 }
            return
        }
        guard let source = cluster.databases.first(where: { $0.endpoint == primary }), source !== self,
            source.isAlive, !source.isPaused, cluster.isReachable(endpoint, source.endpoint), fencedEpoch == nil,
            source.primary == nil || source.isLinkUp
        else {
            if isLinkUp {
                isLinkUp = false
                linkDownSince = cluster.now
            }
            linkUpAt = cluster.now + 10
            return
        }
        if !isLinkUp, cluster.now >= linkUpAt { isLinkUp = true }
        if isLinkUp, cluster.random(4) != 0 { offset = source.offset }
    }

    func received(_ request: RequestID, _ command: Command, on connection: Connection) {
        if isPaused {
            waiting.append { [weak self] in
                if connection.isOpen { self?.received(request, command, on: connection) }
            }
            return
        }
        cluster.reply(.reply(connection.link, request, execute(command, connection)), on: connection)
    }

    private func execute(_ command: Command, _ connection: Connection) -> Reply {
        if command == .exec {
            let commands = queued.removeValue(forKey: connection.number) ?? []
            for command in commands { apply(command, connection) }
            return .array(commands.map { _ in .ok })
        }
        if queued[connection.number] != nil {
            queued[connection.number]?.append(command)
            return .simple("QUEUED")
        }
        switch command {
        case .multi:
            queued[connection.number] = []
            return .ok
        case .ping: return .simple("PONG")
        case .info: return .bulk(information)
        case .subscribeHello:
            subscribers.insert(connection.number)
            return .array([.bulk("subscribe"), .bulk(helloChannel), .integer(1)])
        case .subscribeHandover: return .array([.bulk("subscribe"), .bulk(handoverChannel), .integer(2)])
        case .publishHello(let text):
            for number in subscribers.sorted() {
                guard let subscriber = cluster.connections[number] else { continue }
                cluster.reply(.message(subscriber.link, channel: helloChannel, payload: text), on: subscriber)
            }
            return .integer(Int64(subscribers.count))
        case .fence(let epoch):
            guard supportsFencing else { return .error("ERR unknown command 'DSSM'") }
            fencedEpoch = epoch
            if isLinkUp { linkDownSince = cluster.now }
            isLinkUp = false
            return .integer(offset)
        default:
            apply(command, connection)
            return .ok
        }
    }

    private func apply(_ command: Command, _ connection: Connection) {
        switch command {
        case .replicaOf(let target):
            fencedEpoch = nil
            guard target != primary else { return }
            if target == nil { promotedAtOffset = offset } else if primary == nil { demotedAtOffset = offset }
            primary = target
            isLinkUp = false
            linkDownSince = cluster.now
            linkUpAt = cluster.now + Milliseconds(5 + cluster.random(60))
        case .pauseWrites(let duration): pausedUntil = max(pausedUntil, cluster.now + duration)
        case .unpause: if !isStopping { pausedUntil = 0 }
        case .configRewrite: storedPrimary = primary
        case .clientKill(let type):
            let kind: LinkKind = type == "pubsub" ? .pubSub : .command
            for other in cluster.connections.values.sorted(by: { $0.number < $1.number })
            where other.server === self && other.kind == kind && other !== connection {
                cluster.close(other, .closed)
            }
        default: break
        }
    }

    private var information: String {
        var lines = ["# Server", "redis_version:7.0.15", "run_id:\(runID)"]
        if supportsFencing { lines.append("dssm_version:1.0") }
        lines += ["# Replication", "role:\(role)"]
        if let primary {
            lines += [
                "master_host:\(primary.host)", "master_port:\(primary.port)",
                "master_link_status:\(isLinkUp ? "up" : "down")", "slave_repl_offset:\(offset)",
                "slave_priority:\(priority)", "replica_announced:1",
            ]
            if !isLinkUp {
                lines.append("master_link_down_since_seconds:\((cluster.now - linkDownSince) / 1000)")
            }
        } else {
            let replicas = cluster.databases.filter { $0.isAlive && $0.primary == endpoint && $0.isLinkUp }
            lines.append("connected_slaves:\(replicas.count)")
            for (index, replica) in replicas.enumerated() {
                lines.append(
                    "slave\(index):ip=\(replica.endpoint.host),port=\(replica.endpoint.port),state=online,"
                        + "offset=\(replica.offset),lag=0")
            }
        }
        lines.append("master_repl_offset:\(offset)")
        return lines.joined(separator: "\r\n") + "\r\n"
    }
}
