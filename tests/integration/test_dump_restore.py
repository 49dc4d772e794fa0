"""DUMP and RESTORE, between the two servers and through log and replication."""

import pytest
from differential import Comparison
from support import ReplyError, eventually

VALUES = {
    "text": ("SET", "text", "some text " * 30), "number": ("SET", "number", "-12345"), "empty": ("SET", "empty", ""),
    "list": ("RPUSH", "list", "a", "b", "10", "x" * 300), "set": ("SADD", "set", "a", "b", "x" * 100), "numbers": ("SADD", "numbers", "1", "2", "70000"),
    "zset": ("ZADD", "zset", "1.5", "a", "-inf", "b", "2", "c"), "hash": ("HSET", "hash", "a", "1", "b", "text", "c", ""),
    "large": ("RPUSH", "large", *(f"element {number}" for number in range(2000))),
    "large-hash": ("HSET", "large-hash", *(f"{kind}{number}" for number in range(1000) for kind in "fv")),
}


@pytest.mark.parametrize("direction", ["ours to redis", "redis to ours", "ours to ours"])
def test_values_go_from_server_to_server(pair, direction):
    ours, theirs = pair
    source, target = {"ours to redis": (ours, theirs), "redis to ours": (theirs, ours), "ours to ours": (ours, ours)}[direction]
    with Comparison(pair) as comparison, source.client() as giver, target.client() as taker:
        for command in VALUES.values():
            comparison.check(*command)
        payloads = {name: giver.call("DUMP", name) for name in VALUES}
        for name, payload in payloads.items():
            taker.call("DEL", name)
            assert taker.call("RESTORE", name, 0, payload) == "OK"
            with pytest.raises(ReplyError, match="BUSYKEY"):
                taker.call("RESTORE", name, 0, payload)
        comparison.check_state()


def test_restore_sets_the_expiry_and_refuses_damage(db):
    with db.client() as client:
        client.call("HSET", "hash", "a", "1", "b", "text")
        payload = client.call("DUMP", "hash")
        client.call("SET", "hash", "other")
        assert client.call("RESTORE", "hash", 50_000, payload, "REPLACE") == "OK"
        assert client.call("HGETALL", "hash") == [b"a", b"1", b"b", b"text"]
        assert 40_000 < client.call("PTTL", "hash") <= 50_000
        assert client.call("RESTORE", "hash", 33_000_000_000_000, payload, "REPLACE", "ABSTTL") == "OK"
        assert client.call("PEXPIRETIME", "hash") == 33_000_000_000_000
        assert client.call("RESTORE", "hash", 1, payload, "REPLACE", "ABSTTL") == "OK"
        assert client.call("EXISTS", "hash") == 0
        assert client.call("RESTORE", "idle", 0, payload, "IDLETIME", 1000) == "OK"
        assert client.call("OBJECT", "IDLETIME", "idle") >= 1000
        used = db.info("memory")["used_memory"]
        for position in range(len(payload)):
            damaged = bytearray(payload)
            damaged[position] ^= 0x41
            with pytest.raises(ReplyError, match="DUMP payload version or checksum are wrong"):
                client.call("RESTORE", "new", 0, bytes(damaged))
        assert client.call("EXISTS", "new") == 0 and db.info("memory")["used_memory"] == used
    assert int(db.info("stats")["dump_payload_sanitizations"]) == len(payload) + 4


def test_a_restored_key_is_in_the_log_and_on_the_replica(start):
    primary = start(appendonly="yes")
    replica = start(replicaof=[(f"127.0.0.1 {primary.port}",)])
    eventually(lambda: replica.info("replication")["master_link_status"] == "up", "the link")
    with primary.client() as client:
        client.call("ZADD", "zset", 1, "a", 2, "b")
        payload = client.call("DUMP", "zset")
        client.call("RESTORE", "copy", 100_000, payload)
        client.call("MULTI")
        client.call("RESTORE", "second", 0, payload)
        client.call("RESTORE", "zset", 0, payload, "REPLACE")
        assert client.call("EXEC") == ["OK", "OK"]
        expiry = client.call("PEXPIRETIME", "copy")
    eventually(lambda: replica.call("ZRANGE", "second", 0, -1) == [b"a", b"b"], "the second copy")
    assert replica.call("ZRANGE", "copy", 0, -1, "WITHSCORES") == [b"a", b"1", b"b", b"2"]
    assert replica.call("PEXPIRETIME", "copy") == expiry
    primary.stop()
    primary.restart()
    assert primary.call("ZRANGE", "copy", 0, -1) == [b"a", b"b"] and primary.call("PEXPIRETIME", "copy") == expiry
    assert primary.call("ZCARD", "second") == 2


def test_a_restored_list_serves_a_blocked_client(db):
    with db.client() as waiting, db.client() as client:
        client.call("RPUSH", "list", "a", "b")
        payload = client.call("DUMP", "list")
        waiting.send(b"BLPOP queue 5\r\n")
        eventually(lambda: db.info("clients")["blocked_clients"] == "1", "the wait")
        client.call("RESTORE", "queue", 0, payload)
        assert waiting.reply() == [b"queue", b"a"]
