"""Seeded generators of command sequences, one for each family of commands."""

import random

INTEGERS = [0, 1, -1, 2, 3, 10, -10, 100, 9223372036854775807, -9223372036854775808]
BAD_NUMBERS = ["abc", "", "1.5", " 1", "1 ", "9223372036854775808", "0x10", "+1", "00", "-0"]
FLOATS = ["0.5", "-1.25", "3.0e2", "1e-7", "0", "10", "inf", "-inf", "+inf", "nan", "0.1", "1234567.891"]
TEXTS = ["", "a", "hello", "x" * 30, "y" * 45, "z" * 200, "12", "-7", "3.25", "b\r\nin\0ary", "é", "*3\r\n$3\r\n"]


class Source:
    """Random arguments. Mostly sensible, sometimes not."""

    def __init__(self, seed, keys=6):
        self.random = random.Random(seed)
        self.keys = [f"k{i}" for i in range(keys)]

    def pick(self, *options):
        return self.random.choice(options)

    def key(self):
        return self.random.choice(self.keys)

    def some_keys(self, most=4):
        return [self.key() for _ in range(self.random.randint(1, most))]

    def text(self):
        return self.random.choice(TEXTS) if self.random.random() < 0.8 else "".join(
            self.random.choices("abcdef", k=self.random.randint(1, 90)))

    def integer(self):
        roll = self.random.random()
        if roll < 0.05:
            return self.random.choice(BAD_NUMBERS)
        return self.random.choice(INTEGERS) if roll < 0.3 else self.random.randint(-20, 20)

    def small(self):
        return self.random.randint(-6, 6) if self.random.random() < 0.95 else self.integer()

    def float(self):
        return self.random.choice(FLOATS) if self.random.random() < 0.4 else round(self.random.uniform(-50, 50), 2)

    def member(self):
        roll = self.random.random()
        if roll < 0.4:
            return self.random.randint(-5, 12)
        return f"m{self.random.randint(0, 12)}" if roll < 0.9 else self.text()

    def members(self, most=4):
        return [self.member() for _ in range(self.random.randint(1, most))]

    def maybe(self, *words, chance=0.4):
        return list(words) if self.random.random() < chance else []

    def seconds(self):
        """An expiry far enough away to be the same for both servers, or one that deletes at once, or nonsense."""
        return self.pick(100, 1000, 5000, 100000, 100, 1000, 0, -1, "abc", 9223372036854775807)

    def case(self, word):
        return word if self.random.random() < 0.8 else self.pick(word.lower(), word.capitalize())


# Without their count these choose at random, and SPOP would leave the two servers with different data.
RANDOM_WITHOUT_COUNT = {"SPOP", "SRANDMEMBER", "HRANDFIELD", "ZRANDMEMBER"}

LONGER_SINCE_7_2 = {"ZRANK", "ZREVRANK"}  # 7.2 gave them WITHSCORE, so one more word is another kind of error


def sequence(seed, count, families):
    """`count` commands drawn from the families, each a function of the source that returns a command."""
    source = Source(seed)
    for _ in range(count):
        command = list(source.random.choice(families)(source))
        roll = source.random.random()
        if roll < 0.01 and command[0] not in LONGER_SINCE_7_2:
            command.append(source.pick("surplus", "1"))  # one argument too many
        elif roll < 0.02 and len(command) > 1 and command[0] not in RANDOM_WITHOUT_COUNT:
            command.pop()                          # one too few
        command[0] = source.case(command[0])
        yield command


STRINGS = [
    lambda s: ("SET", s.key(), s.text()),
    lambda s: ("SET", s.key(), s.integer()),
    lambda s: ("SET", s.key(), s.text(), *s.maybe(s.pick("EX", "PX"), s.seconds()),
               *s.maybe(s.pick("EXAT", "PXAT"), s.pick(33000000000, 0, "x"), chance=0.1),
               *s.maybe(s.pick("NX", "XX")), *s.maybe("GET"), *s.maybe("KEEPTTL", chance=0.2)),
    lambda s: ("GET", s.key()),
    lambda s: ("GETDEL", s.key()),
    lambda s: ("GETSET", s.key(), s.text()),
    lambda s: ("GETEX", s.key(), *s.maybe(s.pick("EX", "PX"), s.seconds()), *s.maybe("PERSIST", chance=0.2)),
    lambda s: ("SETNX", s.key(), s.text()),
    lambda s: ("SETEX", s.key(), s.seconds(), s.text()),
    lambda s: ("PSETEX", s.key(), s.pick(100000, 1000000, 0, -5, "x"), s.text()),
    lambda s: ("MSET", *(x for _ in range(s.random.randint(1, 3)) for x in (s.key(), s.text()))),
    lambda s: ("MSETNX", *(x for _ in range(s.random.randint(1, 3)) for x in (s.key(), s.text()))),
    lambda s: ("MGET", *s.some_keys()),
    lambda s: ("APPEND", s.key(), s.text()),
    lambda s: ("STRLEN", s.key()),
    lambda s: ("INCR", s.key()),
    lambda s: ("DECR", s.key()),
    lambda s: ("INCRBY", s.key(), s.integer()),
    lambda s: ("DECRBY", s.key(), s.integer()),
    lambda s: ("INCRBYFLOAT", s.key(), s.float()),
    lambda s: ("GETRANGE", s.key(), s.small(), s.small()),
    lambda s: ("SUBSTR", s.key(), s.small(), s.small()),
    lambda s: ("SETRANGE", s.key(), s.pick(0, 1, 5, 20, -1, "x", 600000000), s.text()),
    lambda s: ("LCS", s.key(), s.key(), *s.maybe(s.pick("LEN", "IDX")), *s.maybe("WITHMATCHLEN", chance=0.2)),
]

KEYS = [
    lambda s: ("DEL", *s.some_keys()),
    lambda s: ("UNLINK", s.key()),
    lambda s: ("EXISTS", *s.some_keys()),
    lambda s: ("TOUCH", *s.some_keys()),
    lambda s: ("TYPE", s.key()),
    lambda s: (s.pick("EXPIRE", "PEXPIRE"), s.key(), s.pick(500000, 1000000, 5000000, 0, -1, "x"),
               *s.maybe(s.pick("NX", "XX", "GT", "LT")), *s.maybe(s.pick("NX", "XX", "GT", "LT"), chance=0.1)),
    lambda s: ("EXPIREAT", s.key(), s.pick(33000000000, 33000001000, 1, -5, "x", 9223372036854775807)),
    lambda s: ("PEXPIREAT", s.key(), s.pick(33000000000000, 1, "x")),
    lambda s: (s.pick("TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"), s.key()),
    lambda s: ("PERSIST", s.key()),
    lambda s: ("RENAME", s.key(), s.key()),
    lambda s: ("RENAMENX", s.key(), s.key()),
    lambda s: ("COPY", s.key(), s.key(), *s.maybe("REPLACE"), *s.maybe("DB", s.pick(0, 1, 99, "x"), chance=0.2)),
    lambda s: ("KEYS", s.pick("*", "k*", "k[0-2]", "k[^1]", "?1", "nothing", "k\\1", "[", "k[3-1]", "**1")),
    lambda s: ("SCAN", 0, "COUNT", 1000, *s.maybe("MATCH", s.pick("*", "k[0-3]")), *s.maybe("TYPE", s.pick("string", "hash"))),
    lambda s: ("DBSIZE",),
    lambda s: ("SELECT", s.pick(0, 0, 0, 99, -1, "x")),
    lambda s: ("MOVE", s.key(), s.pick(1, 2, 0, 99, "x")),
    lambda s: ("SORT", s.key(), *s.maybe("ALPHA"), *s.maybe("LIMIT", s.small(), s.small()), *s.maybe(s.pick("ASC", "DESC"))),
]

HASHES = [
    lambda s: ("HSET", s.key(), *(x for _ in range(s.random.randint(1, 3)) for x in (s.member(), s.text()))),
    lambda s: ("HSET", s.key(), s.member(), s.integer()),
    lambda s: ("HMSET", s.key(), s.member(), s.text()),
    lambda s: ("HSETNX", s.key(), s.member(), s.text()),
    lambda s: ("HGET", s.key(), s.member()),
    lambda s: ("HMGET", s.key(), *s.members()),
    lambda s: ("HDEL", s.key(), *s.members()),
    lambda s: ("HGETALL", s.key()),
    lambda s: (s.pick("HKEYS", "HVALS", "HLEN"), s.key()),
    lambda s: ("HEXISTS", s.key(), s.member()),
    lambda s: ("HSTRLEN", s.key(), s.member()),
    lambda s: ("HINCRBY", s.key(), s.member(), s.integer()),
    lambda s: ("HINCRBYFLOAT", s.key(), s.member(), s.float()),
    lambda s: ("HSCAN", s.key(), 0, "COUNT", 1000, *s.maybe("MATCH", s.pick("*", "m*"))),
    lambda s: ("HRANDFIELD", s.key(), s.pick(0, "x")),
    lambda s: ("DEL", s.key()),
]

LISTS = [
    lambda s: (s.pick("LPUSH", "RPUSH", "LPUSHX", "RPUSHX"), s.key(), *s.members()),
    lambda s: (s.pick("LPUSH", "RPUSH"), s.key(), s.text()),
    lambda s: (s.pick("LPOP", "RPOP"), s.key(), *s.maybe(s.pick(0, 1, 2, 5, -1, "x"))),
    lambda s: ("LLEN", s.key()),
    lambda s: ("LRANGE", s.key(), s.small(), s.small()),
    lambda s: ("LINDEX", s.key(), s.small()),
    lambda s: ("LSET", s.key(), s.small(), s.text()),
    lambda s: ("LREM", s.key(), s.pick(0, 1, -1, 2, "x"), s.member()),
    lambda s: ("LTRIM", s.key(), s.small(), s.small()),
    lambda s: ("LINSERT", s.key(), s.pick("BEFORE", "AFTER", "NEXT"), s.member(), s.text()),
    lambda s: ("LPOS", s.key(), s.member(), *s.maybe("RANK", s.pick(1, -1, 2, 0)), *s.maybe("COUNT", s.pick(0, 1, 2, -1)),
               *s.maybe("MAXLEN", s.pick(0, 3, -1), chance=0.2)),
    lambda s: ("RPOPLPUSH", s.key(), s.key()),
    lambda s: ("LMOVE", s.key(), s.key(), s.pick("LEFT", "RIGHT", "UP"), s.pick("LEFT", "RIGHT")),
    lambda s: ("LMPOP", s.pick(1, 2, 0, "x"), s.key(), s.key(), s.pick("LEFT", "RIGHT"), *s.maybe("COUNT", s.pick(1, 3, 0))),
    lambda s: (s.pick("BLPOP", "BRPOP"), s.key(), "nothing", "0.001"),
    lambda s: ("DEL", s.key()),
]

SETS = [
    lambda s: ("SADD", s.key(), *s.members()),
    lambda s: ("SADD", s.key(), *(s.random.randint(0, 100000) for _ in range(3))),
    lambda s: ("SREM", s.key(), *s.members()),
    lambda s: ("SCARD", s.key()),
    lambda s: ("SISMEMBER", s.key(), s.member()),
    lambda s: ("SMISMEMBER", s.key(), *s.members()),
    lambda s: ("SMEMBERS", s.key()),
    lambda s: ("SMOVE", s.key(), s.key(), s.member()),
    lambda s: (s.pick("SINTER", "SUNION", "SDIFF"), *s.some_keys(3)),
    lambda s: (s.pick("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"), s.key(), *s.some_keys(3)),
    lambda s: ("SINTERCARD", s.pick(1, 2, 0, "x"), s.key(), s.key(), *s.maybe("LIMIT", s.pick(0, 1, -1))),
    lambda s: ("SSCAN", s.key(), 0, "COUNT", 1000),
    lambda s: ("SPOP", s.key(), s.pick(0, 100000, -1, "x")),
    lambda s: ("SRANDMEMBER", s.key(), s.pick(0, "x")),
    lambda s: ("DEL", s.key()),
]


def _score_range(s):
    def bound():
        value = s.pick("-inf", "+inf", "inf", s.small(), s.float(), "abc", f"({s.small()}", "(", "nan")
        return value
    return bound(), bound()


def _lex_range(s):
    return s.pick("-", "+", "[m1", "(m3", "[m9", "m2", "(", "["), s.pick("-", "+", "[m1", "(m3", "[m9", "x")


def _zrange(s):
    how = s.pick("", "BYSCORE")
    bounds = {"": (s.small(), s.small()), "BYSCORE": _score_range(s)}[how]
    return [*bounds, *([how] if how else []), *s.maybe("REV"), *s.maybe("LIMIT", s.small(), s.small(), chance=0.3)]


SORTED_SETS = [
    lambda s: ("ZADD", s.key(), *(x for _ in range(s.random.randint(1, 3)) for x in (s.float(), s.member()))),
    lambda s: ("ZADD", s.key(), s.small(), s.member()),
    lambda s: ("ZADD", s.key(), *s.maybe(s.pick("NX", "XX")), *s.maybe(s.pick("GT", "LT")), *s.maybe("CH"),
               *s.maybe("INCR", chance=0.3), s.float(), s.member()),
    lambda s: ("ZINCRBY", s.key(), s.float(), s.member()),
    lambda s: ("ZREM", s.key(), *s.members()),
    lambda s: ("ZCARD", s.key()),
    lambda s: ("ZSCORE", s.key(), s.member()),
    lambda s: ("ZMSCORE", s.key(), *s.members()),
    lambda s: (s.pick("ZRANK", "ZREVRANK"), s.key(), s.member()),
    lambda s: ("ZRANGE", s.key(), *_zrange(s), *s.maybe("WITHSCORES")),
    lambda s: ("ZRANGESTORE", s.key(), s.key(), *_zrange(s)),
    lambda s: (s.pick("ZREVRANGE"), s.key(), s.small(), s.small(), *s.maybe("WITHSCORES")),
    lambda s: (s.pick("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), s.key(), *_score_range(s), *s.maybe("WITHSCORES"),
               *s.maybe("LIMIT", s.small(), s.small())),
    lambda s: ("ZCOUNT", s.key(), *_score_range(s)),
    lambda s: ("ZREMRANGEBYRANK", s.key(), s.small(), s.small()),
    lambda s: ("ZREMRANGEBYSCORE", s.key(), *_score_range(s)),
    lambda s: (s.pick("ZPOPMIN", "ZPOPMAX"), s.key(), *s.maybe(s.pick(0, 1, 3, -1, "x"))),
    lambda s: (s.pick("ZUNION", "ZINTER"), s.pick(2, 2, 2, 0, "x"), s.key(), s.key(),
               *s.maybe("WEIGHTS", s.float(), s.float()), *s.maybe("AGGREGATE", s.pick("SUM", "MIN", "MAX", "AVG")),
               *s.maybe("WITHSCORES")),
    lambda s: ("ZDIFF", 2, s.key(), s.key(), *s.maybe("WITHSCORES")),
    lambda s: (s.pick("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"), s.key(), 2, s.key(), s.key()),
    lambda s: ("ZINTERCARD", 2, s.key(), s.key(), *s.maybe("LIMIT", s.pick(0, 1, -1))),
    lambda s: ("ZMPOP", s.pick(1, 2, 0), s.key(), s.key(), s.pick("MIN", "MAX", "MID"), *s.maybe("COUNT", s.pick(1, 2, 0))),
    lambda s: ("ZSCAN", s.key(), 0, "COUNT", 1000),
    lambda s: ("ZRANDMEMBER", s.key(), s.pick(0, "x")),
    lambda s: ("DEL", s.key()),
]


def _lex_key(s):
    return s.pick("lex0", "lex1", "lex2")


# Ranges by lexical order mean something only where all scores are equal.
LEXICAL_RANGES = [
    lambda s: ("ZADD", _lex_key(s), *(x for _ in range(s.random.randint(1, 3)) for x in (0, s.member()))),
    lambda s: ("ZREM", _lex_key(s), *s.members()),
    lambda s: ("ZRANGE", _lex_key(s), *_lex_range(s), "BYLEX", *s.maybe("REV"),
               *s.maybe("LIMIT", s.small(), s.small(), chance=0.3)),
    lambda s: ("ZRANGESTORE", "lexcopy", _lex_key(s), *_lex_range(s), "BYLEX", *s.maybe("REV")),
    lambda s: (s.pick("ZRANGEBYLEX", "ZREVRANGEBYLEX"), _lex_key(s), *_lex_range(s),
               *s.maybe("LIMIT", s.small(), s.small(), chance=0.3)),
    lambda s: ("ZLEXCOUNT", _lex_key(s), *_lex_range(s)),
    lambda s: ("ZREMRANGEBYLEX", _lex_key(s), *_lex_range(s)),
]


# MARK: Wrong calls

OPTION_WORDS = [
    "NX", "XX", "GT", "LT", "CH", "INCR", "EX", "PX", "EXAT", "PXAT", "KEEPTTL", "PERSIST", "GET", "COUNT", "MATCH", "TYPE", "LIMIT",
    "BY", "ALPHA", "ASC", "DESC", "STORE", "WITHSCORES", "WITHVALUES", "BYSCORE", "BYLEX", "REV", "WEIGHTS", "AGGREGATE", "SUM",
    "MIN", "MAX", "LEFT", "RIGHT", "BEFORE", "AFTER", "RANK", "MAXLEN", "LEN", "IDX", "MINMATCHLEN", "WITHMATCHLEN", "REPLACE",
    "ABSTTL", "IDLETIME", "FREQ", "DB", "ASYNC", "SYNC", "HELP", "SAMPLES", "ID", "ADDR", "LADDR", "USER", "SKIPME", "YES", "NO",
    "ON", "OFF", "SKIP", "ALL", "TIMEOUT", "ERROR", "NORMAL", "REPLICA", "FILTERBY", "PATTERN", "ACLCAT", "MODULE", "VERSION", "AUTH",
    "SETNAME", "SCHEDULE", "(1", "[a", "-", "+", "-inf", "+inf", "inf", "nan", "*", "get", "config|get", "string", "LIB-NAME",
]
NUMBERS = ["0", "1", "-1", "2", "3", "10", "abc", "", "1.5", "-0", " 1", "9223372036854775807", "9223372036854775808", "1e400", "0.001"]
TYPED_KEYS = ["text", "number", "list", "set", "zset", "hash", "missing"]

# What would end, block or reconfigure one of the two servers, or make them differ.
NOT_CALLED = {
    "shutdown", "monitor", "sync", "psync", "replicaof", "slaveof", "failover", "quit", "reset", "subscribe", "psubscribe",
    "ssubscribe", "unsubscribe", "punsubscribe", "sunsubscribe", "replconf", "debug", "client|kill", "client|pause", "client|reply",
    "config|rewrite", "config|set", "flushall", "flushdb", "save", "bgsave", "bgrewriteaof", "swapdb", "restore-asking", "wait", "exec", "multi", "watch",
    "unwatch", "discard", "select", "auth", "hello", "client|no-evict", "migrate", "client|unpause", "lolwut", "config|resetstat", "client|setname",
    "latency|reset", "slowlog|reset", "client|unblock", "command|info", "command|docs", "move",
}
# Those that block do so only with such a timeout.
BLOCKING = {"blpop", "brpop", "bzpopmin", "bzpopmax", "blmove", "brpoplpush", "blmpop", "bzmpop"}


def typed_keys():
    """Commands that make one key of each type."""
    return [("DEL", *TYPED_KEYS, "new"), ("SET", "text", "some text"), ("SET", "number", "10"), ("RPUSH", "list", "a", "b", "10"), ("SADD", "set", "a", "b", "10"),
            ("ZADD", "zset", "1", "a", "2", "b"), ("HSET", "hash", "a", "1", "b", "text")]


def wrong_calls(seed, count, names):
    """`count` calls of the named commands (`get`, `config|get`), most of which are wrong in some way."""
    source = random.Random(seed)

    def argument():
        return source.choice(source.choice([TYPED_KEYS, TYPED_KEYS, NUMBERS, OPTION_WORDS, ["a", "b", "field"]]))

    for _ in range(count):
        name = source.choice(names)
        words = name.upper().split("|")
        if len(words) == 2 and source.random() < 0.05:
            words[1] = source.choice(["NOTHING", "", "HELPME", "x" * 140])
        arguments = [argument() for _ in range(source.choice([0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 8]))]
        if name in BLOCKING and arguments:
            arguments[0 if name in ("blmpop", "bzmpop") else -1] = source.choice(["0.001", "-1", "abc", "inf", "nan", "1e400", "-inf", ""])
        yield (*words, *arguments)
