"""The release as installed: it becomes ready, takes writes, and keeps them over restarts."""

import subprocess
import time

import pytest
from conftest import ARBITRARY_USER
from podman import inspect
from release import Writer, sets


#: Who runs the processes, and where the sentinels' memory is.
VARIANTS = {"image's user, emptyDir": (None, "disable"), "arbitrary user, claim": (ARBITRARY_USER, "enable")}


@pytest.fixture(scope="module", params=list(VARIANTS))
def release(request, install):
    user, storage = VARIANTS[request.param]
    before = time.monotonic()
    release = install(*sets("db.writeQuorum=1", f"sentinel.persistent_storage={storage}"), user=user)
    release.wait_until_ready()
    release.seconds_to_ready = time.monotonic() - before
    yield release


def test_all_six_become_ready(release):
    print(f"six pods ready {release.seconds_to_ready:.1f} s after the install, cert-init's Job included")
    assert release.wait_until_settled().name == "f5-dssm-db-0"
    assert not any(pod.restarts for pod in release.pods.values())


def test_processes_run_without_rights(release):
    for pod in release.pods.values():
        state = inspect("container", pod.main.full_name)
        with open(f"/proc/{pod.main.pid}/status") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file)
        assert status["Uid"].split()[0] == str(release.user or 10001)
        assert status["CapEff"].strip("0") == "" and status["CapBnd"].strip("0") == "" and status["NoNewPrivs"] == "1"
        assert status["Seccomp"] == "2"
        assert state["HostConfig"]["ReadonlyRootfs"] and state["HostConfig"]["Memory"] == 256 << 20


def test_a_write_through_a_sentinel_reaches_all_dbs(release):
    release.wait_until_settled()
    for number, sentinel in enumerate(release.sentinels):
        result = release.cli(sentinel, "SET", f"record:{number}", f"value {number}")
        assert result.stdout == "OK\n", result.stdout + result.stderr
    release.assert_everywhere({f"record:{number}": f"value {number}" for number in range(3)})


def test_dbs_answer_on_both_ports_and_to_certificates_only(release):
    primary = release.wait_until_settled()
    for port in (6379, 26379):
        assert release.call(primary, "PING", port=port) == "PONG"
        bare = subprocess.run(["redis-cli", "-h", primary.address, "-p", str(port), "--tls", "--cacert", release.client_files.authority,
                               "PING"], capture_output=True, text=True, timeout=30)
        assert "PONG" not in bare.stdout and "rror" in bare.stdout + bare.stderr


def test_helm_test_finds_a_whole_release_well(release):
    primary = release.wait_until_whole()
    result = release.helm_test()
    assert result.returncode == 0, result.stderr
    service = "f5-dssm-sentinel.cnf-gateway.svc.cluster.local:26379"
    assert result.stdout.splitlines() == [
        f"{service}: OK 3 usable Sentinels. Quorum and failover authorization can be reached", f"the primary is {primary.host}:6379",
        f"a write and a read at {service} work", "all 3 dbs have it"]
    assert release.call(primary, "KEYS", "dssm-check:*") == [], "nothing is left behind"


def test_all_six_restarted_at_once_keep_primary_and_data(release):
    before = release.wait_until_settled()
    with Writer(release, "restart") as writer:
        writer.wait_for(500)
    addresses = {pod.address for pod in release.pods.values()}
    start = time.monotonic()
    release.at_once(lambda pod: pod.stop(), release.pods.values())
    stopped = time.monotonic()
    release.start_pods()
    after = release.wait_until_whole()
    print(f"six pods deleted in {stopped - start:.1f} s, ready again after {time.monotonic() - stopped:.1f} s; "
          f"primary {before.name}, then {after.name}")
    assert not addresses & {pod.address for pod in release.pods.values()}, "new pods have new addresses"
    release.assert_everywhere(writer.acknowledged)
