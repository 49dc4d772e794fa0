"""dssm-restart-coordinator as a process: it restarts three dbs and three sentinels that run, and is itself killed while it does."""

import concurrent.futures
import datetime
import json
import os
import subprocess
import threading
import time
import urllib.request

import pytest
from api_server import ApiServer
from localcluster import binaries
from localcluster.processes import Process, free_port
from localcluster.resp import Client, ConnectionClosed, ReplyError
from support import eventually
from test_role_discovery import Cluster

NAMESPACE, TMM = "cnf-gateway", "cnf-apps"
STATE = (NAMESPACE, "configmaps", "f5-dssm-restart-coordinator-state")
EVERY_POD = ["f5-dssm-db-2", "f5-dssm-db-1", "f5-dssm-db-0", "f5-dssm-sentinel-2", "f5-dssm-sentinel-1", "f5-dssm-sentinel-0"]


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Pods(ApiServer):
    """The cluster's objects as pods of processes that really run: an eviction is a SIGTERM and a new start."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.evictions, self.missing, self.worst_missing = cluster, [], set(), 0
        self.nodes = {f"f5-dssm-{node.name}": node for node in cluster.nodes}
        self.revision = "rev-1"
        # One thread for all: a process ends with the thread that started it.
        self.kubelet = concurrent.futures.ThreadPoolExecutor(1)
        for name in ("f5-dssm-db", "f5-dssm-sentinel"):
            self.put_object(NAMESPACE, "statefulsets", "StatefulSet", name, {
                "spec": {"replicas": 3, "serviceName": name, "selector": {"matchLabels": {"app": name}},
                         "updateStrategy": {"type": "OnDelete"}},
                "status": {"updateRevision": self.revision}})
        for name in self.nodes:
            self.add_pod(name)
        self.on_write = lambda method, path: None

    def add_pod(self, name):
        node = self.nodes[name]
        app = name.rpartition("-")[0]
        self.put_object(NAMESPACE, "pods", "Pod", name, {
            "spec": {"containers": [{"ports": [{"name": node.kind, "containerPort": node.port}]}]},
            "status": {"phase": "Running", "podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": "True"}]},
        }, labels={"app": app, "controller-revision-hash": self.revision}, creationTimestamp=now())

    def change_templates(self):
        self.revision = "rev-2"
        for name in ("f5-dssm-db", "f5-dssm-sentinel"):
            self.objects[NAMESPACE, "statefulsets", name]["status"]["updateRevision"] = self.revision

    def evict(self, namespace, pod):
        if pod not in self.nodes or pod in self.missing:
            return self.failure(404, "NotFound")
        self.missing.add(pod)
        self.evictions.append(pod)
        self.worst_missing = max(self.worst_missing, len(self.missing))
        self.objects[namespace, "pods", pod]["metadata"]["deletionTimestamp"] = now()
        self.kubelet.submit(self.replace, pod)
        return 201, {"kind": "Status", "status": "Success"}

    def replace(self, pod):
        node = self.nodes[pod]
        node.process.stop()
        node.start()
        eventually(lambda: node.answer("PING") is not None, f"{pod} answers", 20)
        with self.lock:
            self.add_pod(pod)
            self.missing.discard(pod)

    def add_tmm(self, name, replicas):
        self.put_object(TMM, "deployments", "Deployment", name, {
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}}}, "status": {}})
        self.settle_tmm()

    def settle_tmm(self):
        """The Deployment's controller, asked whenever somebody looks."""
        for (namespace, resource, name), deployment in list(self.objects.items()):
            if (namespace, resource) != (TMM, "deployments"):
                continue
            wanted = deployment["spec"]["replicas"]
            pods = [key for key in self.objects if key[:2] == (TMM, "pods") and key[2].startswith(name)]
            for key in pods[wanted:]:
                del self.objects[key]
            for index in range(len(pods), wanted):
                self.put_object(TMM, "pods", "Pod", f"{name}-{index}-{next(self.versions)}", {"status": {"phase": "Running"}}, labels={"app": name})
            deployment["status"]["readyReplicas"] = wanted

    def serve(self, method, path, query, body):
        self.settle_tmm()
        return super().serve(method, path, query, body)

    def replicas(self, name):
        return self.objects[TMM, "deployments", name]["spec"]["replicas"]

    def served(self, method, path):
        counts = method != "GET" and "/leases" not in path and "/events" not in path
        return not (counts and self.on_write(method, path))

    def state(self):
        return json.loads(self.objects[STATE]["data"]["state.json"]) if STATE in self.objects else {}

    def last_outcome(self):
        history = self.state().get("history") or [{}]
        return history[0].get("outcome")


class Coordinator:
    """One instance; `replacement` is the next pod of the Deployment."""

    def __init__(self, pods, folder, name="a", **settings):
        self.folder, self.name, self.starts, self.process = str(folder), name, 0, None
        self.http = free_port()
        lines = {"namespace": NAMESPACE, "lease-duration": "1s", "interval": "500ms", "busy-interval": "50ms", "step-allowance": "5s",
                 "probe-timeout": "1s"} | settings
        text = "".join(f"{key}: {value}\n" for key, value in lines.items())
        text += f"tls: {{enabled: false}}\nhttp: {{host: 127.0.0.1, port: {self.http}}}\n"
        text += 'windows: [{name: always, cron: "* * * * *", time-zone: Europe/Berlin, duration: 1h}]\n'
        self.config = os.path.join(self.folder, f"coordinator-{name}.yaml")
        with open(self.config, "w") as file:
            file.write(text)
        self.kubeconfig = os.path.join(self.folder, f"kubeconfig-{name}")
        with open(self.kubeconfig, "w") as file:
            json.dump({"current-context": "test", "contexts": [{"name": "test", "context": {"cluster": "test"}}],
                       "clusters": [{"name": "test", "cluster": {"server": pods.url}}]}, file)

    def start(self):
        self.starts += 1
        command = [binaries.ours("dssm-restart-coordinator"), "run", "--config", self.config, "--kubeconfig", self.kubeconfig]
        self.process = Process(f"coordinator-{self.name}", command, os.path.join(self.folder, f"coordinator-{self.name}-{self.starts}.log"),
                               cwd=self.folder).start()
        return self

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}{path}", timeout=5) as answer:
            return answer.read().decode()

    def status(self):
        """Empty while it does not listen yet."""
        assert self.process.is_alive, self.process.log_tail(20)
        try:
            return json.loads(self.get("/api/status"))
        except OSError:
            return {}

    def plan(self):
        return subprocess.run([binaries.ours("dssm-restart-coordinator"), "plan", "--config", self.config, "--kubeconfig", self.kubeconfig],
                              capture_output=True, text=True, timeout=30)


class Writer(threading.Thread):
    """Writes numbers through a sentinel's forwarding, as a client with one address does, and remembers what was acknowledged."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.acknowledged, self.ending = cluster, [], threading.Event()

    def run(self):
        number = 0
        while not self.ending.is_set():
            for sentinel in self.cluster.sentinels:
                try:
                    with Client(sentinel.port, timeout=10) as client:
                        while not self.ending.is_set():
                            number += 1
                            if client.call("SET", f"key:{number}", str(number)) == "OK":
                                self.acknowledged.append(number)
                            time.sleep(0.002)
                except (OSError, ConnectionClosed, ReplyError):
                    time.sleep(0.05)

    def finish(self):
        self.ending.set()
        self.join(30)
        assert not self.is_alive()
        return self.acknowledged


@pytest.fixture
def cluster(tmp_path):
    made = Cluster(tmp_path)
    made.start()
    made.wait_until_settled()
    yield made
    made.kill()


@pytest.fixture
def pods(cluster):
    made = Pods(cluster)
    yield made
    made.stop()
    cluster.kill()
    made.kubelet.shutdown()


def kept(cluster, numbers):
    primary = cluster.wait_until_settled(30)
    with Client(primary.port, timeout=10) as client:
        return [number for number in numbers if client.call("GET", f"key:{number}") != str(number).encode()]


def test_all_six_are_restarted_under_load_and_no_acknowledged_write_is_lost(cluster, pods, tmp_path):
    writer = Writer(cluster)
    writer.start()
    coordinator = Coordinator(pods, tmp_path)
    coordinator.start()
    try:
        eventually(lambda: coordinator.status().get("leader"), "it leads", 20)
        plan = coordinator.plan()
        assert plan.returncode == 0 and "Nothing has to be restarted" in plan.stdout, plan
        pods.change_templates()
        assert "restarting f5-dssm-db-" in coordinator.plan().stdout
        eventually(lambda: pods.last_outcome() == "succeeded", lambda: f"the run ends; {pods.state()}", 60)
        # The primary was wherever the start had left it: replicas first, it last of the dbs.
        assert sorted(pods.evictions) == sorted(EVERY_POD)
        assert [name for name in pods.evictions if "sentinel" in name] == EVERY_POD[3:]
        assert pods.worst_missing == 1
        status = coordinator.status()
        assert [pod["dueReasons"] for pod in status["cluster"]["dbs"]] == [[], [], []]
        eventually(lambda: "6 of 6" in coordinator.get("/"), "the page shows the run that has ended")
        assert 'dssm_coordinator_runs_total{outcome="succeeded"} 1' in coordinator.get("/metrics")
        reasons = [event["reason"] for key, event in pods.objects.items() if key[1] == "events"]
        assert {"RestartBegun", "PodEvicted", "HandOver", "RestartFinished"} <= set(reasons)
    finally:
        coordinator.process.stop()
    acknowledged = writer.finish()
    assert len(acknowledged) > 100
    assert kept(cluster, acknowledged) == []
    assert pods.objects[NAMESPACE, "leases", "f5-dssm-restart-coordinator"]["spec"]["holderIdentity"] == "", "given up at the end"


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_coordinator_killed_at_every_write_is_followed_by_one_that_finishes(cluster, pods, tmp_path, moment):
    pods.add_tmm("f5-tmm", 3)
    pods.change_templates()
    coordinator = Coordinator(pods, tmp_path, tmm='{restart: true, workloads: [{namespace: cnf-apps, name: f5-tmm}]}')
    kills, seen, down = [], set(), threading.Event()

    def kill(method, path):
        """True for each first time that something is written: the writer is dead then."""
        version = json.dumps(pods.state().get("run", {}).get("step"))
        write = (method, path.rpartition("/")[2], version)
        if write in seen or down.is_set():
            return False
        seen.add(write)
        kills.append(write)
        down.set()
        coordinator.process.kill()
        return True

    if moment == "after":
        pods.on_write = kill
    else:
        pods.admit = lambda method, path: method == "GET" or "/leases" in path or "/events" in path or not kill(method, path)
    coordinator.start()
    deadline = time.monotonic() + 150
    while pods.last_outcome() != "succeeded" or down.is_set():
        assert time.monotonic() < deadline, (pods.state(), kills, coordinator.process.log_tail(20))
        if down.is_set():
            down.clear()
            coordinator.start()
        time.sleep(0.02)
    coordinator.process.stop()
    print(f"{len(kills)} kills")
    assert len(kills) > 15
    assert sorted(pods.evictions) == sorted(EVERY_POD)
    assert pods.worst_missing == 1
    assert pods.replicas("f5-tmm") == 3
    assert "dssm-restart-coordinator/replicas" not in pods.objects[TMM, "deployments", "f5-tmm"]["metadata"]["annotations"]
    cluster.wait_until_settled(30)


def test_of_two_instances_one_acts_and_the_other_takes_over(cluster, pods, tmp_path):
    first, second = Coordinator(pods, tmp_path, "a"), Coordinator(pods, tmp_path, "b")
    first.start()
    eventually(lambda: pods.objects.get((NAMESPACE, "leases", "f5-dssm-restart-coordinator")), "the first leads", 20)
    second.start()
    eventually(lambda: second.status().get("cluster"), "the second shows the cluster too", 20)
    pods.change_templates()
    eventually(lambda: len(pods.evictions) >= 2, "it begins", 30)
    first.process.kill()
    eventually(lambda: pods.last_outcome() == "succeeded", lambda: f"the other one finishes; {pods.state()}", 60)
    second.process.stop()
    assert sorted(pods.evictions) == sorted(EVERY_POD)
    assert pods.worst_missing == 1


def check(tmp_path, window):
    path = tmp_path / "settings.yaml"
    path.write_text(f"windows:\n  - {{{window}}}\n")
    command = [binaries.ours("dssm-restart-coordinator"), "run", "--check", "--config", str(path)]
    return subprocess.run(command, capture_output=True, text=True, timeout=10)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_time_zones_are_known_to_a_static_executable(tmp_path, zone):
    result = check(tmp_path, f"cron: '0 2 * * *', duration: 2h, time-zone: {zone}")
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("window, message", [
    ("cron: '0 2 * * *', duration: 2h, time-zone: Mars/Olympus", "time-zone: 'Mars/Olympus' is no time zone"),
    ("cron: '61 * * * *', duration: 1h", "minute '61'"), ("cron: '@daily', duration: soon", "duration: must be a time"),
    ("cron: '@daily', duration: 1h, zone: UTC", "unknown key 'zone'")])
def test_wrong_settings_are_refused_with_file_and_line(tmp_path, window, message):
    result = check(tmp_path, window)
    assert result.returncode == 78
    assert "settings.yaml:2" in result.stderr and message in result.stderr
