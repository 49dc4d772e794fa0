"""WAITAOF: the log on disk, here and on replicas."""

import time

import pytest
from support import ReplyError, eventually


def test_waitaof_waits_for_the_log_here(start):
    db = start(appendonly="yes", appendfsync="everysec")
    with db.client() as client:
        client.call("SET", "key", "value")
        assert client.call("WAITAOF", 1, 0, 0) == [1, 0]
        db.call("CONFIG", "SET", "appendfsync", "no")
        client.call("SET", "key", "other")
        began = time.monotonic()
        assert client.call("WAITAOF", 1, 0, 200) == [0, 0]
        assert time.monotonic() - began >= 0.19  # the loop's clock has steps of a millisecond
        client.call("MULTI")
        client.call("SET", "key", "third")
        client.call("WAITAOF", 1, 0, 0)
        assert client.call("EXEC") == ["OK", [0, 0]]


@pytest.mark.parametrize("words, message", [
    ((2, 0, 0), "value must between 0 and 1"), (("x", 0, 0), "not an integer"), ((0, -1, 0), "must be positive"), ((0, 0, -1), "timeout is negative"),
    ((0, 0, "x"), "timeout is not an integer"), ((1, 0, 0), "appendonly is disabled"),
])
def test_waitaof_names_what_is_wrong(db, words, message):
    with pytest.raises(ReplyError, match=message):
        db.call("WAITAOF", *words)


def test_waitaof_waits_for_the_log_of_a_replica(start):
    primary = start(appendonly="yes", appendfsync="always")
    replica = start(replicaof=[(f"127.0.0.1 {primary.port}",)], appendonly="yes", appendfsync="everysec")
    eventually(lambda: replica.info("replication")["master_link_status"] == "up", "the link")
    eventually(lambda: replica.info("persistence")["aof_rewrite_in_progress"] == "0", "the replica's log")
    with primary.client() as client, primary.client() as other:
        client.call("SET", "key", "value")
        assert client.call("WAITAOF", 1, 1, 8000) == [1, 1]
        assert client.call("WAITAOF", 0, 2, 50) == [1, 1]
        replica.call("CONFIG", "SET", "appendonly", "no")
        client.call("SET", "key", "other")
        assert client.call("WAITAOF", 0, 1, 100) == [1, 0]
        number = client.call("CLIENT", "ID")
        client.send(b"WAITAOF 0 1 0\r\n")
        eventually(lambda: other.call("CLIENT", "UNBLOCK", number) == 1, "the wait")
        assert client.reply() == [1, 0]
    with pytest.raises(ReplyError, match="replica instances"):
        replica.call("WAITAOF", 0, 0, 0)
