"""The sidecars deliver what db and sentinel log to a Fluentd that is found by its name, as records."""

import contextlib
import ctypes
import os
import re
import threading

import pytest
from chart import CHART
from forward_receiver import Receiver
from localcluster.resp import ReplyError
from podman import inspect, podman
from release import sets
from support import eventually

CLONE_NEWNET = 0x40000000
#: Small, so that a few thousand lines rotate the file many times.
FILE_BYTES, KEPT_FILES = 65536, 4
_libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def network_of(pid):
    """What this thread opens meanwhile belongs to the process's network namespace."""
    def enter(path):
        with open(path) as file:
            if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"setns {path}")

    own = f"/proc/self/task/{threading.get_native_id()}/ns/net"
    with open(own) as back:
        enter(f"/proc/{pid}/ns/net")
        try:
            yield
        finally:
            if _libc.setns(back.fileno(), CLONE_NEWNET) != 0:
                os._exit(70)  # nothing may go on in a foreign namespace


class Fluentd:
    """A pod without containers that bears Fluentd's name; the receiver listens in its network."""

    def __init__(self, release, name="f5-toda-fluentd.cnf-gateway.svc.cluster.local"):
        self.pod = f"{release.name}-fluentd"
        address = release.kubelet.next_address()
        podman("pod", "create", "--name", self.pod, "--network", f"{release.name}:ip={address},alias={name}")
        podman("pod", "start", self.pod)
        self.pid = inspect("container", inspect("pod", self.pod)["InfraContainerID"])["State"]["Pid"]
        self.receiver = Receiver(54321, host="0.0.0.0")
        self.start()

    def start(self):
        with network_of(self.pid):
            self.receiver.start()

    def stop(self):
        self.receiver.stop()

    def remove(self):
        self.stop()
        podman("pod", "rm", "--force", self.pod)

    def records(self, pod, tag):
        """The records of a pod under a tag."""
        with self.receiver.lock:
            records = list(self.receiver.records)
        return [record for its_tag, _, record in records if its_tag == tag and record.get("pod") == pod.name]


@pytest.fixture(scope="module")
def release(install):
    release = install("-f", CHART / "examples/page-fluentd.yaml", *sets(f"logForwarder.logFileBytes={FILE_BYTES}", f"logForwarder.keptLogFiles={KEPT_FILES}"))
    release.wait_until_whole()
    return release


@pytest.fixture(scope="module")
def fluentd(release):
    fluentd = Fluentd(release)
    yield fluentd
    fluentd.remove()


def service_of(release, pod):
    return "db" if pod in release.dbs else "sentinel"


def lines(release, pod):
    """Lines of the pod's log files."""
    paths = pod.mounts["logs"].glob(f"{service_of(release, pod)}.log*")
    return [line for path in paths for line in path.read_text().splitlines()]


def test_each_pod_has_a_sidecar_and_each_line_arrives_as_a_record(release, fluentd):
    assert all(set(pod.containers) == {service_of(release, pod), "log-forwarder"} for pod in release.pods.values())
    for pod in release.pods.values():
        kind = service_of(release, pod)

        def delivered(pod=pod, kind=kind):
            records = fluentd.records(pod, f"dssm.{kind}")
            return len(records) >= len(lines(release, pod)) and records

        records = eventually(delivered, f"the {len(lines(release, pod))} lines of {pod.name}", 60)
        assert all({"level", "message", "service", "event"} <= set(record) for record in records), "each line is understood"
        assert {record["release"] for record in records} == {"f5-dssm"}
        assert {record["namespace"] for record in records} == {"cnf-gateway"} and all(record["node"] for record in records)
        assert any(record["event"] == "start" for record in records)
    assert fluentd.receiver.complaints == []


def test_what_happens_while_fluentd_is_away_arrives_later(release, fluentd):
    fluentd.stop()
    old = release.wait_until_settled()
    old.main.kill()
    new = release.wait_until_settled(other_than=old)
    release.wait_until_whole()
    fluentd.start()
    for sentinel in release.sentinels:
        eventually(lambda sentinel=sentinel: any(record["message"].startswith("+switch-master") and new.name in record["message"]
                                                 for record in fluentd.records(sentinel, "dssm.sentinel")),
                   f"{sentinel.name} tells of the failover", 90)
    eventually(lambda: any("primary" in record["message"].lower() or record["event"].startswith("promot")
                           for record in fluentd.records(new, "dssm.db")), "the new primary's log", 90)
    assert fluentd.receiver.complaints == []


def test_log_files_stay_small_and_no_line_is_missing(release, fluentd):
    pod = release.wait_until_whole()
    folder, users = pod.mounts["logs"], 0

    def arrived():
        records = fluentd.records(pod, "dssm.db")
        found = (re.search(r"user 'somebody-(\d+)'", record["message"]) for record in records)
        return {int(match[1]) for match in found if match}

    for _ in range(5):
        with release.client(pod, timeout=30) as client:
            for users in range(users, users + 1000):
                # A refused password is told in one line.
                with contextlib.suppress(ReplyError):
                    client.call("AUTH", f"somebody-{users}", "wrong")
        users += 1
        eventually(lambda: len(arrived()) == users, lambda: f"{users} lines; {len(arrived())} arrived", 30)
        sizes = {path.name: path.stat().st_size for path in folder.iterdir()}
        assert all(size <= FILE_BYTES for size in sizes.values()) and len(sizes) <= 1 + KEPT_FILES, sizes
    assert set(sizes) == {"db.log", *(f"db.log.{number}" for number in range(1, KEPT_FILES + 1))}
    assert arrived() == set(range(users))
    assert fluentd.receiver.complaints == []
