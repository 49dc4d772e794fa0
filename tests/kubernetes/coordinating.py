"""Restart coordinators on a release: in the release's own pod, or as processes with the account and the rights of that pod."""

import itertools
import json
import threading
import time

from localcluster import binaries
from localcluster.processes import Process, wait_until

from testcluster.client import ApiError
from testcluster.cluster import is_ready

ACCOUNT = "f5-dssm-restart-coordinator"
STATE = "f5-dssm-restart-coordinator-state"
ANNOTATION = "dssm-restart-coordinator"
TMM_NAMESPACE, TMM = "cnf-apps", "f5-tmm"
_numbers = itertools.count(1)


def values():
    """Of the chart: no windows but those that people open; TMM is stopped in them."""
    return "\n".join([
        "restartCoordinator:", "  interval: 1s", "  stepAllowance: 60s",
        f"  tmm: {{restart: true, workloads: [{{namespace: {TMM_NAMESPACE}, name: {TMM}}}]}}", ""])


def make_tmm(cluster, namespace=TMM_NAMESPACE, name=TMM, replicas=3, image="registry.com/dssm-db:0.1.0"):
    """A Deployment in TMM's place: pods that only sleep, with the client's Secrets mounted where TMM has them."""
    cluster.api.ensure_namespace(namespace)
    mounts = [{"name": "certs", "mountPath": "/etc/ssl/certs"}, {"name": "keys", "mountPath": "/etc/ssl/private"}]
    volumes = [{"name": "certs", "secret": {"secretName": "dssm-certs-secret"}},
               {"name": "keys", "secret": {"secretName": "dssm-keys-secret"}}]
    pod = {"terminationGracePeriodSeconds": 1, "volumes": volumes, "containers": [
        {"name": "tmm", "image": image, "imagePullPolicy": "Never", "command": ["sleep", "86400"], "volumeMounts": mounts}]}
    cluster.api.create({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                 "template": {"metadata": {"labels": {"app": name}}, "spec": pod}}}, namespace)


def tmm_is_up(cluster, replicas=3, namespace=TMM_NAMESPACE, name=TMM):
    found = cluster.api.find("Deployment", name, namespace)
    return bool(found) and found["spec"]["replicas"] == replicas and found["status"].get("readyReplicas") == replicas


def request_restart(release, app="db"):
    """Opens a window and asks for a restart, as a person does."""
    release.cluster.kubectl("annotate", "statefulset", f"f5-dssm-{app}", f"{ANNOTATION}/maintenance=now",
                            f"{ANNOTATION}/restart=now", "--overwrite", "-n", release.namespace)


def state(release):
    """The coordinator's memory, from its ConfigMap."""
    found = release.api.find("ConfigMap", STATE, release.namespace)
    return json.loads(found["data"]["state.json"]) if found else {}


def finished_runs(release):
    return [run for run in state(release).get("history", []) if run["outcome"] == "succeeded"]


class Instance:
    """A coordinator as a process of this machine, by a kubeconfig of the chart's account."""

    def __init__(self, release, kubeconfig, lease="5s"):
        """With the settings of the release's own, but for the paths of the Secrets and the status page."""
        number = next(_numbers)
        text = release.api.get("ConfigMap", ACCOUNT, release.namespace)["data"]["restart-coordinator.yaml"]
        certificate, _, _ = release.credentials()
        for folder in ("/etc/dssm/certs", "/etc/dssm/keys"):
            text = text.replace(folder, str(certificate.parent))
        text = text.replace("port: 9121", "port: 0") + f"\nlease-duration: {lease}\nbusy-interval: 200ms\n"
        path = release.folder / f"coordinator-{number}.yaml"
        path.write_text(text)
        self.process = Process(f"coordinator {number}", [
            binaries.ours("dssm-restart-coordinator"), "run", "--config", path, "--kubeconfig", kubeconfig],
            release.folder / f"coordinator-{number}.log").start()

    def log(self):
        return self.process.log()


class Witness:
    """Watches what must never happen while pods are restarted, and how far TMM goes down."""

    def __init__(self, release):
        self.release = release
        self.fewest = {"db": 3, "sentinel": 3}
        self.replicas = set()  # that TMM was asked to have
        self.broken = []
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
                self.fewest[app] = min(self.fewest[app], sum(f"-{app}-" in name and is_ready(pod) for name, pod in pods.items()))
            if sum(self.fewest.values()) < 5:
                self.broken.append(dict(self.fewest))
            try:
                deployment = self.release.api.find("Deployment", TMM, TMM_NAMESPACE)
            except ApiError:
                deployment = None
            if deployment:
                self.replicas.add(deployment["spec"]["replicas"])
            time.sleep(0.1)


def wait_for_run(release, before, seconds, problem):
    """Until one more run than `before` has succeeded."""
    wait_until(lambda: len(finished_runs(release)) > before, seconds,
               lambda: f"{problem()}\nstate: {json.dumps(state(release), indent=1)[:3000]}\n"
                       + release.cluster.describe(release.namespace), 0.2)
