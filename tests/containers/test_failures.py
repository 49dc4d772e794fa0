"""What happens to pods, and what a client sees of it: nothing that was acknowledged is lost, and one primary is left."""

import shutil
import time

import pytest
from localcluster.resp import ConnectionClosed, ReplyError
from podman import podman
from release import Writer, sets
from support import eventually


@pytest.fixture(scope="module")
def installed(install):
    release = install(*sets("db.writeQuorum=1"))
    release.wait_until_whole()
    return release


@pytest.fixture
def release(installed):
    """Whole before each test, and again after it."""
    installed.wait_until_whole()
    yield installed
    installed.wait_until_whole()


def majority_names(release, pods):
    """The primary that at least two of these sentinels name."""
    named = [release.named_primary(pod) for pod in pods]
    return next((pod for pod in named if pod is not None and named.count(pod) >= 2), None)


def wait_for_another(release, old, sentinels=None, seconds=30):
    return eventually(lambda: (found := majority_names(release, sentinels or release.sentinels)) is not old and found,
                      "another primary than " + old.name, seconds)


@pytest.mark.parametrize("restart", ["held back", "at once"])
def test_a_killed_primary_loses_no_acknowledged_write(release, restart):
    old = release.wait_until_settled()
    with Writer(release, f"killed {restart}") as writer:
        writer.wait_for(300)
        old.main.kill(hold=restart == "held back")
        if restart == "held back":
            wait_for_another(release, old)
        writer.wait_for(300)
    print(f"killed, {restart}: longest pause of writes {writer.longest_pause:.2f} s, {len(writer.errors)} errors, "
          f"{len(writer.acknowledged)} acknowledged")
    old.main.release()
    release.wait_until_whole()
    release.assert_everywhere(writer.acknowledged)


def test_a_deleted_primary_hands_over(release):
    old = release.wait_until_settled()
    with Writer(release, "deleted") as writer:
        writer.wait_for(300)
        old.stop()
        writer.wait_for(300)
        old.start()
        new = release.wait_until_whole()
    assert new is not old
    print(f"deleted: longest pause of writes {writer.longest_pause:.2f} s, errors {writer.errors}")
    release.assert_everywhere(writer.acknowledged)


def test_a_rolling_restart_of_all_six_loses_nothing(release):
    start = time.monotonic()
    with Writer(release, "rolling") as writer:
        for pod in sorted(release.pods.values(), key=lambda pod: pod.name, reverse=True):
            pod.stop()
            pod.start()
            release.wait_until_whole()
        writer.wait_for(300)
    print(f"rolling restart: {time.monotonic() - start:.0f} s, longest pause of writes {writer.longest_pause:.2f} s, "
          f"{len(writer.errors)} errors, {len(writer.acknowledged)} acknowledged")
    release.assert_everywhere(writer.acknowledged)


@pytest.mark.parametrize("side", ["alone", "with one sentinel"])
def test_a_primary_cut_off_from_the_others_acknowledges_nothing(release, side):
    old = release.wait_until_settled()
    inside = [old, release.sentinels[0]] if side == "with one sentinel" else [old]
    outside = [pod for pod in release.sentinels if pod not in inside]
    with Writer(release, f"cut {side}") as writer:
        writer.wait_for(300)
        for pod in inside:
            pod.isolate(*inside)
        new = wait_for_another(release, old, outside)
        writer.wait_for(300)
        # This machine still reaches it, as a client on its side of the partition would.
        with release.client(old, timeout=3) as client, pytest.raises((ReplyError, ConnectionClosed, OSError)):
            client.call("SET", f"cut off {side}", "must not be acknowledged")
        for pod in inside:
            pod.rejoin()
        after = release.wait_until_settled(other_than=old)
        writer.wait_for(300)
    assert after is new
    print(f"cut off, {side}: longest pause of writes {writer.longest_pause:.2f} s, errors {writer.errors}")
    release.assert_everywhere(writer.acknowledged)
    assert all(release.call(pod, "EXISTS", f"cut off {side}") == 0 for pod in release.dbs)


def test_a_frozen_primary_that_wakes_up_steps_back(release):
    old = release.wait_until_settled()
    with Writer(release, "frozen") as writer:
        writer.wait_for(300)
        podman("pause", old.main.full_name)
        wait_for_another(release, old)
        writer.wait_for(300)
        podman("unpause", old.main.full_name)
        assert release.wait_until_settled() is not old
        writer.wait_for(300)
    print(f"frozen: longest pause of writes {writer.longest_pause:.2f} s, {len(writer.errors)} errors")
    release.assert_everywhere(writer.acknowledged)


@pytest.mark.parametrize("whose", ["primary", "replica"])
def test_a_db_that_lost_its_volume_comes_back_as_a_replica_with_the_data(release, whose):
    primary = release.wait_until_settled()
    with Writer(release, f"volume of {whose}") as writer:
        writer.wait_for(500)
    pod = primary if whose == "primary" else next(pod for pod in release.dbs if pod is not primary)
    # SIGKILL and no grace: nothing is handed over.
    pod.stop(grace=0)
    shutil.rmtree(pod.claim("data"))
    pod.start()
    after = release.wait_until_whole()
    assert after is not pod
    release.assert_everywhere(writer.acknowledged)


def test_all_killed_at_once_come_back_with_what_was_acknowledged(release):
    """The machines' power fails. Data that two dbs have is still there; the sentinels' memory is not, it was in emptyDirs."""
    with Writer(release, "power") as writer:
        writer.wait_for(500)
        release.at_once(lambda pod: pod.stop(grace=0), release.pods.values())
    start = time.monotonic()
    release.start_pods()
    release.wait_until_whole()
    print(f"all killed: whole {time.monotonic() - start:.1f} s after the pods were made again")
    release.assert_everywhere(writer.acknowledged)


def test_a_sentinel_that_lost_its_file_learns_the_present_primary(release):
    before = release.wait_until_settled()
    eventually(lambda: release.answer(release.sentinels[0], "SENTINEL", "FAILOVER", "dssm") == "OK", "a replica can be promoted")
    now = release.wait_until_settled(other_than=before)
    sentinel = release.sentinels[2]
    identity = release.call(sentinel, "SENTINEL", "MYID")
    sentinel.stop()
    sentinel.start()
    assert release.wait_until_whole() is now
    assert release.call(sentinel, "SENTINEL", "MYID") != identity, "its file was not lost"
    eventually(lambda: release.answer(release.sentinels[0], "SENTINEL", "CKQUORUM", "dssm") is not None, "the quorum is whole")


def test_helm_test_tells_which_db_does_not_answer(release):
    primary = release.wait_until_settled()
    replica = next(pod for pod in release.dbs if pod is not primary)
    replica.main.kill(hold=True)
    release.upgrade(*sets("helmTest.timeoutSeconds=3"))
    result = release.helm_test()
    replica.main.release()
    assert result.returncode == 1 and result.stdout == ""
    assert result.stderr.strip() == f"dssm-sentinel: the check failed: the same at {replica.host}:6379: no answer (Connection refused)"


def test_without_a_majority_of_sentinels_writes_go_on(release):
    primary = release.wait_until_settled()
    for pod in release.sentinels[1:]:
        pod.main.kill(hold=True)
    with release.client(release.sentinels[0]) as client:
        assert client.call("SET", "few sentinels", "yes") == "OK"
    assert release.named_primary(release.sentinels[0]) is primary
    for pod in release.sentinels[1:]:
        pod.main.release()
