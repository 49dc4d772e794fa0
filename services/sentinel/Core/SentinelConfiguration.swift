/// The directives of one settings file, checked against each other.
///
/// The order of the lines does not matter, except that directives about a primary need a `monitor` line somewhere.
public struct SentinelConfiguration: Equatable, Sendable {
    /// What is known about one monitored primary.
    public struct Primary: Equatable, Sendable {
        public var name: String
        public var endpoint: Endpoint
        public var quorum: Int
        public var downAfter = defaultDownAfter
        public var failoverTimeout = defaultFailoverTimeout
        public var parallelSyncs = 1
        public var authPassword: String?
        public var authUser: String?
        public var rebootDownAfter: Milliseconds = 0
        public var writeQuorum = 0
        public var renamedCommands: [String: String] = [:]
        public var notificationScript: String?
        public var reconfigurationScript: String?
        public var configEpoch: Epoch = 0
        public var leaderEpoch: Epoch = 0
        public var replicas: [Endpoint] = []
        public var sentinels: [KnownSentinel] = []

        public init(name: String, endpoint: Endpoint, quorum: Int) {
            self.name = name
            self.endpoint = endpoint
            self.quorum = quorum
        }
    }

    public struct KnownSentinel: Equatable, Sendable {
        public var endpoint: Endpoint
        public var runID: String?

        public init(endpoint: Endpoint, runID: String?) {
            self.endpoint = endpoint
            self.runID = runID
        }
    }

    public var myID: String?
    public var currentEpoch: Epoch = 0
    public var announceHost = ""
    public var announcePort = 0
    public var resolveHostnames = false
    public var announceHostnames = false
    public var denyScriptsReconfiguration = true
    public var sentinelUser: String?
    public var sentinelPassword: String?
    public var primaries: [Primary] = []

    public init() {}

    public init(_ directives: [SentinelDirective]) throws(SentinelDirectiveError) {
        for case .monitor(let name, let endpoint, let quorum) in directives {
            guard !primaries.contains(where: { $0.name == name }) else {
                throw SentinelDirectiveError("monitor", "'\(name)' is monitored twice")
            }
            primaries.append(Primary(name: name, endpoint: endpoint, quorum: quorum))
        }
        for directive in directives {
            guard let name = directive.primaryName else {
                apply(global: directive)
                continue
            }
            guard let index = primaries.firstIndex(where: { $0.name == name }) else {
                throw SentinelDirectiveError(directive.words[1], "no 'sentinel monitor' line names '\(name)'")
            }
            primaries[index].apply(directive)
        }
        for primary in primaries { try check(primary) }
    }

    /// Reads lines that have been cut into words; each must begin with `sentinel`.
    public init(lines: [[String]]) throws(SentinelDirectiveError) {
        var directives: [SentinelDirective] = []
        for line in lines { directives.append(try SentinelDirective.parse(line)) }
        try self.init(directives)
    }

    /// Takes over what an earlier life has found out and voted. How to monitor stays as it is set here; what only the
    /// memory knows (monitored by an operator's command) comes with it.
    public mutating func resume(from memory: SentinelConfiguration) {
        myID = memory.myID ?? myID
        currentEpoch = max(currentEpoch, memory.currentEpoch)
        for known in memory.primaries {
            guard let index = primaries.firstIndex(where: { $0.name == known.name }) else {
                primaries.append(known)
                continue
            }
            primaries[index].endpoint = known.endpoint
            primaries[index].configEpoch = known.configEpoch
            primaries[index].leaderEpoch = known.leaderEpoch
            primaries[index].replicas = known.replicas
            primaries[index].sentinels = known.sentinels
        }
    }

    private mutating func apply(global directive: SentinelDirective) {
        switch directive {
        case .myID(let id): myID = id
        case .currentEpoch(let epoch): currentEpoch = epoch
        case .announceHost(let host): announceHost = host
        case .announcePort(let port): announcePort = port
        case .resolveHostnames(let on): resolveHostnames = on
        case .announceHostnames(let on): announceHostnames = on
        case .denyScriptsReconfiguration(let on): denyScriptsReconfiguration = on
        case .sentinelUser(let user): sentinelUser = user
        case .sentinelPassword(let password): sentinelPassword = password
        default: break
        }
    }

    private func check(_ primary: Primary) throws(SentinelDirectiveError) {
        guard !resolveHostnames else { return }
        let hosts =
            [("monitor", primary.endpoint)] + primary.replicas.map { ("known-replica", $0) }
            + primary.sentinels.map { ("known-sentinel", $0.endpoint) }
        for (directive, endpoint) in hosts where !isNumericAddress(endpoint.host) {
            throw SentinelDirectiveError(
                directive, "'\(endpoint.host)' is a name; names need 'sentinel resolve-hostnames yes'")
        }
    }

    /// All directives, in the order in which they are written. Defaults are left out where stock Redis leaves them out.
    public var directives: [SentinelDirective] {
        var lines: [SentinelDirective] = []
        if let myID { lines.append(.myID(myID)) }
        if !denyScriptsReconfiguration { lines.append(.denyScriptsReconfiguration(false)) }
        if resolveHostnames { lines.append(.resolveHostnames(true)) }
        if announceHostnames { lines.append(.announceHostnames(true)) }
        if !announceHost.isEmpty { lines.append(.announceHost(announceHost)) }
        if announcePort != 0 { lines.append(.announcePort(announcePort)) }
        if let sentinelUser { lines.append(.sentinelUser(sentinelUser)) }
        if let sentinelPassword { lines.append(.sentinelPassword(sentinelPassword)) }
        for primary in primaries { lines += primary.directives }
        lines.append(.currentEpoch(currentEpoch))
        return lines
    }
}

extension SentinelConfiguration.Primary {
    mutating func apply(_ directive: SentinelDirective) {
        switch directive {
        case .downAfter(_, let value): downAfter = value
        case .failoverTimeout(_, let value): failoverTimeout = value
        case .parallelSyncs(_, let value): parallelSyncs = value
        case .authPassword(_, let value): authPassword = value.isEmpty ? nil : value
        case .authUser(_, let value): authUser = value.isEmpty ? nil : value
        case .rebootDownAfter(_, let value): rebootDownAfter = value
        case .writeQuorum(_, let value): writeQuorum = value
        case .renameCommand(_, let from, let to): renamedCommands[from] = to
        case .notificationScript(_, let path): notificationScript = path.isEmpty ? nil : path
        case .reconfigurationScript(_, let path): reconfigurationScript = path.isEmpty ? nil : path
        case .configEpoch(_, let epoch): configEpoch = epoch
        case .leaderEpoch(_, let epoch): leaderEpoch = epoch
        case .knownReplica(_, let endpoint):
            if endpoint != self.endpoint, !replicas.contains(endpoint) { replicas.append(endpoint) }
        case .knownSentinel(_, let endpoint, let runID):
            let known = SentinelConfiguration.KnownSentinel(endpoint: endpoint, runID: runID)
            if !sentinels.contains(known) { sentinels.append(known) }
        default: break
        }
    }

    var directives: [SentinelDirective] {
        var lines: [SentinelDirective] = [.monitor(name: name, endpoint, quorum: quorum)]
        if downAfter != defaultDownAfter { lines.append(.downAfter(name: name, downAfter)) }
        if failoverTimeout != defaultFailoverTimeout { lines.append(.failoverTimeout(name: name, failoverTimeout)) }
        if parallelSyncs != 1 { lines.append(.parallelSyncs(name: name, parallelSyncs)) }
        if let authPassword { lines.append(.authPassword(name: name, authPassword)) }
        if let authUser { lines.append(.authUser(name: name, authUser)) }
        if rebootDownAfter != 0 { lines.append(.rebootDownAfter(name: name, rebootDownAfter)) }
        if writeQuorum != 0 { lines.append(.writeQuorum(name: name, writeQuorum)) }
        for (from, to) in renamedCommands.sorted(by: { $0.key < $1.key }) {
            lines.append(.renameCommand(name: name, from: from, to: to))
        }
        if let notificationScript { lines.append(.notificationScript(name: name, notificationScript)) }
        if let reconfigurationScript { lines.append(.reconfigurationScript(name: name, reconfigurationScript)) }
        lines.append(.configEpoch(name: name, configEpoch))
        lines.append(.leaderEpoch(name: name, leaderEpoch))
        lines += replicas.map { .knownReplica(name: name, $0) }
        lines += sentinels.map { .knownSentinel(name: name, $0.endpoint, runID: $0.runID) }
        return lines
    }
}
