"""Three dbs and three sentinels as real processes under mTLS: what happens when some of them die."""

import signal
import threading
import time

import pytest
import redis
import redis.sentinel
from localcluster.cluster import Cluster
from support import eventually, free_port

PRIMARY = "dssm"


@pytest.fixture
def cluster(tmp_path):
    ports = [free_port() for _ in range(6)]
    cluster = Cluster(str(tmp_path / "cluster"), db_ports=ports[:3], sentinel_ports=ports[3:])
    cluster.start(seconds=60, fresh=True)
    yield cluster
    for node in cluster.nodes:
        if node.process is not None and node.process.is_alive:
            node.process.signal(signal.SIGCONT)
    cluster.stop()


def write_through(sentinel, key, value):
    return sentinel.answer("SET", key, value, timeout=5) == "OK"


def agreed_primary(cluster, sentinels=None):
    """The db that all given sentinels name; None while they differ."""
    named = {tuple(node.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY) or ()) for node in sentinels or cluster.sentinels}
    if len(named) != 1:
        return None
    address = named.pop()
    return next((db for db in cluster.dbs if address and db.port == int(address[1])), None)


def wait_for_another(cluster, old, sentinels=None, seconds=20):
    def look():
        new = agreed_primary(cluster, sentinels)
        return new if new not in (None, old) and new.info("replication").get("role") == "master" else None

    return eventually(look, "another primary", seconds)


def test_a_killed_primary_is_replaced_and_comes_back_as_a_replica(cluster):
    assert write_through(cluster.sentinels[0], "before", "1")
    old = cluster.primary()
    eventually(lambda: all(db.answer("GET", "before") == b"1" for db in cluster.dbs), "all have it")
    old.process.kill()
    new = wait_for_another(cluster, old)
    assert new.answer("GET", "before") == b"1"
    eventually(lambda: write_through(cluster.sentinels[1], "after", "2"), "writes go on")
    old.start()
    cluster.wait_until_healthy(30)
    assert cluster.primary() == new
    eventually(lambda: old.answer("GET", "after") == b"2", "the old primary has what came later")


def test_a_stopped_primary_is_replaced_and_obeys_when_it_wakes(cluster):
    old = cluster.primary()
    old.process.signal(signal.SIGSTOP)
    new = wait_for_another(cluster, old)
    eventually(lambda: write_through(cluster.sentinels[2], "while", "away"), "writes go on")
    old.process.signal(signal.SIGCONT)
    cluster.wait_until_healthy(30)
    assert cluster.primary() == new
    eventually(lambda: old.answer("GET", "while") == b"away", "the woken one follows")


def test_primary_and_one_sentinel_at_once(cluster):
    old = cluster.primary()
    dead = cluster.sentinels[0]
    old.process.kill()
    dead.process.kill()
    wait_for_another(cluster, old, cluster.sentinels[1:])
    eventually(lambda: write_through(cluster.sentinels[1], "a", "1"), "writes go on")
    old.start()
    dead.start()
    cluster.wait_until_healthy(40)


def test_without_a_majority_nobody_is_promoted(cluster):
    old = cluster.primary()
    for sentinel in cluster.sentinels[1:]:
        sentinel.process.kill()
    old.process.kill()
    survivor = cluster.sentinels[0]

    def knows_it_is_down():
        state = survivor.answer("SENTINEL", "MASTER", PRIMARY)
        fields = dict(zip(state[::2], state[1::2])) if state else {}
        return b"s_down" in fields.get(b"flags", b"")

    eventually(knows_it_is_down, "the last sentinel sees the primary down")
    # It has tried by then, if it was going to: an election takes tens of milliseconds.
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        assert all(db.info("replication").get("role") != "master" for db in cluster.dbs if db != old)
    for sentinel in cluster.sentinels[1:]:
        sentinel.start()
    wait_for_another(cluster, old, seconds=40)


def test_everything_restarted_at_once_keeps_its_data(cluster):
    assert write_through(cluster.sentinels[0], "kept", "yes")
    eventually(lambda: all(db.answer("GET", "kept") == b"yes" for db in cluster.dbs), "all have it")
    cluster.stop()
    for node in cluster.nodes:
        node.start()
    cluster.wait_until_healthy(60)
    assert cluster.sentinels[1].answer("GET", "kept", timeout=5) == b"yes"


def test_an_ordered_failover_loses_nothing(cluster):
    old = cluster.primary()
    count = 0
    sentinel = cluster.sentinels[0]
    assert sentinel.answer("SENTINEL", "FAILOVER", PRIMARY, timeout=5) == "OK"
    acknowledged = []

    def write_until_switched():
        nonlocal count
        count += 1
        if write_through(cluster.sentinels[count % 3], f"n:{count}", str(count)):
            acknowledged.append(count)
        new = agreed_primary(cluster)
        return new if new not in (None, old) else None

    new = eventually(write_until_switched, "another primary", 20)
    cluster.wait_until_healthy(30)
    lost = [number for number in acknowledged if new.answer("GET", f"n:{number}") != str(number).encode()]
    assert not lost


def test_a_terminated_primary_hands_over_and_loses_nothing(cluster):
    """The planned stop: new primary within a second or so, no write lost, the old one ends with 0."""
    files = cluster.certificates
    options = {"ssl": True, "ssl_certfile": files.certificate, "ssl_keyfile": files.key, "ssl_ca_certs": files.authority,
               "ssl_check_hostname": False, "socket_timeout": 5.0}
    sentinels = [("127.0.0.1", node.port) for node in cluster.sentinels]
    stop, written, failures = threading.Event(), {"direct": [], "forwarded": []}, []

    def write(name, client):
        number = 0
        while not stop.is_set():
            number += 1
            try:
                if client.set(f"{name}:{number}", number):
                    written[name].append((number, time.monotonic()))
            except (redis.RedisError, OSError) as error:
                failures.append((name, repr(error)))

    discovered = redis.sentinel.Sentinel(sentinels, sentinel_kwargs=options, **options).master_for(PRIMARY)
    forwarded = redis.Redis(port=cluster.sentinels[1].port, **options)
    writers = [threading.Thread(target=write, args=pair) for pair in [("direct", discovered), ("forwarded", forwarded)]]
    for writer in writers:
        writer.start()
    try:
        eventually(lambda: all(len(numbers) > 50 for numbers in written.values()), "the writers write")
        old = cluster.primary()
        begin = time.monotonic()
        old.process.signal(signal.SIGTERM)
        new = wait_for_another(cluster, old)
        switched = time.monotonic() - begin
        assert old.process.wait(10) == 0, old.process.log_tail(20)
        ended = time.monotonic()
        eventually(lambda: all(numbers[-1][1] > ended for numbers in written.values()), "both writers go on")
    finally:
        stop.set()
        for writer in writers:
            writer.join(10)
    assert switched < 2, switched
    assert "Handed over" in old.process.log(), old.process.log()
    numbers = [(name, number) for name, pairs in written.items() for number, _ in pairs]
    with new.client() as client:
        lost = [f"{name}:{number}" for name, number in numbers if client.call("GET", f"{name}:{number}") != str(number).encode()]
    assert not lost, f"{len(lost)} of {len(numbers)} lost, {failures}"
    # Through a sentinel nothing fails: what the old primary refused is sent to the new one.
    assert not [failure for failure in failures if failure[0] == "forwarded"], failures
    old.start()
    cluster.wait_until_healthy(30)
    assert cluster.primary() == new


def test_one_of_our_sentinels_settles_with_two_of_redis(tmp_path):
    """Failures and an ordered failover: all three agree within seconds each time."""
    ports = [free_port() for _ in range(6)]
    cluster = Cluster(str(tmp_path / "cluster"), db_ports=ports[:3], sentinel_ports=ports[3:], stock_sentinels=2,
                      down_after_milliseconds=2000)
    cluster.start(seconds=90, fresh=True)
    try:
        for leader in [None, cluster.sentinels[2], cluster.sentinels[0]]:
            old = cluster.primary()
            if leader is None:
                old.process.kill()
            else:
                eventually(lambda: leader.answer("SENTINEL", "FAILOVER", PRIMARY, timeout=5) == "OK", "the order is taken", 30)
            new = wait_for_another(cluster, old, seconds=20)
            if leader is None:
                old.start()
            cluster.wait_until_healthy(20)
            assert cluster.primary() == new
    finally:
        cluster.stop()
