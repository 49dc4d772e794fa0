"""What is measured: one row is one question with a fixed workload.

A goal is the largest acceptable ratio of ours to Redis's, in CPU time per operation (or bytes per key).
"""

from dataclasses import dataclass, field

KEYS = 1_000_000


@dataclass(frozen=True)
class Row:
    name: str
    question: str
    workload: str
    pipeline: int = 1
    tls: bool = False
    goal: float | None = None
    fill: str | None = None          # workload that fills the key space before the first round
    keys: int = KEYS
    value_bytes: int = 64
    ttl: int = 0
    warmup: float = 0.5
    flush_between: bool = False      # each round starts from an empty database
    kind: str = "load"               # load, handshake or memory
    certificates: str = "ecdsa-p256"
    extra: dict = field(default_factory=dict)


def _strings():
    goals = {1: 0.85, 16: 0.40, 64: 0.22}
    tls_goals = {1: None, 16: 0.56, 64: None}
    for tls in (False, True):
        for command in ("get", "set"):
            for pipeline in (1, 16, 64):
                name = f"{'tls-' if tls else ''}{command}-p{pipeline}"
                question = f"{command.upper()} of 64-byte values, 1M keys, pipeline {pipeline}{', mTLS' if tls else ''}"
                yield Row(name, question, command, pipeline, tls, (tls_goals if tls else goals)[pipeline], fill="set")


def _collections():
    for name, question, workload, fill in (
            ("hset", "HSET, 20 fields a hash, 1M fields", "hset", "hset"),
            ("hget", "HGET, 20 fields a hash, 1M fields", "hget", "hset"),
            ("hset-large", "HSET, 1000 fields a hash, 1M fields", "hset-large", "hset-large"),
            ("hget-large", "HGET, 1000 fields a hash, 1M fields", "hget-large", "hset-large"),
            ("lpush-lpop", "LPUSH and LPOP in turn, 10,000 lists of 100", "lpush-lpop", "lpush"),
            ("sadd", "SADD of members that are there, 20 a set, 1M members", "sadd", "sadd"),
            ("sismember", "SISMEMBER, 20 members a set, 1M members", "sismember", "sadd"),
            ("sadd-srem", "SADD and SREM of random members in turn, sets of about 10", "sadd-srem", "sadd-srem"),
            ("sadd-large", "SADD of members that are there, one set of 1M", "sadd-large", "sadd-large"),
            ("zadd", "ZADD of a new score, 1000 sorted sets of 1000", "zadd", "zadd"),
            ("zadd-large", "ZADD of a new score, one sorted set of 1M", "zadd-large", "zadd-large"),
            ("zscore-large", "ZSCORE, one sorted set of 1M", "zscore-large", "zadd-large")):
        yield Row(f"{name}-p16", question, workload, 16, goal=0.40, fill=fill)
    yield Row("setex-p16", "SETEX churn: 2 s TTL, inserts while as many expire", "setex", 16, ttl=2, warmup=3.0,
              flush_between=True, goal=0.40)


ROWS = [
    *_strings(),
    *_collections(),
    Row("handshake-p256", "full mTLS 1.3 handshake and one PING, P-256 keys", "", kind="handshake", tls=True, goal=0.75,
        extra={"count": 2000}),
    Row("handshake-rsa4096", "full mTLS 1.3 handshake and one PING, RSA-4096 keys", "", kind="handshake", tls=True,
        certificates="rsa4096", extra={"count": 300}),
    Row("bytes-per-key", "resident bytes per key, 2M 24-byte keys, 48-byte values", "mem", 64, goal=0.68, kind="memory",
        keys=2_000_000, value_bytes=48),
    Row("bytes-per-key-ttl", "the same with a TTL on each", "mem", 64, goal=0.62, kind="memory", keys=2_000_000,
        value_bytes=48, ttl=86400),
]
