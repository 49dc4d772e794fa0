"""Three dbs and three sentinels that find their roles by asking, as pods do: in any order, after any single loss."""

import os
import random
import shutil
import urllib.error
import urllib.request

import pytest
from localcluster import binaries
from localcluster.processes import Process, free_port
from localcluster.resp import Client, ConnectionClosed, ReplyError, parse_info
from support import eventually

PRIMARY = "dssm"


class Node:
    def __init__(self, cluster, kind, index):
        self.cluster, self.kind, self.index, self.name = cluster, kind, index, f"{kind}-{index}"
        self.port = free_port()
        self.metrics_port = free_port()
        self.folder = os.path.join(cluster.folder, self.name)
        self.process, self.starts = None, 0
        self.unreachable = []  # nodes whose address it gets wrong

    def write_settings(self):
        """Read-only, like a ConfigMap's; what is the pod's own comes by the command line."""
        cluster = self.cluster
        lines = ["bind 127.0.0.1", f"dir {self.folder}", f"metrics-port {self.metrics_port}"]
        if self.kind == "db":
            lines += ["protected-mode no", "save \"\"", "appendonly yes", "appendfsync everysec",
                      f"discovery-primary-name {PRIMARY}", f"discovery-wait {cluster.wait}"]
            lines += [f"sentinel-discovery 127.0.0.1 {node.port}" for node in cluster.sentinels]
        else:
            lines += [f"state-file {self.folder}/state.conf", f"discovery-wait {cluster.wait}",
                      f"sentinel monitor {PRIMARY} 127.0.0.1 {cluster.dbs[0].port} 2",
                      f"sentinel down-after-milliseconds {PRIMARY} 1000", f"sentinel failover-timeout {PRIMARY} 5000"]
            lines += [f"discovery-sentinel 127.0.0.1 {node.port}" for node in cluster.sentinels]
        lines += [f"discovery-db 127.0.0.1 {free_port() if node in self.unreachable else node.port}" for node in cluster.dbs]
        path = os.path.join(cluster.folder, f"{self.name}.conf")
        with open(path, "w") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def start(self):
        os.makedirs(self.folder, exist_ok=True)
        own = ["--port", self.port]
        if self.kind == "db":
            own += ["--replica-announce-ip", "127.0.0.1", "--replica-announce-port", self.port]
        else:
            own += ["--sentinel announce-ip 127.0.0.1", f"--sentinel announce-port {self.port}"]
        command = [binaries.ours("dssm-" + self.kind), self.write_settings(), *map(str, own)]
        self.starts += 1
        self.process = Process(self.name, command, os.path.join(self.cluster.folder, f"{self.name}-{self.starts}.log"), cwd=self.folder).start()

    def answer(self, *words):
        try:
            with Client(self.port, timeout=2) as client:
                return client.call(*words)
        except (OSError, ConnectionClosed, ReplyError):
            return None

    def info(self, section="replication"):
        text = self.answer("INFO", section)
        return {} if text is None else parse_info(text)

    def lose_volume(self):
        shutil.rmtree(self.folder)


class Cluster:
    def __init__(self, folder, wait=60):
        self.folder, self.wait = str(folder), wait
        self.dbs = [Node(self, "db", index) for index in range(3)]
        self.sentinels = [Node(self, "sentinel", index) for index in range(3)]

    @property
    def nodes(self):
        return self.dbs + self.sentinels

    def start(self, nodes=None):
        for node in nodes or self.nodes:
            node.start()

    def kill(self, nodes=None):
        # Sentinels first: they would take the end of the dbs for a failure.
        for node in nodes or self.sentinels + self.dbs:
            if node.process is not None and node.process.is_alive:
                node.process.kill()

    def state(self):
        return {node.name: {key: value for key, value in node.info().items() if key in ("role", "master_port", "master_link_status", "dssm_role", "dssm_role_record")}
                for node in self.dbs} | {node.name: node.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY) for node in self.sentinels}

    def settled_primary(self):
        """The one primary, if all agree on it and all follow it."""
        roles = [node.info() for node in self.dbs]
        primaries = [node for node, info in zip(self.dbs, roles) if info.get("role") == "master"]
        if len(primaries) != 1:
            return None
        primary = primaries[0]
        followers = [info for info in roles if info.get("role") == "slave" and info.get("master_link_status") == "up"
                     and info.get("master_port") == str(primary.port)]
        named = [node.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY) for node in self.sentinels]
        if len(followers) == 2 and all(name and int(name[1]) == primary.port for name in named):
            return primary
        return None

    def wait_until_settled(self, seconds=20):
        try:
            return eventually(self.settled_primary, lambda: f"one primary that all agree on; {self.state()}", seconds)
        except Exception:
            for node in self.nodes:
                print(f"--- {node.name}\n{node.process.log_tail(25)}")
            raise

    def fail_over(self):
        """Another primary than the first, so that a guess would be wrong."""
        eventually(lambda: self.sentinels[0].answer("SENTINEL", "FAILOVER", PRIMARY) == "OK", "a replica can be promoted")
        return eventually(lambda: (found := self.settled_primary()) not in (None, self.dbs[0]) and found, "another primary", 20)

    def write(self, primary, key="kept", value="yes"):
        assert primary.answer("SET", key, value) == "OK"
        self.wait_until_all_have(key, value)

    def wait_until_all_have(self, key="kept", value="yes"):
        eventually(lambda: all(node.answer("GET", key) == value.encode() for node in self.dbs), f"all dbs have {key}")


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    yield made
    made.kill()


@pytest.mark.parametrize("order", range(3))
def test_a_parallel_cold_start_in_any_order_makes_the_first_db_the_primary(cluster, order):
    nodes = list(cluster.nodes)
    random.Random(order).shuffle(nodes)
    cluster.start(nodes)
    assert cluster.wait_until_settled() is cluster.dbs[0]


def test_nobody_is_the_primary_before_a_majority_of_sentinels_answers(cluster):
    cluster.start([*cluster.dbs, cluster.sentinels[0]])
    eventually(lambda: "1 of 3 sentinels answer" in cluster.dbs[0].process.log(), "the log says what is missing")
    assert {node.info().get("dssm_role") for node in cluster.dbs} == {"undecided"}
    with Client(cluster.dbs[0].port) as client, pytest.raises(ReplyError, match="READONLY"):
        client.call("SET", "a", "1")
    with pytest.raises(urllib.error.HTTPError) as problem:
        urllib.request.urlopen(f"http://127.0.0.1:{cluster.dbs[0].metrics_port}/readyz", timeout=5)
    assert problem.value.code == 503 and b"role is not decided" in problem.value.read()
    cluster.start(cluster.sentinels[1:])
    assert cluster.wait_until_settled() is cluster.dbs[0]


def test_all_six_restarted_at_once_keep_primary_and_data(cluster):
    cluster.start()
    cluster.write(cluster.wait_until_settled())
    before = cluster.fail_over()
    cluster.write(before, "later")
    cluster.kill()
    cluster.start()
    assert cluster.wait_until_settled() is before
    cluster.wait_until_all_have("kept")
    cluster.wait_until_all_have("later")


def test_all_six_restarted_with_sentinels_that_have_no_memory(cluster):
    """What `kubectl delete pods` of all six does when only the dbs have volumes."""
    cluster.start()
    cluster.wait_until_settled()
    before = cluster.fail_over()
    cluster.write(before)
    cluster.kill()
    for sentinel in cluster.sentinels:
        sentinel.lose_volume()
    cluster.start()
    assert cluster.wait_until_settled() is before
    cluster.wait_until_all_have()


@pytest.mark.parametrize("lost", ["primary", "replica"])
@pytest.mark.parametrize("memory", ["sentinels remember", "sentinels forget"])
def test_one_lost_volume_loses_no_data(cluster, lost, memory):
    cluster.start()
    primary = cluster.wait_until_settled()
    cluster.write(primary)
    cluster.kill()
    node = primary if lost == "primary" else next(node for node in cluster.dbs if node is not primary)
    node.lose_volume()
    if memory == "sentinels forget":
        for sentinel in cluster.sentinels:
            sentinel.lose_volume()
    cluster.start()
    after = cluster.wait_until_settled(60)
    assert (after is primary) == (lost == "replica")
    cluster.wait_until_all_have()


def test_an_empty_primary_that_is_back_at_once_does_not_empty_its_replicas(cluster):
    cluster.start()
    primary = cluster.wait_until_settled()
    cluster.write(primary)
    cluster.kill([primary])
    primary.lose_volume()
    primary.start()
    assert cluster.wait_until_settled(60) is not primary
    cluster.wait_until_all_have()


def test_a_sentinel_that_lost_its_file_learns_the_present_primary(cluster):
    cluster.start()
    cluster.wait_until_settled()
    now = cluster.fail_over()
    cluster.kill([cluster.sentinels[2]])
    cluster.sentinels[2].lose_volume()
    cluster.sentinels[2].start()
    assert cluster.wait_until_settled() is now
    log = cluster.sentinels[2].process.log()
    assert "other sentinels name it" in log and f"+monitor master {PRIMARY} 127.0.0.1 {now.port} quorum 2" in log
    assert f"+monitor master {PRIMARY} 127.0.0.1 {cluster.dbs[0].port} " not in log


def test_a_first_start_goes_on_without_a_db_that_never_comes(tmp_path):
    cluster = Cluster(tmp_path, wait=2)
    try:
        cluster.start([*cluster.dbs[:2], *cluster.sentinels])
        eventually(lambda: cluster.dbs[0].info().get("role") == "master", "the first db is the primary")
        eventually(lambda: cluster.dbs[1].info().get("master_link_status") == "up", "the second follows it")
    finally:
        cluster.kill()


def test_two_dbs_that_see_only_the_third_do_not_both_become_the_primary(tmp_path):
    cluster = Cluster(tmp_path, wait=2)
    try:
        cluster.start()
        primary = cluster.wait_until_settled()
        cluster.write(primary)
        cluster.kill()
        for sentinel in cluster.sentinels:
            sentinel.lose_volume()
        other = next(node for node in cluster.dbs if node is not primary)
        primary.unreachable, other.unreachable = [other], [primary]
        cluster.start()
        both = []

        def settled():
            if sum(node.info().get("role") == "master" for node in cluster.dbs) > 1:
                both.append(cluster.state())
            return both or cluster.settled_primary()

        found = eventually(settled, lambda: f"one primary; {cluster.state()}", 30)
        assert not both
        assert found is primary, "the third db supports the best of those that it sees"
        cluster.wait_until_all_have()
    finally:
        cluster.kill()


def test_a_db_that_is_not_in_its_own_list_does_not_start(cluster):
    cluster.dbs[0].port, right = free_port(), cluster.dbs[0].port
    os.makedirs(cluster.dbs[0].folder)
    path = cluster.dbs[1].write_settings()
    process = Process("stray", [binaries.ours("dssm-db"), path, "--port", str(right), "--replica-announce-ip", "10.9.9.9"],
                      os.path.join(cluster.folder, "stray.log"), cwd=cluster.folder).start()
    eventually(lambda: not process.is_alive, "it ends")
    assert "this server's own address" in process.log()
