"""MULTI, EXEC, WATCH and the blocking commands."""

import time

import pytest
from differential import Comparison
from support import ReplyError, eventually


def test_transactions_answer_like_redis(pair):
    with Comparison(pair) as comparison:
        comparison.check_all([
            ("MULTI",), ("SET", "a", "1"), ("INCR", "a"), ("GET", "a"), ("EXEC",),
            ("MULTI",), ("INCR", "a", "extra"), ("EXEC",), ("EXEC",), ("DISCARD",),
            ("MULTI",), ("MULTI",), ("DISCARD",), ("GET", "a"),
            ("MULTI",), ("LPUSH", "a", "x"), ("SET", "b", "2"), ("EXEC",), ("GET", "b"),
            ("MULTI",), ("NOSUCH", "x"), ("SET", "c", "3"), ("EXEC",), ("EXISTS", "c"),
            ("MULTI",), ("WATCH", "a"), ("EXEC",), ("MULTI",), ("EXEC",), ("MULTI",), ("SELECT", "3"), ("SET", "d", "4"), ("EXEC",),
            ("GET", "d"), ("SELECT", "0"), ("WATCH",), ("UNWATCH",), ("UNWATCH", "a"), ("WATCH", "a"), ("DISCARD",),
        ])


@pytest.mark.parametrize("touch", [
    ("SET", "key", "other"), ("DEL", "key"), ("APPEND", "key", ""), ("EXPIRE", "key", "100"), ("FLUSHALL",), ("FLUSHDB",),
    ("RENAME", "key", "away"), ("SETRANGE", "key", "0", "x"), ("MSET", "key", "x"), ("COPY", "other", "key", "REPLACE"), ("SWAPDB", "0", "1"),
    ("GET", "key"), ("SET", "other", "x"), ("PERSIST", "key"), ("TOUCH", "key"), ("SETNX", "key", "x"), ("RENAME", "other", "key"),
    ("MOVE", "key", "1"), ("GETDEL", "key"), ("GETEX", "key", "EX", "100"), ("UNLINK", "key"), ("INCRBY", "number", "1"),
], ids=" ".join)
@pytest.mark.parametrize("watched", ["key", "missing"])
def test_watch_notices_the_same_changes_as_redis(pair, touch, watched):
    def outcome(server):
        with server.client() as one, server.client() as two:
            one.call("FLUSHALL")
            one.call("MSET", "key", "value", "other", "value", "number", "1")
            one.call("WATCH", watched)
            two.call_raw(*touch)
            one.call("MULTI")
            one.call("PING")
            return one.call("EXEC")

    ours, theirs = map(outcome, pair)
    assert ours == theirs


def test_watch_notices_expiry(db):
    with db.client() as one:
        one.call("SET", "key", "value", "PX", 30)
        one.call("WATCH", "key")
        eventually(lambda: db.call("EXISTS", "key") == 0, "the expiry")
        one.call("MULTI")
        one.call("PING")
        assert one.call("EXEC") is None


def test_a_transaction_is_not_interleaved(db):
    with db.client() as one, db.client() as two:
        one.call("MULTI")
        for _ in range(100):
            one.call("INCR", "counter")
        two.call("SET", "counter", 1000)
        assert one.call("EXEC") == list(range(1001, 1101))


def test_redis_py_transactions_and_watch(db):
    client = db.redis()
    with client.pipeline() as pipeline:
        pipeline.watch("counter")
        pipeline.multi()
        pipeline.incr("counter")
        pipeline.expire("counter", 100)
        assert pipeline.execute() == [1, True]


# MARK: Blocking

def test_blpop_waits_for_a_push(db):
    with db.client() as waiting, db.client() as pushing:
        waiting.send(b"BLPOP empty list 5\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        assert pushing.call("RPUSH", "list", "a", "b") == 2
        assert waiting.reply() == [b"list", b"a"]
        assert pushing.call("LRANGE", "list", 0, -1) == [b"b"]
        assert int(db.info("clients")["blocked_clients"]) == 0


def test_blocked_clients_are_served_in_the_order_they_came(db):
    clients = [db.client() for _ in range(5)]
    for number, client in enumerate(clients):
        client.send(b"BRPOP list 5\r\n")
        eventually(lambda n=number: int(db.info("clients")["blocked_clients"]) == n + 1, "one more blocked client")
    db.call("LPUSH", "list", "a", "b", "c", "d", "e")
    assert [client.reply()[1] for client in clients] == [b"a", b"b", b"c", b"d", b"e"]
    for client in clients:
        client.close()


def test_a_blocking_command_gives_up_after_its_timeout(db):
    with db.client() as client:
        begin = time.monotonic()
        assert client.call("BLPOP", "list", 0.2) is None
        assert 0.19 <= time.monotonic() - begin < 2


def test_blmove_moves_when_data_comes(db):
    with db.client() as waiting, db.client() as pushing:
        waiting.send(b"BLMOVE source target LEFT RIGHT 5\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        pushing.call("LPUSH", "source", "x")
        assert waiting.reply() == b"x"
        assert pushing.call("LRANGE", "target", 0, -1) == [b"x"]


def test_bzpopmin_waits_for_a_member(db):
    with db.client() as waiting, db.client() as adding:
        waiting.send(b"BZPOPMIN zset 5\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        adding.call("ZADD", "zset", 2, "b", 1, "a")
        assert waiting.reply() == [b"zset", b"a", b"1"]


def test_blmpop_and_bzmpop_wait(db):
    with db.client() as waiting, db.client() as adding:
        waiting.send(b"BLMPOP 5 2 none list LEFT COUNT 2\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        adding.call("RPUSH", "list", "a", "b", "c")
        assert waiting.reply() == [b"list", [b"a", b"b"]]
        waiting.send(b"BZMPOP 5 1 zset MAX\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        adding.call("ZADD", "zset", 1, "a", 2, "b")
        assert waiting.reply() == [b"zset", [[b"b", b"2"]]]


def test_a_blocking_command_in_a_transaction_does_not_block(db):
    with db.client() as client:
        client.call("MULTI")
        client.call("BLPOP", "list", 0)
        assert client.call("EXEC") == [None]


def test_a_blocked_client_that_leaves_takes_nothing(db):
    client = db.client()
    client.send(b"BLPOP list 0\r\n")
    eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
    client.close()
    eventually(lambda: int(db.info("clients")["blocked_clients"]) == 0, "its end")
    db.call("RPUSH", "list", "a")
    assert db.call("LLEN", "list") == 1


def test_client_unblock_ends_the_wait(db):
    with db.client() as waiting:
        identity = waiting.call("CLIENT", "ID")
        for how, expected in ((), None), (("ERROR",), "UNBLOCKED"):
            waiting.send(b"BLPOP list 0\r\n")
            eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
            assert db.call("CLIENT", "UNBLOCK", identity, *how) == 1
            reply = waiting.reply()
            assert reply is None if expected is None else isinstance(reply, ReplyError) and str(reply).startswith(expected)


def test_commands_pipelined_behind_a_blocked_one_wait(db):
    with db.client() as waiting, db.client() as pushing:
        waiting.send(b"BLPOP list 5\r\nSET after 1\r\nGET after\r\n")
        eventually(lambda: int(db.info("clients")["blocked_clients"]) == 1, "the blocked client")
        assert pushing.call("EXISTS", "after") == 0
        pushing.call("RPUSH", "list", "x")
        assert [waiting.reply() for _ in range(3)] == [[b"list", b"x"], "OK", b"1"]
