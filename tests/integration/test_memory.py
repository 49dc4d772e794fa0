"""maxmemory and its policies, and what memory commands tell."""

import pytest
from localcluster.resp import encode
from support import ReplyError, eventually

LIMIT = 20 << 20
VALUE = "x" * 1000


def fill(db, count, *options, prefix="key"):
    """Sets many keys through one connection; the number of those refused."""
    refused = 0
    with db.client() as client:
        for start in range(0, count, 500):
            part = range(start, min(count, start + 500))
            client.send(b"".join(encode("SET", f"{prefix}:{number}", VALUE, *options) for number in part))
            for _ in part:
                reply = client.reply()
                assert reply == "OK" or str(reply).startswith("OOM"), reply
                refused += reply != "OK"
    return refused


def test_noeviction_refuses_writes_but_serves_reads_and_deletes(start):
    db = start(maxmemory=LIMIT)
    refused = fill(db, 40000)
    assert 0 < refused < 40000
    assert int(db.info("memory")["used_memory"]) < LIMIT * 1.1
    assert db.call("GET", "key:0") == VALUE.encode()
    for command in (("SET", "new", VALUE), ("LPUSH", "list", "x"), ("INCR", "n"), ("HSET", "h", "f", "v")):
        with pytest.raises(ReplyError, match="OOM command not allowed"):
            db.call(*command)
    assert db.call("DEL", *(f"key:{number}" for number in range(5000))) == 5000
    assert db.call("SET", "new", VALUE) == "OK"


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-lfu", "allkeys-random"])
def test_allkeys_policies_make_room(start, policy):
    db = start(maxmemory=LIMIT, maxmemory_policy=policy)
    assert fill(db, 40000) == 0
    assert int(db.info("memory")["used_memory"]) <= LIMIT * 1.05
    assert int(db.info("stats")["evicted_keys"]) > 10000
    assert 5000 < db.call("DBSIZE") < 30000


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"])
def test_volatile_policies_spare_keys_without_ttl(start, policy):
    db = start(maxmemory=LIMIT, maxmemory_policy=policy)
    assert fill(db, 3000, prefix="keep") == 0
    assert fill(db, 40000, "EX", "1000") == 0
    assert int(db.info("stats")["evicted_keys"]) > 10000
    with db.client() as client:
        assert client.call("EXISTS", *(f"keep:{number}" for number in range(3000))) == 3000


def test_volatile_policies_refuse_when_nothing_has_a_ttl(start):
    db = start(maxmemory=LIMIT, maxmemory_policy="volatile-lru")
    assert fill(db, 40000) > 0


def test_lru_keeps_what_is_used(start):
    """The clock of LRU ticks in seconds, so the idle keys must first become idle."""
    db = start(maxmemory=LIMIT, maxmemory_policy="allkeys-lru", maxmemory_samples=10)
    used = [f"key:{number}" for number in range(500)]
    fill(db, 8000)
    eventually(lambda: db.call("OBJECT", "IDLETIME", "key:0") >= 2, "two seconds of idle time")
    assert db.call("TOUCH", *used) == 500
    fill(db, 14000, prefix="new")
    assert int(db.info("stats")["evicted_keys"]) > 1000
    assert db.call("EXISTS", *used) > 450


def test_volatile_ttl_evicts_what_expires_soonest(start):
    db = start(maxmemory=LIMIT, maxmemory_policy="volatile-ttl", maxmemory_samples=10)
    fill(db, 6000, "EX", "100000", prefix="late")
    fill(db, 20000, "EX", "1000", prefix="soon")
    with db.client() as client:
        late = client.call("EXISTS", *(f"late:{number}" for number in range(6000)))
    assert late > 5000


def test_evicting_stops_when_the_limit_is_lifted(start):
    db = start(maxmemory=LIMIT, maxmemory_policy="allkeys-random")
    fill(db, 30000)
    db.call("CONFIG", "SET", "maxmemory", "0")
    evicted = int(db.info("stats")["evicted_keys"])
    fill(db, 30000, prefix="more")
    assert int(db.info("stats")["evicted_keys"]) == evicted
    db.call("CONFIG", "SET", "maxmemory", str(LIMIT))
    fill(db, 100, prefix="again")
    assert int(db.info("memory")["used_memory"]) <= LIMIT * 1.05


def test_memory_usage_grows_with_the_value(db):
    db.call("SET", "small", "x")
    db.call("SET", "large", "x" * 100000)
    small, large = db.call("MEMORY", "USAGE", "small"), db.call("MEMORY", "USAGE", "large")
    assert 0 < small < 200 and 100000 <= large < 150000
    assert db.call("MEMORY", "USAGE", "missing") is None


def test_deleting_everything_gives_memory_back(start):
    db = start()
    empty = db.resident_bytes()
    fill(db, 100_000)
    full = db.resident_bytes()
    assert full - empty > 100_000_000
    db.call("FLUSHALL")
    eventually(lambda: db.resident_bytes() - empty < (full - empty) / 4,
               lambda: f"memory given back: {db.resident_bytes() - empty} of {full - empty} bytes are still held")
