// The lines of the settings file that begin with `sentinel`, as typed values.
//
// The file is both input and memory: the sentinel rewrites it whenever its state changes, so a directive must survive
// parse and render unchanged. Stock Redis Sentinel reads what is written here and the other way round; the only word of
// our own, `write-quorum`, is written only when it is set.

/// One `sentinel ...` line.
///
/// - Spec: Redis Sentinel documentation, "Configuring Sentinel", and the comments of the stock sentinel.conf.
public enum SentinelDirective: Equatable, Sendable {
    case myID(String)
    case currentEpoch(Epoch)
    case announceHost(String)
    case announcePort(Int)
    case resolveHostnames(Bool)
    case announceHostnames(Bool)
    case denyScriptsReconfiguration(Bool)
    case sentinelUser(String)
    case sentinelPassword(String)
    case monitor(name: String, Endpoint, quorum: Int)
    case downAfter(name: String, Milliseconds)
    case failoverTimeout(name: String, Milliseconds)
    case parallelSyncs(name: String, Int)
    case authPassword(name: String, String)
    case authUser(name: String, String)
    case rebootDownAfter(name: String, Milliseconds)
    case writeQuorum(name: String, Int)
    case renameCommand(name: String, from: String, to: String)
    case notificationScript(name: String, String)
    case reconfigurationScript(name: String, String)
    case configEpoch(name: String, Epoch)
    case leaderEpoch(name: String, Epoch)
    case knownReplica(name: String, Endpoint)
    case knownSentinel(name: String, Endpoint, runID: String?)

    /// The primary that the directive is about; nil for those that hold for the whole process.
    public var primaryName: String? {
        switch self {
        case .myID, .currentEpoch, .announceHost, .announcePort, .resolveHostnames, .announceHostnames,
            .denyScriptsReconfiguration, .sentinelUser, .sentinelPassword:
            nil
        case .monitor(let name, _, _), .downAfter(let name, _), .failoverTimeout(let name, _),
            .parallelSyncs(let name, _), .authPassword(let name, _), .authUser(let name, _),
            .rebootDownAfter(let name, _), .writeQuorum(let name, _), .renameCommand(let name, _, _),
            .configEpoch(let name, _), .leaderEpoch(let name, _), .knownReplica(let name, _),
            .knownSentinel(let name, _, _), .notificationScript(let name, _), .reconfigurationScript(let name, _):
            name
        }
    }

    /// The words of the line, `sentinel` first.
    public var words: [String] {
        ["sentinel"]
            + {
                switch self {
                case .myID(let id): ["myid", id]
                case .currentEpoch(let epoch): ["current-epoch", String(epoch)]
                case .announceHost(let host): ["announce-ip", host]
                case .announcePort(let port): ["announce-port", String(port)]
                case .resolveHostnames(let on): ["resolve-hostnames", yesNo(on)]
                case .announceHostnames(let on): ["announce-hostnames", yesNo(on)]
                case .denyScriptsReconfiguration(let on): ["deny-scripts-reconfig", yesNo(on)]
                case .sentinelUser(let user): ["sentinel-user", user]
                case .sentinelPassword(let password): ["sentinel-pass", password]
                case .monitor(let name, let endpoint, let quorum):
                    ["monitor", name, endpoint.host, String(endpoint.port), String(quorum)]
                case .downAfter(let name, let value): ["down-after-milliseconds", name, String(value)]
                case .failoverTimeout(let name, let value): ["failover-timeout", name, String(value)]
                case .parallelSyncs(let name, let value): ["parallel-syncs", name, String(value)]
                case .authPassword(let name, let value): ["auth-pass", name, value]
                case .authUser(let name, let value): ["auth-user", name, value]
                case .rebootDownAfter(let name, let value): ["master-reboot-down-after-period", name, String(value)]
                case .writeQuorum(let name, let value): ["write-quorum", name, String(value)]
                case .renameCommand(let name, let from, let to): ["rename-command", name, from, to]
                case .notificationScript(let name, let path): ["notification-script", name, path]
                case .reconfigurationScript(let name, let path): ["client-reconfig-script", name, path]
                case .configEpoch(let name, let epoch): ["config-epoch", name, String(epoch)]
                case .leaderEpoch(let name, let epoch): ["leader-epoch", name, String(epoch)]
                case .knownReplica(let name, let endpoint):
                    ["known-replica", name, endpoint.host, String(endpoint.port)]
                case .knownSentinel(let name, let endpoint, let runID):
                    ["known-sentinel", name, endpoint.host, String(endpoint.port)] + (runID.map { [$0] } ?? [])
                }
            }()
    }
}

/// What is wrong with a directive, in words that name it.
public struct SentinelDirectiveError: Error, Equatable, CustomStringConvertible {
    public var directive: String
    public var reason: String

    public init(_ directive: String, _ reason: String) {
        self.directive = directive
        self.reason = reason
    }

    public var description: String { "sentinel \(directive): \(reason)" }
}

func yesNo(_ value: Bool) -> String { value ? "yes" : "no" }

extension SentinelDirective {
    /// Reads the words of one line, with or without the leading `sentinel`.
    public static func parse(_ words: [String]) throws(SentinelDirectiveError) -> SentinelDirective {
        var words = words
        if words.first?.lowercased() == "sentinel" { words.removeFirst() }
        guard let first = words.first else { throw SentinelDirectiveError("", "the directive's name is missing") }
        let arguments = DirectiveArguments(name: first.lowercased(), values: Array(words.dropFirst()))
        if let global = try arguments.global() { return global }
        return try arguments.forPrimary()
    }
}

/// The words after a directive's name, with the checks that its parts need.
private struct DirectiveArguments {
    let name: String
    let values: [String]

    func fail(_ reason: String) -> SentinelDirectiveError { SentinelDirectiveError(name, reason) }

    func need(_ count: ClosedRange<Int>, _ shape: String) throws(SentinelDirectiveError) {
        guard count.contains(values.count) else { throw fail("expected \(shape), got \(values.count) argument(s)") }
    }

    func number(_ index: Int, _ range: ClosedRange<Int64>) throws(SentinelDirectiveError) -> Int64 {
        guard let value = Int64(values[index]), range.contains(value) else {
            throw fail("'\(values[index])' is not a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    func epoch(_ index: Int) throws(SentinelDirectiveError) -> Epoch {
        guard let value = Epoch(values[index]), value <= UInt64(Int64.max) else {
            throw fail("'\(values[index])' is not an epoch")
        }
        return value
    }

    func flag() throws(SentinelDirectiveError) -> Bool {
        try need(1...1, "yes or no")
        switch values[0].lowercased() {
        case "yes": return true
        case "no": return false
        default: throw fail("'\(values[0])' is neither yes nor no")
        }
    }

    func endpoint(_ index: Int) throws(SentinelDirectiveError) -> Endpoint {
        guard isPlausibleHost(values[index]) else { throw fail("'\(values[index])' is not a host name or address") }
        return Endpoint(values[index], Int(try number(index + 1, 1...65535)))
    }

    func global() throws(SentinelDirectiveError) -> SentinelDirective? {
        switch name {
        case "myid":
            try need(1...1, "a run id")
            guard isRunID(values[0]) else { throw fail("'\(values[0])' is not a run id of 40 hexadecimal digits") }
            return .myID(values[0])
        case "current-epoch":
            try need(1...1, "an epoch")
            return .currentEpoch(try epoch(0))
        case "announce-ip":
            try need(1...1, "a host")
            guard values[0].isEmpty || isPlausibleHost(values[0]) else { throw fail("'\(values[0])' is not a host") }
            return .announceHost(values[0])
        case "announce-port":
            try need(1...1, "a port")
            return .announcePort(Int(try number(0, 0...65535)))
        case "resolve-hostnames": return .resolveHostnames(try flag())
        case "announce-hostnames": return .announceHostnames(try flag())
        case "deny-scripts-reconfig": return .denyScriptsReconfiguration(try flag())
        case "sentinel-user":
            try need(1...1, "a user name")
            return .sentinelUser(values[0])
        case "sentinel-pass":
            try need(1...1, "a password")
            return .sentinelPassword(values[0])
        default: return nil
        }
    }

    func forPrimary() throws(SentinelDirectiveError) -> SentinelDirective {
        switch name {
        case "monitor":
            try need(4...4, "<name> <host> <port> <quorum>")
            guard isValidPrimaryName(values[0]) else {
                throw fail("'\(values[0])' is not a name of letters, digits and . - _")
            }
            return .monitor(name: values[0], try endpoint(1), quorum: Int(try number(3, 1...1000)))
        case "down-after-milliseconds":
            try need(2...2, "<name> <milliseconds>")
            return .downAfter(name: values[0], try number(1, 1...maximumPeriod))
        case "failover-timeout":
            try need(2...2, "<name> <milliseconds>")
            return .failoverTimeout(name: values[0], try number(1, 1...maximumPeriod))
        case "parallel-syncs":
            try need(2...2, "<name> <count>")
            return .parallelSyncs(name: values[0], Int(try number(1, 1...1000)))
        case "auth-pass":
            try need(2...2, "<name> <password>")
            return .authPassword(name: values[0], values[1])
        case "auth-user":
            try need(2...2, "<name> <user>")
            return .authUser(name: values[0], values[1])
        case "master-reboot-down-after-period":
            try need(2...2, "<name> <milliseconds>")
            return .rebootDownAfter(name: values[0], try number(1, 0...maximumPeriod))
        case "write-quorum":
            try need(2...2, "<name> <replicas>")
            return .writeQuorum(name: values[0], Int(try number(1, 0...1000)))
        case "rename-command":
            try need(3...3, "<name> <command> <new name>")
            return .renameCommand(name: values[0], from: values[1].uppercased(), to: values[2])
        case "config-epoch":
            try need(2...2, "<name> <epoch>")
            return .configEpoch(name: values[0], try epoch(1))
        case "leader-epoch":
            try need(2...2, "<name> <epoch>")
            return .leaderEpoch(name: values[0], try epoch(1))
        case "known-replica", "known-slave":
            try need(3...3, "<name> <host> <port>")
            return .knownReplica(name: values[0], try endpoint(1))
        case "known-sentinel":
            try need(3...4, "<name> <host> <port> [run id]")
            if values.count == 4, !isRunID(values[3]) { throw fail("'\(values[3])' is not a run id") }
            return .knownSentinel(name: values[0], try endpoint(1), runID: values.count == 4 ? values[3] : nil)
        case "notification-script":
            try need(2...2, "<name> <path>")
            return .notificationScript(name: values[0], values[1])
        case "client-reconfig-script":
            try need(2...2, "<name> <path>")
            return .reconfigurationScript(name: values[0], values[1])
        default:
            throw fail("unknown directive")
        }
    }
}

/// A hundred days: longer periods are mistakes, and sums of them must not overflow.
let maximumPeriod: Int64 = 8_640_000_000

func isValidPrimaryName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 256
        && name.utf8.allSatisfy { byte in
            (byte >= 48 && byte <= 57) || (byte | 0x20 >= 97 && byte | 0x20 <= 122) || byte == 45 || byte == 46
                || byte == 95
        }
}
