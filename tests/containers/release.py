"""An installed release: what `helm install` and a cluster make of the chart, with podman in the place of the nodes."""

import concurrent.futures
import os
import pathlib
import secrets as randomness
import subprocess
import threading
import time
import types

import volumes
from api import ClusterAPI
from chart import Chart
from kubelet import Kubelet, Pod
from localcluster import certificates as issuing
from localcluster.processes import wait_until
from localcluster.resp import Client, ConnectionClosed, ReplyError, parse_info
from podman import podman, run

REPOSITORY = os.environ.get("IMAGE_REPOSITORY", "localhost")
TAG = os.environ.get("IMAGE_TAG", "dev")
PRIMARY = "dssm"
CERTIFICATES, KEYS = "dssm-certs-secret", "dssm-keys-secret"
#: A third namespace, whose Secrets the tests' clients use.
CLIENTS = "cnf-apps"
IMAGES = ["--set", f"image.repository={REPOSITORY}", "--set", f"image.tag={TAG}", "--set", "image.pullPolicy=Never",
          "--set", f"db.fluentbit_sidecar.image.repository={REPOSITORY}", "--set", f"sentinel.fluentbit_sidecar.image.repository={REPOSITORY}"]
SETTLE_SECONDS = 60


def sets(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


class Release:
    """Pods, Secrets, clients. Call `install()`, and `uninstall()` in the end."""

    def __init__(self, folder, *options, user=None):
        self.folder = pathlib.Path(folder)
        platform = ["--api-versions", "security.openshift.io/v1"] if user else []
        self.options = [*options, *IMAGES, *sets(f"tmm.namespaces={{{CLIENTS}}}", "certInit.keyAlgorithm=ecdsa-p256"), *platform]
        self.chart = Chart(*self.options)
        self.user = user
        self.name = f"containers-{randomness.token_hex(3)}"
        self.account = None  # the service account of the pod that runs
        self.api = ClusterAPI(issuing.issue(self.folder / "api"), lambda namespace: self.chart.rules(self.account, namespace))
        self.kubelet, self.pods = None, {}

    def install(self):
        """The hook Job, then all pods at once. Returns without waiting for them to be ready."""
        self.kubelet = Kubelet(self.folder, self.chart, self.name, lambda name: self.api.data(self.chart.namespace, name), self.user)
        self.run_job("Job", "f5-dssm-cert-init-hook")
        self.write_client_files()
        self.pods = {pod.name: pod for pod in (Pod(self.kubelet, spec) for spec in self.chart.pods())}
        self.start_pods()
        return self

    def upgrade(self, *options):
        """Other values, as cert-init sees them from its next run on. The pods stay as they are."""
        self.chart = self.kubelet.chart = Chart(*self.options, *options)

    def uninstall(self):
        try:
            self.at_once(lambda pod: pod.stop(grace=0), self.pods.values())
        finally:
            self.api.stop()
            podman("network", "rm", "--force", self.name, check=False)

    # MARK: Pods

    @property
    def dbs(self):
        return [pod for pod in self.pods.values() if pod.spec["containers"][0]["name"] == "db"]

    @property
    def sentinels(self):
        return [pod for pod in self.pods.values() if pod.spec["containers"][0]["name"] == "sentinel"]

    @staticmethod
    def at_once(action, pods):
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(action, pods))

    def start_pods(self, pods=None):
        self.at_once(Pod.start, pods or self.pods.values())

    def wait_until_ready(self, seconds=SETTLE_SECONDS):
        def state():
            return {pod.name: pod.ready or pod.main.failure or pod.main.problem or "not started" for pod in self.pods.values()}

        wait_until(lambda: all(pod.ready for pod in self.pods.values()), seconds, lambda: f"not all pods are ready: {state()}")

    # MARK: cert-init

    def run_job(self, kind, name, *arguments):
        """Runs the pod of a Job or CronJob to its end, with further arguments; what it logged. It finds the API as in a cluster."""
        template = self.chart.one(kind, name)["spec"]
        template = (template["jobTemplate"]["spec"] if kind == "CronJob" else template)["template"]
        self.account = template["spec"]["serviceAccountName"]
        folder = self.folder / "jobs" / f"{name}-{randomness.token_hex(3)}"
        config = volumes.Projected(folder / "config", self.user or 10001, 0o644)
        pod = types.SimpleNamespace(name=name, metadata={"namespace": self.chart.namespace}, spec=template["spec"], address="127.0.0.1",
                                    mounts={"config": config.path})
        config.write(self.kubelet.items(template["spec"]["volumes"][0]))
        account = folder / "account"
        account.mkdir()
        (account / "token").write_text("a-token")
        (account / "namespace").write_text(self.chart.namespace)
        (account / "ca.crt").write_bytes(pathlib.Path(self.api.certificates.authority).read_bytes())
        result = run("run", "--rm", "--name", f"{self.name}-{folder.name}", "--network", "host",
                     "--volume", f"{account}:/var/run/secrets/kubernetes.io/serviceaccount:ro",
                     "--env", "KUBERNETES_SERVICE_HOST=127.0.0.1", "--env", f"KUBERNETES_SERVICE_PORT={self.api.port}",
                     *self.kubelet.container_options(pod, template["spec"]["containers"][0]), *arguments)
        assert result.returncode == 0, result.stdout + result.stderr + f"\nrefused: {self.api.refused}"
        return result.stdout

    def sync_secrets(self):
        """What each kubelet does within two minutes of a Secret's change."""
        for pod in self.pods.values():
            pod.sync()

    def write_client_files(self):
        """The Secrets of the clients' namespace as files, as a client's pod mounts them."""
        folder = self.folder / "client"
        folder.mkdir(exist_ok=True)
        for secret in (CERTIFICATES, KEYS):
            for name, content in self.api.data(CLIENTS, secret).items():
                (folder / name).write_bytes(content)
        self.client_files = issuing.CertificateFolder(folder)

    def helm_test(self):
        """What `helm test` runs: the completed process of the chart's test pod."""
        specs = [spec for spec in self.chart.all("Pod") if spec["metadata"]["annotations"]["helm.sh/hook"] == "test"]
        assert len(specs) == 1
        return Pod(self.kubelet, specs[0]).run_to_end()

    # MARK: Clients

    def client(self, pod, port=None, timeout=5.0):
        port = port or (6379 if pod in self.dbs else 26379)
        return Client(port, self.client_files.credentials(), host=pod.address, timeout=timeout)

    def call(self, pod, *words, port=None):
        with self.client(pod, port) as client:
            return client.call(*words)

    def answer(self, pod, *words):
        """The same, or None when there is no answer."""
        try:
            return self.call(pod, *words)
        except (OSError, ConnectionClosed, ReplyError):
            return None

    def cli(self, pod, *words, port=None):
        """redis-cli's completed process."""
        command = ["redis-cli", "-h", pod.address, "-p", str(port or (6379 if pod in self.dbs else 26379)),
                   *self.client_files.credentials().cli_options(), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    # MARK: Observation

    def info(self, pod, section="replication"):
        text = self.answer(pod, "INFO", section)
        return {} if text is None else parse_info(text)

    def named_primary(self, sentinel):
        found = self.answer(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY)
        return next((pod for pod in self.dbs if found and pod.host == found[0].decode()), None)

    def primaries(self):
        return [pod for pod in self.dbs if self.info(pod).get("role") == "master" and self.info(pod).get("dssm_role") != "undecided"]

    def settled_primary(self, followers=2):
        """The one primary, if all sentinels name it and so many dbs follow it; else None."""
        infos = {pod: self.info(pod) for pod in self.dbs}
        found = [pod for pod, info in infos.items() if info.get("role") == "master"]
        if len(found) != 1 or any(self.named_primary(sentinel) is not found[0] for sentinel in self.sentinels):
            return None
        linked = [pod for pod, info in infos.items() if info.get("master_link_status") == "up" and info.get("master_host") == found[0].host]
        return found[0] if len(linked) == followers else None

    def wait_until_settled(self, followers=2, seconds=SETTLE_SECONDS, other_than=None):
        def look():
            primary = self.settled_primary(followers)
            return None if primary is None or primary is other_than else primary

        def state():
            shown = ("role", "master_host", "master_link_status", "connected_slaves")
            return {pod.name: {name: value for name, value in self.info(pod).items() if name in shown} for pod in self.dbs} | {
                pod.name: getattr(self.named_primary(pod), "name", None) for pod in self.sentinels}

        return wait_until(look, seconds, lambda: f"the release does not settle: {state()}", interval=0.05)

    def wait_until_whole(self):
        """All pods ready, and one primary that all agree on and all follow."""
        self.wait_until_ready()
        return self.wait_until_settled()

    def missing(self, acknowledged, pod):
        """Keys of `acknowledged` (a dict) that a db does not have with their value."""
        lost, keys = [], list(acknowledged)
        with self.client(pod) as client:
            for start in range(0, len(keys), 500):
                part = keys[start:start + 500]
                lost += [key for key, value in zip(part, client.call("MGET", *part)) if value != acknowledged[key].encode()]
        return lost

    def assert_everywhere(self, acknowledged):
        """All dbs have what was acknowledged: the primary now, the replicas as soon as they have caught up."""
        primary = self.wait_until_settled()
        lost = self.missing(acknowledged, primary)
        assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged writes are lost: {lost[:5]}"
        for pod in self.dbs:
            wait_until(lambda pod=pod: not self.missing(acknowledged, pod), 30, f"{pod.name} to have all acknowledged writes")

    def logs(self):
        for pod in self.pods.values():
            for container in pod.containers.values():
                yield f"{pod.name} {container.name} ({'ready' if container.ready else container.problem or container.failure}, ends {container.ends})", \
                    "\n".join(container.log().splitlines()[-30:])


class Writer:
    """Writes numbered keys through the sentinels, one after the other, and remembers what was acknowledged."""

    def __init__(self, release, prefix="w"):
        self.release, self.prefix = release, prefix
        self.acknowledged, self.errors, self.longest_pause = {}, [], 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self):
        self.thread.start()
        self.wait_for(1)
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(30)
        assert not self.thread.is_alive(), "the writing client does not end"

    def wait_for(self, more, seconds=SETTLE_SECONDS):
        """Until so many more writes are acknowledged."""
        goal = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= goal, seconds, lambda: f"no {more} more writes; errors: {self.errors[-3:]}")

    def _write(self):
        client, number, connections, last = None, 0, 0, time.monotonic()
        while not self.stopping.is_set():
            number += 1
            key, value = f"{self.prefix}:{number}", f"value-{number}"
            try:
                if client is None:
                    connections += 1
                    sentinel = self.release.sentinels[connections % 3]
                    client = self.release.client(sentinel, timeout=5)
                if client.call("SET", key, value) == "OK":
                    self.acknowledged[key] = value
                    now = time.monotonic()
                    self.longest_pause, last = max(self.longest_pause, now - last), now
            except ReplyError as error:
                self.errors.append(f"{sentinel.name}: {error}")
            except (OSError, ConnectionClosed) as error:
                self.errors.append(f"{sentinel.name}: {error!r}")
                if client is not None:
                    client.close()
                client = None
                self.stopping.wait(0.02)
        if client is not None:
            client.close()
