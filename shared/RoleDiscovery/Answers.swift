// What sentinels and dbs say when a process that has just started asks them who is primary.
import RESP
import RESPClient

/// What a sentinel says about the primary.
public enum SentinelAnswer: Equatable, Sendable {
    case unreachable
    /// It works and names none: it has no memory either, or was told nothing yet.
    case namesNone
    case names(PeerAddress, configEpoch: UInt64)

    /// The question.
    public static func question(_ name: String) -> [String] { ["SENTINEL", "MASTER", name] }

    /// - Parameter reply: nil if it did not come.
    public init(_ reply: ReplyValue?) {
        guard let reply else {
            self = .unreachable
            return
        }
        if case .error(let text) = reply, text.hasPrefix("ERR No such master") {
            self = .namesNone
            return
        }
        let words: [String?]
        switch reply {
        case .map(let pairs): words = pairs.flatMap { [$0.key.text, $0.value.text] }
        default: words = (reply.elements ?? []).map(\.text)
        }
        var fields: [String: String] = [:]
        var index = 0
        while index + 1 < words.count {
            if let name = words[index], let value = words[index + 1] { fields[name] = value }
            index += 2
        }
        guard let host = fields["ip"], !host.isEmpty, let port = fields["port"].flatMap(Int.init),
            (1...65535).contains(port)
        else {
            self = .unreachable
            return
        }
        self = .names(PeerAddress(host, port), configEpoch: fields["config-epoch"].flatMap(UInt64.init) ?? 0)
    }
}

/// What a db remembers of its role in an earlier life.
public enum RoleRecord: Equatable, Sendable {
    /// Unix milliseconds at which it became the primary.
    case primary(since: Int64)
    /// How far it had followed.
    case replica(offset: Int64)

    public var text: String {
        switch self {
        case .primary(let since): "primary,\(since)"
        case .replica(let offset): "replica,\(offset)"
        }
    }

    public init?(_ text: String) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
        guard parts.count == 2, let number = Int64(parts[1]), number >= 0 else { return nil }
        switch parts[0] {
        case "primary": self = .primary(since: number)
        case "replica": self = .replica(offset: number)
        default: return nil
        }
    }
}

/// What a db says about itself.
public struct DatabaseAnswer: Equatable, Sendable {
    public enum Role: Equatable, Sendable {
        /// It reads its data, and does not know its role.
        case loading
        /// It asks as we do.
        case undecided
        case primary
        case replica
    }

    public var role: Role
    public var hasData: Bool
    public var record: RoleRecord?
    /// Whom it supports as the primary while no sentinel remembers one; a replica supports the one that it follows.
    public var vote: PeerAddress?

    public init(_ role: Role, hasData: Bool, record: RoleRecord? = nil, vote: PeerAddress? = nil) {
        self.role = role
        self.hasData = hasData
        self.record = record
        self.vote = vote
    }

    public static let question = ["INFO", "replication", "keyspace", "persistence"]

    /// Nil if the reply did not come or is none of a db.
    ///
    /// - Spec: Redis command reference: INFO. `dssm_role`, `dssm_role_record` and `dssm_role_vote` are our own; stock Redis has none of
    ///   them, and a role that is decided.
    public init?(_ reply: ReplyValue?) {
        guard let text = reply?.text else { return nil }
        var fields: [Substring: Substring] = [:]
        var hasData = false
        for line in text.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let name = line[..<colon]
            let value = line[line.index(after: colon)...]
            fields[name] = value
            if name.hasPrefix("db"), value.hasPrefix("keys="), !value.hasPrefix("keys=0,") { hasData = true }
        }
        guard let role = fields["role"] else { return nil }
        let ownWord = fields["dssm_role"]
        self.hasData = hasData
        record = fields["dssm_role_record"].flatMap { RoleRecord(String($0)) }
        if ownWord == "loading" || fields["loading"] == "1" {
            self.role = .loading
        } else if ownWord == "undecided" {
            self.role = .undecided
            vote = fields["dssm_role_vote"].flatMap { PeerAddress($0) }
        } else if role == "master" {
            self.role = .primary
        } else {
            self.role = .replica
            if let host = fields["master_host"], let port = fields["master_port"] {
                vote = PeerAddress("\(host):\(port)")
            }
        }
    }
}
