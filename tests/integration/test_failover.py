"""Three dbs and three sentinels as real processes under mTLS: what happens when some of them die."""

import signal
import time

import pytest
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
