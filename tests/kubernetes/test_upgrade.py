"""helm upgrade, rollback, uninstall and install again: what goes on meanwhile, and what stays."""

import threading
import time

import pytest
from localcluster.processes import wait_until

from release import Writer, example
from testcluster.cluster import CommandFailed, is_ready


class Watcher:
    """Notes, while something goes on, how few pods of each kind are ready and on which side of the change they are."""

    def __init__(self, release):
        self.release, self.fewest = release, {"db": 3, "sentinel": 3}
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.thread.join(10)

    def _watch(self):
        while not self.ending.is_set():
            pods = self.release.pods()
            for app in self.fewest:
                ready = [name for name, pod in pods.items() if f"-{app}-" in name and is_ready(pod)]
                self.fewest[app] = min(self.fewest[app], len(ready))
            time.sleep(0.05)


def identifiers(release, app=None):
    return {name: pod["metadata"]["uid"] for name, pod in release.pods(app).items()}


def roll(release, change, measured):
    """Does `change` under writes; all pods of both kinds must be new afterwards, and no acknowledged write may be missing."""
    release.wait_for_roles()
    before, begin = identifiers(release), time.monotonic()
    with Writer(release, f"roll{time.monotonic_ns()}") as writer, Watcher(release) as watcher:
        change()
        wait_until(lambda: all(uid not in before.values() for uid in identifiers(release).values()), 200,
                   lambda: "not all pods are replaced\n" + release.cluster.describe(release.namespace), 0.2)
        release.wait_until_ready()
        release.wait_for_roles()
    seconds = round(time.monotonic() - begin, 1)
    assert watcher.fewest == {"db": 2, "sentinel": 2}, "more than one pod of a kind was away"
    assert len(writer.acknowledged) > 100
    lost = writer.lost()
    assert not lost, f"{len(lost)} of {len(writer.acknowledged)} acknowledged writes are missing, the first: {lost[:5]}"
    measured("rolling all six pods", f"{seconds} s, {len(writer.acknowledged)} writes acknowledged, {len(writer.refused)} refused, 0 lost, "
             f"longest time without one {writer.longest_gap:.2f} s")


def test_a_changed_value_rolls_the_pods_one_at_a_time_and_loses_nothing(release, measured):
    roll(release, lambda: release.upgrade("--reuse-values", "--set", "logLevel=verbose"), measured)
    for number in range(3):
        assert release.db(number).config_get("loglevel")["loglevel"] == "verbose"


def test_an_upgrade_that_changes_nothing_restarts_nothing(release):
    before, secrets = identifiers(release), secret_versions(release)
    release.upgrade("--reuse-values")
    release.wait_until_ready()
    assert identifiers(release) == before
    assert secret_versions(release) == secrets


def test_one_kind_is_left_alone_when_only_the_other_changes(release):
    before = identifiers(release, "sentinel")
    release.upgrade("--reuse-values", "--set", "db.config.maxmemory=120mb")
    release.wait_until_ready()
    release.wait_for_roles()
    assert identifiers(release, "sentinel") == before
    assert release.db(0).config_get("maxmemory")["maxmemory"] == str(120 << 20)


def test_wrong_values_change_nothing(release):
    before = identifiers(release)
    with pytest.raises(CommandFailed, match="terminationGracePeriodSeconds must be at least"):
        release.upgrade("--reuse-values", "--set", "db.terminationGracePeriodSeconds=5")
    with pytest.raises(CommandFailed, match="replicacount|additional properties|Additional property"):
        release.upgrade("--reuse-values", "--set", "replicacount=5")
    assert identifiers(release) == before


def secret_versions(release):
    return {one["metadata"]["name"]: one["metadata"]["resourceVersion"]
            for one in release.api.list("Secret", release.namespace) if one["metadata"]["name"].startswith("dssm-")}


def test_uninstall_keeps_data_and_certificates_and_a_new_install_finds_both(release):
    release.wait_for_roles()
    client = release.through_service()
    assert client.set("kept", "across an uninstall")
    assert client.execute_command("WAIT", 2, 5000) == 2
    secrets, claims = secret_versions(release), claims_of(release)
    release.helm("uninstall", "f5-dssm")
    release.wait_until_gone()
    assert claims_of(release) == claims and len(claims) == 3
    assert secret_versions(release) == secrets
    for kind in ("StatefulSet", "PodDisruptionBudget", "ConfigMap", "CronJob", "Role", "RoleBinding"):
        left = [one["metadata"]["name"] for one in release.api.list(kind, release.namespace)]
        # The coordinator's memory is not the release's, and so survives it.
        assert {name for name in left if name.startswith("f5-dssm")} <= {"f5-dssm-restart-coordinator-state"}, kind

    release.install("-f", example("page-registry"), "--set", "certInit.keyAlgorithm=ecdsa-p256")
    release.wait_for_roles()
    assert release.through_service().get("kept") == "across an uninstall"
    assert secret_versions(release) == secrets
    assert claims_of(release) == claims


def claims_of(release):
    return {one["metadata"]["name"]: one["spec"]["volumeName"]
            for one in release.api.list("PersistentVolumeClaim", release.namespace)}
