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
        default: return false
        }
        return true
    }

    /// One attempt of a blocking command in its non-blocking form.
    ///
    /// - Returns: true when it was served: replied and propagated. False: it would have to wait, and nothing was written.
    public func tryServeBlocking(_ id: CommandID, _ c: Invocation) -> Bool {
        switch id {
        case .blpop: serveBlockingPop(c, .head)
        case .brpop: serveBlockingPop(c, .tail)
        case .blmove: serveBlockingMove(c)
        case .brpoplpush: serveBlockingRotate(c)
        case .blmpop: serveBlockingMultiplePop(c)
        default: false
        }
    }
}
