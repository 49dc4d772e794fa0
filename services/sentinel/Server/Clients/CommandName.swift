import ByteStorage

/// A command's name in lower case, packed into two words: a look-up costs no allocation.
struct CommandName: Hashable, ExpressibleByStringLiteral {
    let first: UInt64
    let second: UInt64

    /// nil if the name is longer than 16 bytes: no command has such a name.
    init?(_ view: ByteView) {
        guard view.count <= 16 else { return nil }
        var words: (UInt64, UInt64) = (0, 0)
        for index in 0..<view.count {
            let byte = UInt64(asciiLowercased(view[index]))
            if index < 8 { words.0 |= byte << UInt64(index * 8) } else { words.1 |= byte << UInt64((index - 8) * 8) }
        }
        first = words.0
        second = words.1
    }

    init(stringLiteral value: StaticString) {
        let name = CommandName(ByteView(value))
        first = name?.first ?? 0
        second = name?.second ?? 0
    }
}

/// The commands that a sentinel answers itself.
enum OwnCommand: String, CaseIterable {
    case ping, info, role, hello, auth, client, acl, command, subscribe, unsubscribe, psubscribe, punsubscribe
    case publish, sentinel, shutdown, quit, reset

    static let byName: [CommandName: OwnCommand] = {
        var result: [CommandName: OwnCommand] = [:]
        for command in allCases {
            let name = Array(command.rawValue.utf8).withView { CommandName($0) }
            if let name { result[name] = command }
        }
        return result
    }()

    /// Number of words: exactly, or if negative at least so many.
    var arity: Int {
        switch self {
        case .role, .quit, .reset: self == .quit ? -1 : 1
        case .ping, .info, .hello, .command, .shutdown, .unsubscribe, .punsubscribe: -1
        case .publish: 3
        default: -2
        }
    }

    func accepts(_ count: Int) -> Bool { arity >= 0 ? count == arity : count >= -arity }

    /// A client with subscriptions that speaks RESP2 may send nothing else.
    var isAllowedWhileSubscribed: Bool {
        switch self {
        case .ping, .subscribe, .unsubscribe, .psubscribe, .punsubscribe, .quit, .reset: true
        default: false
        }
    }
}

/// What is special about passing a command on to the primary.
enum ForwardKind {
    /// May be repeated without harm.
    case read
    case write
    /// Keeps the link until it has an answer.
    case blocking
    case blockingWithOption
    /// Blocking, and about what the connection has written.
    case replicasWait
    case select, multi, exec, discard, watch, unwatch
    /// Makes a stream out of the link, which does not fit between client and sentinel.
    case refused

    private static let names: [(ForwardKind, [StaticString])] = [
        (
            .read,
            [
                "get", "mget", "strlen", "getrange", "substr", "getbit", "bitcount", "bitpos", "bitfield_ro", "exists",
                "type", "ttl", "pttl", "expiretime", "pexpiretime", "keys", "scan", "randomkey", "dbsize", "object",
                "hget", "hmget", "hgetall", "hkeys", "hvals", "hlen", "hexists", "hstrlen", "hscan", "hrandfield",
                "lrange", "llen", "lindex", "lpos", "smembers", "sismember", "smismember", "scard", "srandmember",
                "sscan", "sinter", "sunion", "sdiff", "sintercard", "zrange", "zrangebyscore", "zrangebylex",
                "zrevrange", "zrevrangebyscore", "zrevrangebylex", "zrank", "zrevrank", "zscore", "zmscore", "zcard",
                "zcount", "zlexcount", "zscan", "zrandmember", "zinter", "zunion", "zdiff", "zintercard", "xrange",
                "xrevrange", "xlen", "xinfo", "xpending", "pfcount", "geopos", "geodist", "geohash", "geosearch",
                "georadius_ro", "lcs", "dump", "memory", "time", "echo", "lolwut", "touch", "eval_ro", "evalsha_ro",
                "fcall_ro", "sort_ro",
            ]
        ),
        (
            .blocking,
            [
                "blpop", "brpop", "blmove", "brpoplpush", "blmpop", "bzpopmin", "bzpopmax", "bzmpop",
            ]
        ),
        (.replicasWait, ["wait", "waitaof"]),
        (.blockingWithOption, ["xread", "xreadgroup"]),
        (.select, ["select"]), (.multi, ["multi"]), (.exec, ["exec"]), (.discard, ["discard"]),
        (.watch, ["watch"]), (.unwatch, ["unwatch"]),
        (
            .refused,
            ["monitor", "sync", "psync", "replconf", "ssubscribe", "sunsubscribe", "asking", "readonly", "readwrite"]
        ),
    ]

    static let byName: [CommandName: ForwardKind] = {
        var result: [CommandName: ForwardKind] = [:]
        for (kind, list) in names {
            for name in list { result[CommandName(stringLiteral: name)] = kind }
        }
        return result
    }()
}
