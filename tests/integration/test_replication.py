"""Replication between our dbs, and with stock redis-server on either side."""

import random
import signal

import pytest
from support import ReplyError, eventually


def follow(start, primary, kind="ours", **settings):
    replica = start(kind, replicaof=[(f"127.0.0.1 {primary.port}",)], **settings)
    eventually(lambda: in_sync(primary, replica), lambda: f"replica in sync: {replica.info('replication')}")
    return replica


def in_sync(primary, replica):
    link = replica.info("replication")
    return (link.get("master_link_status") == "up"
            and int(link["slave_repl_offset"]) == int(primary.info("replication")["master_repl_offset"]))


def fill(server, count=2000):
    with server.redis() as client:
        pipe = client.pipeline(transaction=False)
        for number in range(count):
            pipe.set(f"key:{number}", f"value {number}", px=600_000 if number % 3 else None)
        pipe.rpush("list", *range(500))
        pipe.sadd("set", *range(700))
        pipe.hset("hash", mapping={f"field{n}": n for n in range(300)})
        pipe.zadd("zset", {f"member{n}": n / 7 for n in range(400)})
        pipe.set("big", "x" * 3_000_000)
        pipe.execute()


def contents(server):
    """Everything in database 0, comparable across servers."""
    with server.redis() as client:
        result = {}
        for key in client.scan_iter(count=1000):
            kind = client.type(key)
            if kind == b"string":
                value = client.get(key)
            elif kind == b"list":
                value = client.lrange(key, 0, -1)
            elif kind == b"set":
                value = sorted(client.smembers(key))
            elif kind == b"hash":
                value = client.hgetall(key)
            else:
                value = client.zrange(key, 0, -1, withscores=True)
            result[key] = (kind, value, client.pexpiretime(key))
        return result


@pytest.mark.parametrize("primary_kind,replica_kind", [("ours", "ours"), ("ours", "redis"), ("redis", "ours")])
def test_a_full_sync_carries_every_type_and_expiry(start, primary_kind, replica_kind):
    primary = start(primary_kind)
    fill(primary)
    replica = follow(start, primary, replica_kind)
    assert contents(replica) == contents(primary)


@pytest.mark.parametrize("primary_kind,replica_kind", [("ours", "ours"), ("ours", "redis"), ("redis", "ours")])
def test_the_stream_carries_every_effect(start, primary_kind, replica_kind, seed):
    choose = random.Random(seed)
    print("seed", seed)
    primary = start(primary_kind)
    replica = follow(start, primary, replica_kind)
    with primary.redis() as client:
        for number in range(400):
            key = f"k{choose.randrange(30)}"
            choose.choice([
                lambda: client.delete(key) and client.set(key, number, ex=1000),
                lambda: client.incr(f"n{key}"),
                lambda: client.incrbyfloat(f"f{key}", 0.1),
                lambda: client.append(f"a{key}", "xyz"),
                lambda: client.spop(f"s{key}") or client.sadd(f"s{key}", *range(choose.randrange(1, 9))),
                lambda: client.lpush(f"l{key}", number),
                lambda: client.lmove(f"l{key}", f"l{key}2", "LEFT", "RIGHT"),
                lambda: client.zadd(f"z{key}", {str(number % 7): number}),
                lambda: client.zpopmin(f"z{key}"),
                lambda: client.hincrbyfloat(f"h{key}", "f", 1.5),
                lambda: client.expire(f"a{key}", choose.randrange(100, 999)),
                lambda: client.getex(f"a{key}", persist=True),
                lambda: client.pipeline().incr("both:1").incr("both:2").execute(),
            ])()
        client.set("gone", 1, px=1)
        eventually(lambda: client.get("gone") is None, "the key expires")
    eventually(lambda: in_sync(primary, replica), "replica in sync")
    assert contents(replica) == contents(primary)


def test_a_full_sync_under_writes_is_one_point_in_time(start):
    primary = start()
    fill(primary, 20_000)
    with primary.redis() as client:
        replica = start("ours", replicaof=[(f"127.0.0.1 {primary.port}",)])
        number = 0

        def write_and_look():
            nonlocal number
            for _ in range(50):
                number += 1
                client.pipeline().incr("a").incr("b").append("log", f"{number},").execute()
            return replica.info("replication").get("master_link_status") == "up"

        eventually(write_and_look, "the replica is up")
    eventually(lambda: in_sync(primary, replica), "replica in sync")
    assert contents(replica) == contents(primary)


def test_a_replica_that_was_away_goes_on_where_it_stopped(start):
    primary = start()
    fill(primary, 100)
    replica = follow(start, primary)
    with primary.redis() as client:
        client.client_kill_filter(_type="slave")
        for number in range(200):
            client.set(f"away:{number}", number)
    eventually(lambda: in_sync(primary, replica), "replica in sync")
    assert contents(replica) == contents(primary)
    stats = primary.info("stats")
    assert int(stats["sync_full"]) == 1
    assert int(stats["sync_partial_ok"]) == 1


def test_a_promoted_replica_is_followed_without_a_full_sync(start):
    primary = start()
    fill(primary, 100)
    first, second = follow(start, primary), follow(start, primary, "redis")
    assert first.call("REPLICAOF", "NO", "ONE") == "OK"
    for server in (primary, second):
        assert server.call("REPLICAOF", "127.0.0.1", str(first.port)) == "OK"
    first.call("SET", "after", "promotion")
    eventually(lambda: in_sync(first, primary) and in_sync(first, second), "both follow the new primary")
    assert contents(primary) == contents(second) == contents(first)
    assert int(first.info("stats")["sync_full"]) == 0


def test_replicas_of_replicas_have_the_same_offsets(start):
    primary = start()
    middle = follow(start, primary, "redis")
    last = start("ours", replicaof=[(f"127.0.0.1 {middle.port}",)])
    fill(primary, 300)
    eventually(lambda: in_sync(primary, middle) and in_sync(primary, last), "the chain is in sync")
    assert contents(last) == contents(primary)


def test_a_replica_refuses_writes_and_hides_expired_keys(start):
    primary = start()
    replica = follow(start, primary)
    with pytest.raises(ReplyError, match="READONLY"):
        replica.call("SET", "a", "1")
    primary.call("SET", "a", "1", "PX", "500")
    eventually(lambda: replica.call("DBSIZE") == 1, "the key")
    primary.process.signal(signal.SIGSTOP)
    try:
        eventually(lambda: replica.call("GET", "a") is None, "the key is invisible though the primary cannot say so")
        assert replica.call("DBSIZE") == 1
    finally:
        primary.process.signal(signal.SIGCONT)
    eventually(lambda: replica.call("DBSIZE") == 0, "the primary's DEL arrives")


def test_wait_counts_the_replicas_that_have_it(start):
    primary = start()
    replicas = [follow(start, primary) for _ in range(2)]
    with primary.client() as client:
        client.call("SET", "a", "1")
        assert client.call("WAIT", "2", "5000") == 2
        replicas[0].process.signal(signal.SIGSTOP)
        try:
            client.call("SET", "a", "2")
            assert client.call("WAIT", "1", "5000") == 1
            assert client.call("WAIT", "2", "200") == 1
        finally:
            replicas[0].process.signal(signal.SIGCONT)
        assert client.call("WAIT", "2", "5000") == 2


def test_a_write_quorum_holds_replies_until_a_replica_has_it(start):
    primary = start(write_quorum=1)
    replica = follow(start, primary)
    with primary.client(timeout=5) as client, primary.client(timeout=0.5) as impatient:
        assert client.call("SET", "a", "1") == "OK"
        replica.process.signal(signal.SIGSTOP)
        try:
            with pytest.raises(OSError):
                impatient.call("SET", "a", "2")
            # What was not acknowledged must not be seen either, but the db is alive.
            assert primary.call("PING") == "PONG"
            with primary.client(timeout=0.5) as reader, pytest.raises(OSError):
                reader.call("GET", "a")
        finally:
            replica.process.signal(signal.SIGCONT)
        assert client.call("GET", "a") == b"2"


def test_min_replicas_refuses_writes_without_them(start):
    primary = start(min_replicas_to_write=1, min_replicas_max_lag=1)
    with primary.client() as client, pytest.raises(ReplyError, match="NOREPLICAS"):
        client.call("SET", "a", "1")
    follow(start, primary)
    assert primary.call("SET", "a", "1") == "OK"


def test_a_fenced_replica_stops_following_until_it_is_told_anew(start):
    primary = start()
    replica = follow(start, primary)
    primary.call("SET", "a", "1")
    eventually(lambda: in_sync(primary, replica), "in sync")
    offset = replica.call("DSSM", "FENCE", "7")
    assert offset == int(primary.info("replication")["master_repl_offset"])
    primary.call("SET", "a", "2")
    eventually(lambda: primary.info("replication")["connected_slaves"] == "0", "the link is gone")
    assert replica.call("GET", "a") == b"1"
    assert replica.call("REPLICAOF", "127.0.0.1", str(primary.port)) == "OK"
    eventually(lambda: in_sync(primary, replica), "in sync again")
    assert replica.call("GET", "a") == b"2"
