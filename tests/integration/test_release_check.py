"""dssm-sentinel --check: it finds a whole release well, and says what is wrong with another."""

import subprocess
import time

import pytest
from localcluster import binaries
from localcluster.processes import free_port
from support import eventually
from test_role_discovery import Cluster


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    made.start()
    made.wait_until_settled()
    yield made
    made.kill()


def check(cluster, *arguments, sentinel=0):
    node = cluster.sentinels[sentinel]
    words = arguments or ("--check", "127.0.0.1", node.port, "2")
    return subprocess.run([binaries.ours("dssm-sentinel"), node.write_settings(), *map(str, words)],
                          capture_output=True, text=True, timeout=30)


def test_a_whole_release_is_well_and_nothing_is_left_in_it(cluster):
    before = [node.process.pid for node in cluster.nodes]
    result = check(cluster)
    assert result.returncode == 0, result.stderr
    port = cluster.sentinels[0].port
    assert result.stdout.splitlines() == [
        f"127.0.0.1:{port}: OK 3 usable Sentinels. Quorum and failover authorization can be reached",
        f"the primary is 127.0.0.1:{cluster.dbs[0].port}", f"a write and a read at 127.0.0.1:{port} work", "all 3 dbs have it"]
    assert cluster.dbs[0].answer("DBSIZE") == 0
    assert [node.process.pid for node in cluster.nodes] == before and all(node.process.is_alive for node in cluster.nodes)


def test_a_release_that_becomes_whole_in_time_is_well(cluster):
    replica = cluster.dbs[2]
    cluster.kill([replica])
    command = [binaries.ours("dssm-sentinel"), cluster.sentinels[0].write_settings(), "--check", "127.0.0.1",
               str(cluster.sentinels[0].port), "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: cluster.dbs[0].answer("DBSIZE") == 1, "its key is written")
        replica.start()
        out, problem = process.communicate(timeout=25)
    assert process.returncode == 0, problem
    assert out.endswith("all 3 dbs have it\n")


def test_what_does_not_answer_is_named(cluster):
    cluster.kill([cluster.dbs[2]])
    result = check(cluster)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"dssm-sentinel: the check failed: the same at 127.0.0.1:{cluster.dbs[2].port}: no answer (Connection refused)\n")
    cluster.kill(cluster.sentinels[1:])
    eventually(lambda: check(cluster).stderr.startswith("dssm-sentinel: the check failed: SENTINEL CKQUORUM of 127.0.0.1:"),
               "the quorum is missed", 20)


def test_without_forwarding_the_primary_is_written_to_itself(cluster):
    node = cluster.sentinels[0]
    with open(node.write_settings(), "a") as file:
        file.write("forward-commands no\n")
    result = subprocess.run([binaries.ours("dssm-sentinel"), file.name, "--check", "127.0.0.1", str(node.port), "2"],
                            capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    assert f"a write and a read at 127.0.0.1:{cluster.dbs[0].port} work" in result.stdout


def test_a_signal_ends_it(cluster):
    cluster.kill([cluster.dbs[2]])
    command = [binaries.ours("dssm-sentinel"), cluster.sentinels[0].write_settings(), "--check", "127.0.0.1",
               str(cluster.sentinels[0].port), "60"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        eventually(lambda: cluster.dbs[0].answer("DBSIZE") == 1, "its key is written")
        process.terminate()
        _, problem = process.communicate(timeout=5)
    assert (process.returncode, problem) == (1, "dssm-sentinel: the check failed: it was interrupted\n")


def test_it_gives_up_in_time(cluster):
    start = time.monotonic()
    port = free_port()
    result = check(cluster, "--check", "127.0.0.1", port, "1")
    assert result.returncode == 1 and f"SENTINEL at 127.0.0.1:{port}: no answer (Connection refused)" in result.stderr
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("arguments", [["--check"], ["--check", "host"], ["--check", "host", "0"], ["--check", "host", "x"],
                                       ["--check", "host", "1", "0"], ["--check", "host", "1", "2", "3"]])
def test_wrong_usage_is_told(cluster, arguments):
    result = check(cluster, *arguments)
    assert result.returncode == 2
    assert result.stderr == "dssm-sentinel: expected: <file> --check <host> <port> [<seconds>]\n"
