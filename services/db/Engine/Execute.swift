// Dispatch: one switch from a command's number to its function, which the compiler turns into a jump table.
import ByteStorage
import RESP

extension Engine {
    /// Executes a data command and propagates its effect.
    ///
    /// - Parameters:
    ///   - raw: the request as it came, to be propagated word for word; nil when it came inline or out of a queue.
    /// - Returns: false when the command is none of the engine's: then nothing has happened.
    @inline(__always)
    public func execute(_ shape: CommandShape, _ c: Invocation, raw: ByteView?) -> Bool {
        if shape.has(.write) && state.pointee.stream.isEnabled { return executeWrite(shape, c, raw) }
        return dispatch(shape.id, c)
    }

    @inline(never) private func executeWrite(_ shape: CommandShape, _ c: Invocation, _ raw: ByteView?) -> Bool {
        let dirty = state.pointee.dirty
        state.pointee.propagation = .verbatim
        guard dispatch(shape.id, c) else { return false }
        if state.pointee.dirty != dirty, case .verbatim = state.pointee.propagation {
            if let raw {
                state.pointee.stream.append(verbatim: raw, database: c.database)
            } else {
                state.pointee.stream.append(database: c.database, arguments: c.arguments, count: c.count)
            }
        }
        return true
    }

    @inline(__always) private func dispatch(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .get: get(c)
        case .set: set(c)
        default: return dispatchMore(id, c)
        }
        return true
    }

    @inline(never) private func dispatchMore(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        // Strings
        case .append: append(c)
        case .decr: increment(c, by: -1)
        case .decrby: decrementBy(c)
        case .getdel: getdel(c)
        case .getex: getex(c)
        case .getrange, .substr: getrange(c)
        case .getset: getset(c)
        case .incr: increment(c, by: 1)
        case .incrby: if let amount = c.integer(2) { increment(c, by: amount) }
        case .incrbyfloat: incrementByFloat(c)
        case .lcs: lcs(c)
        case .mget: mget(c)
        case .mset: mset(c, onlyIfNone: false)
        case .msetnx: mset(c, onlyIfNone: true)
        case .psetex: setex(c, unit: .milliseconds, name: "psetex")
        case .setex: setex(c, unit: .seconds, name: "setex")
        case .setnx: setnx(c)
        case .setrange: setrange(c)
        case .strlen: strlen(c)
        // Lists
        case .lindex: lindex(c)
        case .linsert: linsert(c)
        case .llen: llen(c)
        case .lmove: lmove(c)
        case .lmpop: lmpop(c)
        case .lpop: pop(c, .head, name: "lpop")
        case .lpos: lpos(c)
        case .lpush: push(c, .head, onlyIfThere: false)
        case .lpushx: push(c, .head, onlyIfThere: true)
        case .lrange: lrange(c)
        case .lrem: lrem(c)
        case .lset: lset(c)
        case .ltrim: ltrim(c)
        case .rpop: pop(c, .tail, name: "rpop")
        case .rpoplpush: rpoplpush(c)
        case .rpush: push(c, .tail, onlyIfThere: false)
        case .rpushx: push(c, .tail, onlyIfThere: true)
        case .sort: sort(c, mayStore: true)
        case .sortReadOnly: sort(c, mayStore: false)
        // Keys
        case .copy: copy(c)
        case .dbsize: c.reply.integer(keyCount(c.database))
        case .del, .unlink: delete(c)
        case .exists: exists(c)
        case .expire: expireCommand(c, unit: .seconds, name: "expire")
        case .expireat: expireCommand(c, unit: .atSeconds, name: "expireat")
        case .expiretime: timeToLive(c, unit: .atSeconds)
        case .flushall: flushCommand(c, all: true)
        case .flushdb: flushCommand(c, all: false)
        case .keys: keys(c)
        case .move: move(c)
        case .object: object(c)
        case .persist: persist(c)
        case .pexpire: expireCommand(c, unit: .milliseconds, name: "pexpire")
        case .pexpireat: expireCommand(c, unit: .atMilliseconds, name: "pexpireat")
        case .pexpiretime: timeToLive(c, unit: .atMilliseconds)
        case .pttl: timeToLive(c, unit: .milliseconds)
        case .randomkey: randomKey(c)
        case .rename: rename(c, onlyIfFree: false)
        case .renamenx: rename(c, onlyIfFree: true)
        case .scan: scan(c)
        case .swapdb: swapDatabases(c)
        case .touch: touchCommand(c)
        case .ttl: timeToLive(c, unit: .seconds)
        case .type: type(c)
        default: return dispatchCollections(id, c)
        }
        return true
    }

    private func dispatchCollections(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        // Hashes
        case .hdel: hdel(c)
        case .hexists: hexists(c)
        case .hget: hget(c)
        case .hgetall: hgetall(c)
        case .hincrby: hincrby(c)
        case .hincrbyfloat: hincrbyfloat(c)
        case .hkeys: hkeys(c)
        case .hlen: hlen(c)
        case .hmget: hmget(c)
        case .hmset: hset(c, repliesOK: true)
        case .hrandfield: hrandfield(c)
        case .hscan: hscan(c)
        case .hset: hset(c, repliesOK: false)
        case .hsetnx: hsetnx(c)
        case .hstrlen: hstrlen(c)
        case .hvals: hvals(c)
        // Sets
        case .sadd: sadd(c)
        case .scard: scard(c)
        case .sdiff: sdiff(c)
        case .sdiffstore: sdiffstore(c)
        case .sinter: sinter(c)
        case .sintercard: sintercard(c)
        case .sinterstore: sinterstore(c)
        case .sismember: sismember(c)
        case .smembers: smembers(c)
        case .smismember: smismember(c)
        case .smove: smove(c)
        case .spop: spop(c)
        case .srandmember: srandmember(c)
        case .srem: srem(c)
        case .sscan: sscan(c)
        case .sunion: sunion(c)
        case .sunionstore: sunionstore(c)
        default: return dispatchSortedSets(id, c)
        }
        return true
    }

    private func dispatchSortedSets(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .zadd: zadd(c)
        case .zcard: zcard(c)
        case .zcount: zcount(c, .score)
        case .zdiff: zcombine(c, .difference, "zdiff")
        case .zdiffstore: zcombineAndStore(c, .difference, "zdiffstore")
        case .zincrby: zincrby(c)
        case .zinter: zcombine(c, .intersection, "zinter")
        case .zintercard: zintercard(c)
        case .zinterstore: zcombineAndStore(c, .intersection, "zinterstore")
        case .zlexcount: zcount(c, .member)
        case .zmpop: zmpop(c)
        case .zmscore: zmscore(c)
        case .zpopmax: zpop(c, fromMaximum: true)
        case .zpopmin: zpop(c, fromMaximum: false)
        case .zrandmember: zrandmember(c)
        case .zrange: zrange(c)
        case .zrangebylex: zrange(c, fixed: (.member, reversed: false))
        case .zrangebyscore: zrange(c, fixed: (.score, reversed: false))
        case .zrangestore: zrangestore(c)
        case .zrank: zrank(c, reversed: false)
        case .zrem: zrem(c)
        case .zremrangebylex: zremrange(c, .member, "zremrangebylex")
        case .zremrangebyrank: zremrange(c, .rank, "zremrangebyrank")
        case .zremrangebyscore: zremrange(c, .score, "zremrangebyscore")
        case .zrevrange: zrange(c, fixed: (.rank, reversed: true))
        case .zrevrangebylex: zrange(c, fixed: (.member, reversed: true))
        case .zrevrangebyscore: zrange(c, fixed: (.score, reversed: true))
        case .zrevrank: zrank(c, reversed: true)
        case .zscan: zscan(c)
        case .zscore: zscore(c)
        case .zunion: zcombine(c, .union, "zunion")
        case .zunionstore: zcombineAndStore(c, .union, "zunionstore")
        default: return false
        }
        return true
    }
}

// MARK: Blocking commands

extension Engine {
    /// The non-blocking try of a blocking command. The server calls it when the command comes and again when a key of it
    /// becomes ready; it parses the timeout itself, before the first try.
    ///
    /// - Returns: true when it was served, or failed: the reply is written, and what changed is propagated in the
    ///   non-blocking form. False when it would block: nothing is written.
    public func tryServeBlocking(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .bzmpop: tryPopFromSeveral(c, countIndex: 2)
        case .bzpopmax: tryPopFirst(c, fromMaximum: true)
        case .bzpopmin: tryPopFirst(c, fromMaximum: false)
        case .blpop: serveBlockingPop(c, .head)
        case .brpop: serveBlockingPop(c, .tail)
        case .blmove: serveBlockingMove(c)
        case .brpoplpush: serveBlockingRotate(c)
        case .blmpop: serveBlockingMultiplePop(c)
        default: false
        }
    }

    /// Whether a blocking command's arguments but its keys and timeout are in order, which Redis looks at before the timeout;
    /// replies with the error when they are not.
    public func checkBlockingSyntax(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .blmove: return checkMoveEnds(c)
        case .blmpop: return checkMultiplePop(c, numberIndex: 2)
        case .bzmpop: return popRequest(c, countIndex: 2) != nil
        default: return true
        }
    }
}
