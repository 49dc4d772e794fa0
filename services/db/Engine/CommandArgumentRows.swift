// What COMMAND DOCS tells of the arguments of each command.
//
// A row is the command's name and its arguments: `name=type`, then `#` and the key spec that an argument of type key belongs to, `@` and
// its token, `?` optional, `*` may be repeated, `+` with its token, `^` the version since which it is there, `!` since which it is
// deprecated, and in braces the arguments of a block or the alternatives of a oneof.
//
// - Spec: Redis command reference 7.2: COMMAND DOCS, command arguments.

let commandArgumentRows = """
    append key=key#0 value=string
    auth username=string?^6.0.0 password=string
    bgsave schedule=pure-token@SCHEDULE?^3.2.2
    blmove source=key#0 destination=key#1 wherefrom=oneof{left=pure-token@LEFT right=pure-token@RIGHT} \
    whereto=oneof{left=pure-token@LEFT right=pure-token@RIGHT} timeout=double
    blmpop timeout=double numkeys=integer key=key#0* where=oneof{left=pure-token@LEFT right=pure-token@RIGHT} \
    count=integer@COUNT?
    blpop key=key#0* timeout=double
    brpop key=key#0* timeout=double
    brpoplpush source=key#0 destination=key#1 timeout=double
    bzmpop timeout=double numkeys=integer key=key#0* where=oneof{min=pure-token@MIN max=pure-token@MAX} \
    count=integer@COUNT?
    bzpopmax key=key#0* timeout=double
    bzpopmin key=key#0* timeout=double
    client|kill filter=oneof{ip:port=string!2.8.12 new-format=oneof*{client-id=integer@ID?^2.8.12 \
    normal_master_slave_pubsub=oneof@TYPE?^2.8.12{normal=pure-token@NORMAL master=pure-token@MASTER^3.2.0 \
    slave=pure-token@SLAVE replica=pure-token@REPLICA^5.0.0 pubsub=pure-token@PUBSUB} username=string@USER? \
    ip:port=string@ADDR? ip:port=string@LADDR?^6.2.0 yes/no=string@SKIPME?}}
    client|list normal_master_replica_pubsub=oneof@TYPE?^5.0.0{normal=pure-token@NORMAL \
    master=pure-token@MASTER replica=pure-token@REPLICA pubsub=pure-token@PUBSUB} \
    id=block@ID?^6.2.0{client-id=integer*}
    client|no-evict enabled=oneof{on=pure-token@ON off=pure-token@OFF}
    client|no-touch enabled=oneof{on=pure-token@ON off=pure-token@OFF}
    client|pause timeout=integer mode=oneof?^6.2.0{write=pure-token@WRITE all=pure-token@ALL}
    client|reply on_off_skip=oneof{on=pure-token@ON off=pure-token@OFF skip=pure-token@SKIP}
    client|setinfo attr=oneof{libname=string@LIB-NAME libver=string@LIB-VER}
    client|setname connection-name=string
    client|unblock client-id=integer timeout_error=oneof?{timeout=pure-token@TIMEOUT error=pure-token@ERROR}
    command|docs command-name=string?*
    command|info command-name=string?*
    command|list filterby=oneof@FILTERBY?{module-name=string@MODULE category=string@ACLCAT \
    pattern=pattern@PATTERN}
    config|get parameter=block*{parameter=string}
    config|set parameter_value=block*{parameter=string value=string}
    copy source=key#0 destination=key#1 destination-db=integer@DB? replace=pure-token@REPLACE?
    decr key=key#0
    decrby key=key#0 decrement=integer
    del key=key#0*
    dump key=key#0
    echo message=string
    exists key=key#0*
    expire key=key#0 seconds=integer condition=oneof?^7.0.0{nx=pure-token@NX xx=pure-token@XX gt=pure-token@GT \
    lt=pure-token@LT}
    expireat key=key#0 unix-time-seconds=unix-time condition=oneof?^7.0.0{nx=pure-token@NX xx=pure-token@XX \
    gt=pure-token@GT lt=pure-token@LT}
    expiretime key=key#0
    failover target=block@TO?{host=string port=integer force=pure-token@FORCE?} abort=pure-token@ABORT? \
    milliseconds=integer@TIMEOUT?
    flushall async=oneof?{async=pure-token@ASYNC^4.0.0 sync=pure-token@SYNC^6.2.0}
    flushdb async=oneof?{async=pure-token@ASYNC^4.0.0 sync=pure-token@SYNC^6.2.0}
    get key=key#0
    getdel key=key#0
    getex key=key#0 expiration=oneof?{seconds=integer@EX milliseconds=integer@PX \
    unix-time-seconds=unix-time@EXAT unix-time-milliseconds=unix-time@PXAT persist=pure-token@PERSIST}
    getrange key=key#0 start=integer end=integer
    getset key=key#0 value=string
    hdel key=key#0 field=string*
    hello arguments=block?{protover=integer username_password=block@AUTH?{username=string password=string} \
    clientname=string@SETNAME?}
    hexists key=key#0 field=string
    hget key=key#0 field=string
    hgetall key=key#0
    hincrby key=key#0 field=string increment=integer
    hincrbyfloat key=key#0 field=string increment=double
    hkeys key=key#0
    hlen key=key#0
    hmget key=key#0 field=string*
    hmset key=key#0 field_value=block*{field=string value=string}
    hrandfield key=key#0 options=block?{count=integer withvalues=pure-token@WITHVALUES?}
    hscan key=key#0 cursor=integer pattern=pattern@MATCH? count=integer@COUNT?
    hset key=key#0 field_value=block*{field=string value=string}
    hsetnx key=key#0 field=string value=string
    hstrlen key=key#0 field=string
    hvals key=key#0
    incr key=key#0
    incrby key=key#0 increment=integer
    incrbyfloat key=key#0 increment=double
    info section=string?*
    keys pattern=pattern
    latency|graph event=string
    latency|histogram command=string?*
    latency|history event=string
    latency|reset event=string?*
    lcs key1=key#0 key2=key#0 len=pure-token@LEN? idx=pure-token@IDX? len=integer@MINMATCHLEN? \
    withmatchlen=pure-token@WITHMATCHLEN?
    lindex key=key#0 index=integer
    linsert key=key#0 where=oneof{before=pure-token@BEFORE after=pure-token@AFTER} pivot=string element=string
    llen key=key#0
    lmove source=key#0 destination=key#1 wherefrom=oneof{left=pure-token@LEFT right=pure-token@RIGHT} \
    whereto=oneof{left=pure-token@LEFT right=pure-token@RIGHT}
    lmpop numkeys=integer key=key#0* where=oneof{left=pure-token@LEFT right=pure-token@RIGHT} \
    count=integer@COUNT?
    lolwut version=integer@VERSION?
    lpop key=key#0 count=integer?^6.2.0
    lpos key=key#0 element=string rank=integer@RANK? num-matches=integer@COUNT? len=integer@MAXLEN?
    lpush key=key#0 element=string*
    lpushx key=key#0 element=string*
    lrange key=key#0 start=integer stop=integer
    lrem key=key#0 count=integer element=string
    lset key=key#0 index=integer element=string
    ltrim key=key#0 start=integer stop=integer
    memory|usage key=key#0 count=integer@SAMPLES?
    mget key=key#0*
    move key=key#0 db=integer
    mset key_value=block*{key=key#0 value=string}
    msetnx key_value=block*{key=key#0 value=string}
    object|encoding key=key#0
    object|freq key=key#0
    object|idletime key=key#0
    object|refcount key=key#0
    persist key=key#0
    pexpire key=key#0 milliseconds=integer condition=oneof?^7.0.0{nx=pure-token@NX xx=pure-token@XX \
    gt=pure-token@GT lt=pure-token@LT}
    pexpireat key=key#0 unix-time-milliseconds=unix-time condition=oneof?^7.0.0{nx=pure-token@NX \
    xx=pure-token@XX gt=pure-token@GT lt=pure-token@LT}
    pexpiretime key=key#0
    ping message=string?
    psetex key=key#0 milliseconds=integer value=string
    psubscribe pattern=block*{pattern=pattern}
    psync replicationid=string offset=integer
    pttl key=key#0
    publish channel=string message=string
    pubsub|channels pattern=pattern?
    pubsub|numsub channel=string?*
    pubsub|shardchannels pattern=pattern?
    pubsub|shardnumsub shardchannel=string?*
    punsubscribe pattern=pattern?*
    rename key=key#0 newkey=key#1
    renamenx key=key#0 newkey=key#1
    replicaof args=oneof{host-port=block{host=string port=integer} no-one=block{no=pure-token@NO \
    one=pure-token@ONE}}
    restore key=key#0 ttl=integer serialized-value=string replace=pure-token@REPLACE?^3.0.0 \
    absttl=pure-token@ABSTTL?^5.0.0 seconds=integer@IDLETIME?^5.0.0 frequency=integer@FREQ?^5.0.0
    restore-asking key=key#0 ttl=integer serialized-value=string replace=pure-token@REPLACE?^3.0.0 \
    absttl=pure-token@ABSTTL?^5.0.0 seconds=integer@IDLETIME?^5.0.0 frequency=integer@FREQ?^5.0.0
    rpop key=key#0 count=integer?^6.2.0
    rpoplpush source=key#0 destination=key#1
    rpush key=key#0 element=string*
    rpushx key=key#0 element=string*
    sadd key=key#0 member=string*
    scan cursor=integer pattern=pattern@MATCH? count=integer@COUNT? type=string@TYPE?^6.0.0
    scard key=key#0
    sdiff key=key#0*
    sdiffstore destination=key#0 key=key#1*
    select index=integer
    set key=key#0 value=string condition=oneof?^2.6.12{nx=pure-token@NX xx=pure-token@XX} \
    get=pure-token@GET?^6.2.0 expiration=oneof?{seconds=integer@EX^2.6.12 milliseconds=integer@PX^2.6.12 \
    unix-time-seconds=unix-time@EXAT^6.2.0 unix-time-milliseconds=unix-time@PXAT^6.2.0 \
    keepttl=pure-token@KEEPTTL^6.0.0}
    setex key=key#0 seconds=integer value=string
    setnx key=key#0 value=string
    setrange key=key#0 offset=integer value=string
    shutdown nosave_save=oneof?{nosave=pure-token@NOSAVE save=pure-token@SAVE} now=pure-token@NOW?^7.0.0 \
    force=pure-token@FORCE?^7.0.0 abort=pure-token@ABORT?^7.0.0
    sinter key=key#0*
    sintercard numkeys=integer key=key#0* limit=integer@LIMIT?
    sinterstore destination=key#0 key=key#1*
    sismember key=key#0 member=string
    slaveof args=oneof{host-port=block{host=string port=integer} no-one=block{no=pure-token@NO \
    one=pure-token@ONE}}
    slowlog|get count=integer?
    smembers key=key#0
    smismember key=key#0 member=string*
    smove source=key#0 destination=key#1 member=string
    sort key=key#0 pattern=pattern#1@BY? offset_count=block@LIMIT?{offset=integer count=integer} \
    pattern=pattern#1@GET?*+ order=oneof?{asc=pure-token@ASC desc=pure-token@DESC} sorting=pure-token@ALPHA? \
    destination=key#2@STORE?
    sort_ro key=key#0 pattern=pattern#1@BY? offset_count=block@LIMIT?{offset=integer count=integer} \
    pattern=pattern#1@GET?*+ order=oneof?{asc=pure-token@ASC desc=pure-token@DESC} sorting=pure-token@ALPHA?
    spop key=key#0 count=integer?^3.2.0
    spublish shardchannel=string message=string
    srandmember key=key#0 count=integer?^2.6.0
    srem key=key#0 member=string*
    sscan key=key#0 cursor=integer pattern=pattern@MATCH? count=integer@COUNT?
    ssubscribe shardchannel=string*
    strlen key=key#0
    subscribe channel=string*
    substr key=key#0 start=integer end=integer
    sunion key=key#0*
    sunionstore destination=key#0 key=key#1*
    sunsubscribe shardchannel=string?*
    swapdb index1=integer index2=integer
    touch key=key#0*
    ttl key=key#0
    type key=key#0
    unlink key=key#0*
    unsubscribe channel=string?*
    wait numreplicas=integer timeout=integer
    waitaof numlocal=integer numreplicas=integer timeout=integer
    watch key=key#0*
    zadd key=key#0 condition=oneof?^3.0.2{nx=pure-token@NX xx=pure-token@XX} \
    comparison=oneof?^6.2.0{gt=pure-token@GT lt=pure-token@LT} change=pure-token@CH?^3.0.2 \
    increment=pure-token@INCR?^3.0.2 score_member=block*{score=double member=string}
    zcard key=key#0
    zcount key=key#0 min=double max=double
    zdiff numkeys=integer key=key#0* withscores=pure-token@WITHSCORES?
    zdiffstore destination=key#0 numkeys=integer key=key#1*
    zincrby key=key#0 increment=integer member=string
    zinter numkeys=integer key=key#0* weight=integer@WEIGHTS?* aggregate=oneof@AGGREGATE?{sum=pure-token@SUM \
    min=pure-token@MIN max=pure-token@MAX} withscores=pure-token@WITHSCORES?
    zintercard numkeys=integer key=key#0* limit=integer@LIMIT?
    zinterstore destination=key#0 numkeys=integer key=key#1* weight=integer@WEIGHTS?* \
    aggregate=oneof@AGGREGATE?{sum=pure-token@SUM min=pure-token@MIN max=pure-token@MAX}
    zlexcount key=key#0 min=string max=string
    zmpop numkeys=integer key=key#0* where=oneof{min=pure-token@MIN max=pure-token@MAX} count=integer@COUNT?
    zmscore key=key#0 member=string*
    zpopmax key=key#0 count=integer?
    zpopmin key=key#0 count=integer?
    zrandmember key=key#0 options=block?{count=integer withscores=pure-token@WITHSCORES?}
    zrange key=key#0 start=string stop=string sortby=oneof?^6.2.0{byscore=pure-token@BYSCORE \
    bylex=pure-token@BYLEX} rev=pure-token@REV?^6.2.0 offset_count=block@LIMIT?^6.2.0{offset=integer \
    count=integer} withscores=pure-token@WITHSCORES?
    zrangebylex key=key#0 min=string max=string offset_count=block@LIMIT?{offset=integer count=integer}
    zrangebyscore key=key#0 min=double max=double withscores=pure-token@WITHSCORES?^2.0.0 \
    offset_count=block@LIMIT?{offset=integer count=integer}
    zrangestore dst=key#0 src=key#1 min=string max=string sortby=oneof?{byscore=pure-token@BYSCORE \
    bylex=pure-token@BYLEX} rev=pure-token@REV? offset_count=block@LIMIT?{offset=integer count=integer}
    zrank key=key#0 member=string
    zrem key=key#0 member=string*
    zremrangebylex key=key#0 min=string max=string
    zremrangebyrank key=key#0 start=integer stop=integer
    zremrangebyscore key=key#0 min=double max=double
    zrevrange key=key#0 start=integer stop=integer withscores=pure-token@WITHSCORES?
    zrevrangebylex key=key#0 max=string min=string offset_count=block@LIMIT?{offset=integer count=integer}
    zrevrangebyscore key=key#0 max=double min=double withscores=pure-token@WITHSCORES? \
    offset_count=block@LIMIT?{offset=integer count=integer}
    zrevrank key=key#0 member=string
    zscan key=key#0 cursor=integer pattern=pattern@MATCH? count=integer@COUNT?
    zscore key=key#0 member=string
    zunion numkeys=integer key=key#0* weight=integer@WEIGHTS?* aggregate=oneof@AGGREGATE?{sum=pure-token@SUM \
    min=pure-token@MIN max=pure-token@MAX} withscores=pure-token@WITHSCORES?
    zunionstore destination=key#0 numkeys=integer key=key#1* weight=integer@WEIGHTS?* \
    aggregate=oneof@AGGREGATE?{sum=pure-token@SUM min=pure-token@MIN max=pure-token@MAX}
    """

/// An argument of a command, as COMMAND DOCS shows it.
public struct CommandArgument: Sendable, Equatable {
    public internal(set) var name = ""
    public internal(set) var type = ""
    public internal(set) var keySpec: Int?
    public internal(set) var token: String?
    /// `optional`, `multiple`, `multiple_token`.
    public internal(set) var flags: [String] = []
    public internal(set) var since: String?
    public internal(set) var deprecatedSince: String?
    public internal(set) var arguments: [CommandArgument] = []
}

extension CommandTable {
    /// The arguments of a command or subcommand, named as in `config|set`; empty when it takes none. Reads the table each time: only
    /// people ask for it.
    public static func arguments(of name: String) -> [CommandArgument] {
        for row in commandArgumentRows.split(separator: "\n") {
            guard let space = row.firstIndex(of: " "), row[..<space] == name else { continue }
            var rest = row[row.index(after: space)...]
            return CommandArgument.list(&rest)
        }
        return []
    }
}

extension CommandArgument {
    /// Reads arguments up to the end or a closing brace.
    fileprivate static func list(_ text: inout Substring) -> [CommandArgument] {
        var result: [CommandArgument] = []
        while let first = text.first, first != "}" {
            if first == " " {
                text.removeFirst()
            } else {
                result.append(CommandArgument(&text))
            }
        }
        return result
    }

    private init(_ text: inout Substring) {
        name = CommandArgument.word(&text)
        while let mark = text.first, mark != " ", mark != "}" {
            text.removeFirst()
            switch mark {
            case "=": type = CommandArgument.word(&text)
            case "#": keySpec = Int(CommandArgument.word(&text))
            case "@": token = CommandArgument.word(&text)
            case "^": since = CommandArgument.word(&text)
            case "!": deprecatedSince = CommandArgument.word(&text)
            case "?": flags.append("optional")
            case "*": flags.append("multiple")
            case "+": flags.append("multiple_token")
            case "{":
                arguments = CommandArgument.list(&text)
                text = text.dropFirst()
            default: preconditionFailure("a damaged row in the table of arguments")
            }
        }
    }

    /// Takes what stands before the next mark.
    private static func word(_ text: inout Substring) -> String {
        let end = text.firstIndex { "=#@?*+^!{} ".contains($0) } ?? text.endIndex
        defer { text = text[end...] }
        return String(text[..<end])
    }
}
