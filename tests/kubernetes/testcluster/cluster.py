"""The whole cluster, and what tests do with it."""

import concurrent.futures
import os
import pathlib
import subprocess
import time

from localcluster.processes import wait_until

from . import images, layout, names, storage
from .authority import Authority
from .client import ApiClient, kubeconfig
from .control_plane import ControlPlane
from .node import Node

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "helm" / "f5-dssm"


class CommandFailed(Exception):
    """A command that ended with another status than 0; `output` is what it wrote."""

    def __init__(self, arguments, result):
        self.status, self.output = result.returncode, result.stdout + result.stderr
        super().__init__(f"{' '.join(map(str, arguments))}: status {result.returncode}\n{self.output.strip()[-4000:]}")


class Cluster:
    """`nodes` real nodes; all is ready after `start`. `timings` tells how long each step took, in seconds."""

    def __init__(self, folder=None, nodes=3, volumes_per_node=4):
        self.folder = pathlib.Path(folder or layout.work_folder())
        self.folder.mkdir(parents=True, exist_ok=True)
        self.authority = Authority(self.folder / "pki")
        self.control_plane = ControlPlane(self.folder, self.authority)
        self.api = self.control_plane.api
        self.nodes = [Node(number, self.folder, self.control_plane) for number in range(1, nodes + 1)]
        self.names = names.NameServer(self.folder, self.api)
        self.volumes_per_node = volumes_per_node
        self.admin = self.control_plane.write_kubeconfig("admin")
        self.timings = {}

    def start(self):
        begin = time.monotonic()
        archives = images.archives()
        self._note("image archives", begin)
        begin = time.monotonic()
        self.control_plane.start()
        self._note("control plane", begin)
        begin = time.monotonic()
        for node in self.nodes:
            node.make_mounts()
            node.make_network()
        for node in self.nodes:
            for other in self.nodes:
                if node is not other:
                    node.connect_to(other)
        self._wait_for_default_roles()
        self.names.start()
        pause = self.folder / "pause.tar"
        images.write_pause_archive(pause)
        # From this thread only: a child that is to end with its parent ends with the thread that started it.
        for node in self.nodes:
            node.start_containerd()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: self._load_images(node, pause, archives), self.nodes))
        for node in self.nodes:
            node.start_kubelet()
            node.start_proxy()
        self._note("containerd and images", begin)
        begin = time.monotonic()
        storage.make_class(self.api)
        for node in self.nodes:
            for number in range(self.volumes_per_node):
                storage.make_volume(self.api, node, number)
        for node in self.nodes:
            wait_until(node.is_ready, 60, lambda: f"{node.name} is not ready:\n{node.kubelet.log_tail(30)}", 0.1)
        # Host names and Services of the cluster are the main namespace's too, where the tests run.
        subprocess.run(["ip", "route", "add", layout.SERVICE_RANGE, "via", self.nodes[0].layout.address], check=True)
        self._note("nodes ready", begin)
        return self

    @staticmethod
    def _load_images(node, pause, archives):
        node.load_image(pause, layout.PAUSE_IMAGE)
        for name, archive in archives.items():
            node.load_image(archive, name, images.published_names(name))

    def _wait_for_default_roles(self):
        """The API server makes them after it is ready, that of kube-proxy among them. The tests grant nothing."""
        wait_until(lambda: self.api.find("ClusterRoleBinding", "system:node-proxier"), 30, "the default roles", 0.1)

    def _note(self, step, begin):
        self.timings[step] = round(time.monotonic() - begin, 1)

    def stop(self):
        """Ends what was started here, at once: nothing is kept. Containers end with the namespaces."""
        self.names.stop()
        for process in [one for node in self.nodes for one in node.processes()] + self.control_plane.processes[::-1]:
            process.kill()

    # MARK: Commands

    def run(self, arguments, deadline=120, stdin=None, check=True, kubeconfig_path=None):
        """Runs a command as the cluster's administrator, or with another kubeconfig; its completed process."""
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig_path or self.admin),
                       **{f"HELM_{kind}_HOME": str(self.folder / "helm") for kind in ("CONFIG", "CACHE", "DATA")}}
        arguments = [str(argument) for argument in arguments]
        result = subprocess.run(arguments, input=stdin, capture_output=True, text=True, timeout=deadline, env=environment)
        if check and result.returncode:
            raise CommandFailed(arguments, result)
        return result

    def kubectl(self, *arguments, **options):
        return self.run([layout.program("kubectl"), *arguments], **options).stdout

    def helm(self, *arguments, version=4, **options):
        """Helm 3 or 4, as tools/chart-check fetches them."""
        return self.run([os.environ[f"HELM{version}"], *arguments], **options).stdout

    # MARK: Access of others

    def client_for(self, account, namespace):
        """An API client with a token of a service account."""
        return ApiClient(layout.SERVER_ADDRESS, layout.SERVER_PORT, self.authority.certificate("ca"),
                         token=self.api.token_for(account, namespace))

    def kubeconfig_for(self, account, namespace, server=None):
        """A kubeconfig file for a service account; `server` may be a fault proxy's URL."""
        text = kubeconfig(server or self.control_plane.url, self.authority.certificate("ca"),
                          token=self.api.token_for(account, namespace), namespace=namespace)
        path = self.folder / f"{namespace}-{account}-{time.monotonic_ns()}.kubeconfig"
        path.write_text(text)
        path.chmod(0o600)
        return path

    # MARK: Looking

    def pods(self, namespace, labels=None):
        return {pod["metadata"]["name"]: pod for pod in self.api.list("Pod", namespace, labels)}

    @staticmethod
    def processes_of_container(identifier):
        """Process identifiers of a container, by the cgroup that runc made for it."""
        for group in pathlib.Path("/sys/fs/cgroup/pids").rglob(identifier):
            return [int(line) for line in (group / "cgroup.procs").read_text().split()]
        return []

    def node(self, name):
        return next(node for node in self.nodes if node.name == name)

    def describe(self, namespace):
        """Pods, the ends of their logs and the last events, for the message of a failed test."""
        parts = [self.kubectl("get", "pods,pvc", "-n", namespace, "-o", "wide", check=False)]
        for name, pod in self.pods(namespace).items():
            for container in pod["spec"]["containers"]:
                log = self.kubectl("logs", name, "-n", namespace, "-c", container["name"], "--tail=12", check=False)
                parts.append(f"--- log of {name}/{container['name']}\n{log}")
        events = self.api.list("Event", namespace)
        events.sort(key=lambda one: one.get("lastTimestamp") or "")
        parts += [f"{one['involvedObject'].get('name')}: {one['reason']}: {one.get('message', '')}" for one in events[-25:]]
        return "\n".join(parts)


def is_ready(pod):
    return not pod["metadata"].get("deletionTimestamp") and any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod.get("status", {}).get("conditions", []))
