"""Drains, lost pods and lost nodes."""

import os
import signal
import time

import pytest
import redis
from localcluster.processes import wait_until

from release import DB_PORT, Writer
from testcluster.client import ApiError
from testcluster.cluster import CommandFailed, is_ready


@pytest.fixture(autouse=True)
def settled(release):
    """Every test begins with six ready pods and settled roles, and leaves the nodes as they were."""
    release.wait_until_ready()
    release.wait_for_roles()
    yield
    for node in release.cluster.nodes:
        release.cluster.kubectl("uncordon", node.name)


def drain(release, node, seconds):
    """kubectl drain as the page's user does it; a blocked one tries again until its time is over."""
    return release.cluster.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data",
                                   "--pod-selector", "app in (f5-dssm-db, f5-dssm-sentinel)", f"--timeout={seconds}s",
                                   deadline=seconds + 30)


def test_of_two_quick_drains_the_second_is_blocked(release, measured):
    primary = release.primary()
    first = release.pods()[primary]["spec"]["nodeName"]
    second = next(node.name for node in release.cluster.nodes if node.name != first)
    with Writer(release, f"drain{time.monotonic_ns()}") as writer:
        drain(release, first, 90)
        with pytest.raises(CommandFailed, match="disruption budget"):
            drain(release, second, 15)
        assert len(release.ready("db")) == 2 and len(release.ready("sentinel")) == 2
        # The anti-affinity leaves the evicted pods no other node.
        assert {name for name, pod in release.pods().items() if not pod["spec"].get("nodeName")} \
            == {name for name in release.pods() if name not in release.ready()}
        wait_until(lambda: release.primary() not in (None, primary), 20, "a new primary")
        release.cluster.kubectl("uncordon", first, second)
        release.wait_until_ready()
        release.wait_for_roles()
    lost = writer.lost()
    assert not lost, f"{len(lost)} acknowledged writes are missing"
    measured("drain of the primary's node", f"{len(writer.acknowledged)} writes acknowledged, {len(writer.refused)} "
             f"refused, 0 lost, longest time without one {writer.longest_gap:.2f} s")


def test_the_eviction_api_refuses_the_second_of_a_kind_but_not_the_other_kind(release):
    release.api.evict("f5-dssm-db-0", release.namespace)
    with pytest.raises(ApiError, match="disruption budget") as refusal:
        release.api.evict("f5-dssm-db-1", release.namespace)
    assert refusal.value.status == 429
    release.api.evict("f5-dssm-sentinel-1", release.namespace)


def test_a_deleted_primary_hands_over_and_loses_nothing(release, measured):
    primary = release.primary()
    with Writer(release, f"delete{time.monotonic_ns()}") as writer:
        release.cluster.kubectl("delete", "pod", "-n", release.namespace, primary)
        wait_until(lambda: release.primary() not in (None, primary), 20, "a new primary")
        release.wait_until_ready()
        release.wait_for_roles()
    assert not writer.lost()
    measured("delete of the primary's pod", f"{len(writer.refused)} writes refused, longest time without one "
             f"{writer.longest_gap:.2f} s")
    log = release.cluster.kubectl("logs", "-n", release.namespace, primary)
    assert release.roles()[primary] == "slave", log


def test_a_crashed_primary_is_replaced_and_comes_back_as_a_replica(release, measured):
    primary = release.primary()
    with Writer(release, f"crash{time.monotonic_ns()}") as writer:
        kill_container(release, primary)
        wait_until(lambda: release.primary() not in (None, primary), 20, "a new primary")
        wait_until(lambda: release.pods()[primary]["status"]["containerStatuses"][0]["restartCount"] >= 1, 60,
                   "the container to be started again", 0.1)
        wait_until(lambda: is_ready(release.pods()[primary]), 60, "the container to be ready again", 0.1)
        release.wait_for_roles()
    assert release.roles()[primary] == "slave"
    # By the chart's default a write is acknowledged when a replica has it.
    assert not writer.lost()
    measured("SIGKILL of the primary's process", f"{len(writer.acknowledged)} writes acknowledged, "
             f"{len(writer.refused)} refused, 0 lost, longest time without one {writer.longest_gap:.2f} s")


def kill_container(release, pod):
    """SIGKILL to the db of a pod, found by its container's identifier in the process's cgroup."""
    container = release.pods()[pod]["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    processes = release.cluster.processes_of_container(container)
    assert len(processes) == 1
    os.kill(processes[0], signal.SIGKILL)


def test_a_node_that_is_cut_off_costs_one_failover(release, measured):
    primary = release.primary()
    node = release.cluster.node(release.pods()[primary]["spec"]["nodeName"])
    others = [number for number in range(3) if f"f5-dssm-db-{number}" != primary]
    begin = time.monotonic()
    node.cut_off()
    try:
        def promoted():
            for number in others:
                try:
                    if release.db(number).execute_command("ROLE")[0] == "master":
                        return number
                except redis.RedisError:
                    pass
            return None
        number = wait_until(lambda: promoted() is not None and str(promoted()), 30, "a new primary")
        measured("seconds from a node's cut-off to a new primary", round(time.monotonic() - begin, 1))
        assert release.db(int(number)).set("after-the-cut", "1")
        # Kubernetes notices too, and takes the pods out of the Service.
        wait_until(lambda: not is_ready(release.pods()[primary]), 60, "the node's pods to be not ready", 0.2)
    finally:
        node.join_again()
    release.wait_until_ready()
    assert release.wait_for_roles() != primary
    assert release.client(release.address(primary), DB_PORT).get("after-the-cut") == "1"
