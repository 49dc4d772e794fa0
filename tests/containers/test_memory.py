"""The memory limits that the chart sets hold with a full keyspace; and what a limit does that is too small."""

import concurrent.futures
import shutil

import pytest
from localcluster.resp import ConnectionClosed, ReplyError, encode, parse
from release import sets
from support import eventually

VALUE = b"v" * 1000


@pytest.fixture
def release(install):
    # Three dbs that take 160 MB and write their logs anew keep two busy cores from everything else for more than a second.
    release = install(*sets("db.writeQuorum=1", "sentinel.downAfterMilliseconds=10000"))
    release.wait_until_whole()
    return release


def fill(release, pod, most=1 << 20):
    """Writes keys until the db refuses; how many it took, and the refusal."""
    with release.client(pod, timeout=60) as client:
        for start in range(0, most, 1000):
            client.send(b"".join(encode("SET", f"fill:{number}", VALUE) for number in range(start, start + 1000)))
            for number in range(start, start + 1000):
                reply, _ = parse(client.raw_reply())
                if isinstance(reply, ReplyError):
                    return number, str(reply)
    raise AssertionError(f"{most} kilobytes are taken")


def peaks(release):
    """MiB that each db's container has ever had, file cache included; and the anonymous part now."""
    def now(container):
        text = container.cgroup_file("memory", "memory.stat").read_text()
        return int(dict(line.split() for line in text.splitlines())["rss"])

    return {pod.name: (int(pod.main.cgroup_file("memory", "memory.max_usage_in_bytes").read_text()) >> 20, now(pod.main) >> 20)
            for pod in release.dbs}


def test_a_full_db_refuses_writes_and_stays_within_its_limit(release):
    primary = release.wait_until_settled()
    count, refusal = fill(release, primary)
    assert refusal.startswith("OOM command not allowed when used memory > 'maxmemory'"), refusal
    assert count > 100_000
    assert release.call(primary, "GET", "fill:0") == VALUE
    # The log is written anew, and a db without data gets all of it.
    assert "started" in release.call(primary, "BGREWRITEAOF")
    replica = next(pod for pod in release.dbs if pod is not primary)
    replica.stop(grace=0)
    shutil.rmtree(replica.claim("data"))
    replica.start()
    assert release.wait_until_whole() is primary
    eventually(lambda: release.info(primary, "persistence").get("aof_rewrite_in_progress") == "0", "the log is written", 60)
    print(f"{count} values of 1000 bytes; MiB peak and anonymous: {peaks(release)}")
    assert [pod.main.ends for pod in release.pods.values()] == [[]] * 6, "nobody was killed"
    for pod in release.dbs:
        assert release.call(pod, "DBSIZE") == release.call(primary, "DBSIZE")
    assert release.call(release.wait_until_settled(), "DEL", "fill:0") == 1


def test_commands_that_wait_for_a_primary_do_not_cost_a_sentinel_its_life(release):
    """Ten clients send 40 MB each, more than the container may have, while no db answers."""
    sentinel = release.sentinels[0]
    release.wait_until_settled()
    for pod in release.dbs:
        pod.main.kill(hold=True)
    refusals = []

    def send(number):
        block = b"".join(encode("SET", f"waiting:{number}:{index}", VALUE) for index in range(1000))
        try:
            with release.client(sentinel, timeout=20) as client:
                for _ in range(40):
                    client.send(block)
                refusals.append(str(parse(client.raw_reply())[0]))
        except (ConnectionClosed, OSError) as error:
            refusals.append(repr(error))

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        list(pool.map(send, range(10)))
    peak = int(sentinel.main.cgroup_file("memory", "memory.max_usage_in_bytes").read_text()) >> 20
    print(f"sentinel: peak {peak} MiB; the clients got {sorted(set(refusals))}")
    assert sentinel.main.ends == [] and peak < 250
    assert len(refusals) == 10 and not any(reply == "OK" for reply in refusals)
    for pod in release.dbs:
        pod.main.release()
    release.wait_until_whole()


def memory_kills():
    """Processes that the kernel has killed for a memory limit, on this machine. Podman's own OOMKilled needs events that not every
    system gives it."""
    with open("/proc/vmstat") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("oom_kill "))


def test_a_primary_that_the_kernel_kills_for_its_memory_loses_nothing(release):
    primary = release.wait_until_settled()
    for pod in release.dbs:
        release.call(pod, "CONFIG", "SET", "maxmemory", "0")
    kills = memory_kills()
    # As if something else had filled the container: a limit a little above what it has now.
    usage = int(primary.main.cgroup_file("memory", "memory.usage_in_bytes").read_text())
    for name in ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"):
        path = primary.main.cgroup_file("memory", name)
        if path.exists():
            path.write_text(str(usage + (8 << 20)))
    acknowledged, problem = 0, None
    with release.client(primary, timeout=30) as client:
        while problem is None and acknowledged < 100_000:
            try:
                assert client.call("SET", f"oom:{acknowledged}", VALUE) == "OK"
                acknowledged += 1
            except (ReplyError, ConnectionClosed, OSError) as error:
                problem = error
    assert problem is not None, "it was never killed"
    eventually(lambda: primary.main.ends, "the kubelet sees the end")
    assert primary.main.ends[0] == 137 and memory_kills() > kills
    print(f"killed after {acknowledged} acknowledged writes; the client got {problem!r}")
    release.wait_until_whole()
    release.assert_everywhere({f"oom:{number}": VALUE.decode() for number in range(acknowledged)})
