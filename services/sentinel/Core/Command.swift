/// A command that the sentinel sends to a db or to another sentinel.
public enum Command: Equatable, Sendable {
    case auth(user: String?, password: String)
    case clientSetName(String)
    case ping
    case info
    case subscribeHello
    case subscribeHandover
    case publishHello(String)
    case isMasterDown(Endpoint, epoch: Epoch, candidate: String?)
    case multi
    case exec
    /// `nil` makes the db a primary.
    case replicaOf(Endpoint?)
    case configRewrite
    case clientKill(type: String)
    case scriptKill
    /// Lets writes wait, so that the replicas can catch up before a planned handover.
    case pauseWrites(Milliseconds)
    case unpause
    /// Makes a replica of ours stop following its primary under an epoch, without becoming a primary itself. Its reply
    /// is the offset up to which it has the stream. Only for a db that says `dssm_version` in INFO.
    case fence(Epoch)

    /// The words on the wire, before `rename-command` is applied to the first.
    public var arguments: [String] {
        switch self {
        case .auth(let user, let password):
            if let user { ["AUTH", user, password] } else { ["AUTH", password] }
        case .clientSetName(let name): ["CLIENT", "SETNAME", name]
        case .ping: ["PING"]
        case .info: ["INFO"]
        case .subscribeHello: ["SUBSCRIBE", helloChannel]
        case .subscribeHandover: ["SUBSCRIBE", handoverChannel]
        case .publishHello(let text): ["PUBLISH", helloChannel, text]
        case .isMasterDown(let endpoint, let epoch, let candidate):
            [
                "SENTINEL", "is-master-down-by-addr", endpoint.host, String(endpoint.port), String(epoch),
                candidate ?? "*",
            ]
        case .multi: ["MULTI"]
        case .exec: ["EXEC"]
        case .replicaOf(let endpoint):
            // The old spelling: a `rename-command` of a settings file written for stock Redis names it.
            if let endpoint { ["SLAVEOF", endpoint.host, String(endpoint.port)] } else { ["SLAVEOF", "NO", "ONE"] }
        case .configRewrite: ["CONFIG", "REWRITE"]
        case .clientKill(let type): ["CLIENT", "KILL", "TYPE", type]
        case .scriptKill: ["SCRIPT", "KILL"]
        case .pauseWrites(let duration): ["CLIENT", "PAUSE", String(duration), "WRITE"]
        case .unpause: ["CLIENT", "UNPAUSE"]
        case .fence(let epoch): ["DSSM", "FENCE", String(epoch)]
        }
    }

    /// Whether the words must not appear in a log.
    public var isSecret: Bool {
        if case .auth = self { true } else { false }
    }
}
