/// The commands of the server, in the order of `commandRows`. The order of the raw values is an implementation detail.
public enum CommandID: UInt16, CaseIterable, Sendable {
    case append, auth, bgrewriteaof, bgsave, blmove, blmpop, blpop, brpop, brpoplpush, bzmpop, bzpopmax, bzpopmin,
        client, command, config, copy, dbsize, debug, decr, decrby, del, discard, dssm, dump, echo, exec, exists,
        expire,
        expireat, expiretime, failover, flushall, flushdb, get, getdel, getex, getrange, getset, hdel, hello,
        hexists, hget, hgetall, hincrby, hincrbyfloat, hkeys, hlen, hmget, hmset, hrandfield, hscan, hset, hsetnx,
        hstrlen, hvals, incr, incrby, incrbyfloat, info, keys, lastsave, latency, lcs, lindex, linsert, llen,
        lmove, lmpop, lolwut, lpop, lpos, lpush, lpushx, lrange, lrem, lset, ltrim, memory, mget, monitor, move,
        mset, msetnx, multi, object, persist, pexpire, pexpireat, pexpiretime, ping, psetex, psubscribe, psync,
        pttl, publish, pubsub, punsubscribe, quit, randomkey, readonly, readwrite, rename, renamenx, replconf,
        replicaof, reset, restore, restoreAsking, role, rpop, rpoplpush, rpush, rpushx, sadd, save, scan, scard, sdiff,
        sdiffstore, select,
        set, setex, setnx, setrange, shutdown, sinter, sintercard, sinterstore, sismember, slaveof, slowlog,
        smembers, smismember, smove, sort, sortReadOnly, spop, spublish, srandmember, srem, sscan, ssubscribe,
        strlen, subscribe, substr, sunion, sunionstore, sunsubscribe, swapdb, sync, time, touch, ttl, type, unlink,
        unsubscribe, unwatch, wait, waitaof, watch, zadd, zcard, zcount, zdiff, zdiffstore, zincrby, zinter,
        zintercard, zinterstore, zlexcount, zmpop, zmscore, zpopmax, zpopmin, zrandmember, zrange, zrangebylex,
        zrangebyscore, zrangestore, zrank, zrem, zremrangebylex, zremrangebyrank, zremrangebyscore, zrevrange,
        zrevrangebylex, zrevrangebyscore, zrevrank, zscan, zscore, zunion, zunionstore
}
