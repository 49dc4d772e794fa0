"""Runs pods in podman as a kubelet runs them.

A pod is a podman pod: its first container holds the network namespace, so that a container that is started again keeps its
address, and a pod that is made again gets another. Each container has a thread that starts it, polls its probes over HTTP, and
starts it again when it ends or is no longer alive, at once the first time and then after 10, 20, ... seconds. What a kubelet does
besides (images, termination messages, resource reservation) is left out.
"""

import collections
import http.client
import ipaddress
import itertools
import os
import pathlib
import select
import shutil
import subprocess
import threading
import time

import volumes
from chart import bytes_of, expand
from podman import inspect, podman, run

_attempts = itertools.count(1)


class Probe:
    """An httpGet probe. Defaults are the API's."""

    def __init__(self, definition, ports):
        request = definition["httpGet"]
        self.path, self.port = request["path"], ports.get(request["port"], request["port"])
        self.period = definition.get("periodSeconds", 10)
        self.timeout = definition.get("timeoutSeconds", 1)
        self.threshold = definition.get("failureThreshold", 3)

    def ask(self, address):
        """None if it succeeds, else why not."""
        connection = http.client.HTTPConnection(address, self.port, timeout=self.timeout)
        try:
            connection.request("GET", self.path)
            response = connection.getresponse()
            text = response.read().decode(errors="replace").strip()
            return None if 200 <= response.status < 400 else f"{response.status} {text}"
        except OSError as error:
            return repr(error)
        finally:
            connection.close()


class Container:
    """One container of a pod, through all its restarts."""

    def __init__(self, pod, spec):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.full_name = f"{pod.full_name}-{self.name}"
        ports = {port["name"]: port["containerPort"] for port in spec.get("ports", [])}
        self.probes = {kind: Probe(spec[kind], ports) for kind in ("startupProbe", "livenessProbe", "readinessProbe") if kind in spec}
        self.logs = []  # a path for each start
        self.ends = []  # exit codes
        self.ready, self.problem, self.pid = False, None, None
        self.failure = None  # why podman could not start it
        self.stopping, self.may_start, self.running = threading.Event(), threading.Event(), threading.Event()
        self.may_start.set()
        self.thread = threading.Thread(target=self._keep_running, daemon=True)

    # MARK: Orders

    def kill(self, hold=False):
        """SIGKILL; with `hold` it is not started again before `release()`."""
        if hold:
            self.may_start.clear()
        self.running.clear()
        podman("kill", "--signal", "KILL", self.full_name)

    def release(self):
        self.may_start.set()

    def log(self):
        return "".join(pathlib.Path(path).read_text(errors="replace") for path in self.logs if os.path.exists(path))

    def cgroup_file(self, controller, name):
        """A file of its cgroup."""
        with open(f"/proc/{self.pid}/cgroup") as file:
            groups = {line.split(":")[1]: line.strip().split(":")[2] for line in file}
        return pathlib.Path(f"/sys/fs/cgroup/{controller}{groups[controller]}/{name}")

    # MARK: Its life

    def _keep_running(self):
        restarts = 0
        while True:
            self.may_start.wait()
            if self.stopping.is_set():
                return
            try:
                self._start()
            except Exception as error:
                self.failure = error
                return
            self._observe()
            self.ready = False
            self.running.clear()
            if self.stopping.is_set():
                return
            podman("wait", self.full_name)
            self.ends.append(inspect("container", self.full_name)["State"]["ExitCode"])
            if self.may_start.is_set():
                self.stopping.wait(min(300, 10 * 2 ** (restarts - 1)) if restarts else 0)
                restarts += 1

    def _start(self):
        path = self.pod.folder / f"{self.name}-{next(_attempts)}.log"
        self.logs.append(str(path))
        podman("rm", "--force", "--ignore", self.full_name)
        podman("run", "--detach", "--pod", self.pod.full_name, "--name", self.full_name,
               "--log-driver", "k8s-file", "--log-opt", f"path={path}", *self.pod.kubelet.container_options(self.pod, self.spec))
        self.pid = inspect("container", self.full_name)["State"]["Pid"]
        self.running.set()

    def _observe(self):
        """Polls the probes until the process has ended; ends it itself when it is not alive."""
        if self.pid == 0:
            return
        try:
            process = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            poller = select.poll()
            poller.register(process, select.POLLIN)
            started = "startupProbe" not in self.probes
            self.ready = not self.probes
            due, failures = collections.defaultdict(time.monotonic), collections.Counter()
            while True:
                active = [kind for kind in self.probes if (kind == "startupProbe") != started]
                kind = min(active, key=lambda one: due[one], default=None)
                if poller.poll(None if kind is None else max(0, due[kind] - time.monotonic()) * 1000):
                    return
                probe = self.probes[kind]
                problem = probe.ask(self.pod.address)
                due[kind] = time.monotonic() + probe.period
                failures[kind] = failures[kind] + 1 if problem else 0
                if kind == "readinessProbe":
                    self.problem = problem
                    if problem is None or failures[kind] >= probe.threshold:
                        self.ready = problem is None
                elif problem is None:
                    started = True
                elif failures[kind] >= probe.threshold:
                    self.problem = f"{kind}: {problem}"
                    podman("stop", "--time", self.pod.grace, self.full_name, seconds=self.pod.grace + 60)
                    return
        finally:
            os.close(process)


class Pod:
    """One pod of the chart; the same object for all pods of that name, one after the other."""

    def __init__(self, kubelet, spec):
        self.kubelet, self.spec = kubelet, spec["spec"]
        self.metadata = spec["metadata"]
        self.name = self.metadata["name"]
        self.full_name = f"{kubelet.network}-{self.name}"
        self.folder = pathlib.Path(kubelet.folder) / self.name
        self.grace = self.spec.get("terminationGracePeriodSeconds", 30)
        self.services = kubelet.chart.services_of(spec)
        namespace = self.metadata["namespace"]
        self.host = f"{self.name}.{self.spec.get('subdomain', 'none')}.{namespace}.svc.cluster.local"
        self.address, self.containers, self.projected, self.mounts = None, {}, {}, {}

    @property
    def main(self):
        """The container that the pod is for: db or sentinel."""
        return self.containers[self.spec["containers"][0]["name"]]

    @property
    def ready(self):
        return bool(self.containers) and all(container.ready for container in self.containers.values())

    @property
    def restarts(self):
        return sum(len(container.ends) for container in self.containers.values())

    def start(self):
        """A new pod: other address, empty emptyDirs, the claims of before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = self.kubelet.next_address()
        namespace = self.metadata["namespace"]
        names = [self.host]
        for service in self.services:
            names += [service, f"{service}.{namespace}", f"{service}.{namespace}.svc", f"{service}.{namespace}.svc.cluster.local"]
        network = ",".join([f"{self.kubelet.network}:ip={self.address}", *(f"alias={name}" for name in names)])
        podman("pod", "create", "--name", self.full_name, "--hostname", self.name, "--network", network,
               "--dns", self.kubelet.gateway, "--dns-option", "ndots:5", "--share", "net,ipc,uts")
        self._make_volumes()
        self.containers = {spec["name"]: Container(self, spec) for spec in self.spec["containers"]}
        for container in self.containers.values():
            container.thread.start()
        return self

    def run_to_end(self):
        """For a pod that ends by itself and has one container: the completed process."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = self.kubelet.next_address()
        self._make_volumes()
        return run("run", "--rm", "--name", self.full_name, "--network", f"{self.kubelet.network}:ip={self.address}",
                   *self.kubelet.container_options(self, self.spec["containers"][0]), seconds=self.spec["activeDeadlineSeconds"])

    def _make_volumes(self):
        group = self.kubelet.group(self)
        self.projected, self.mounts = {}, {}
        for volume in self.spec["volumes"]:
            name = volume["name"]
            path = self.folder / "volumes" / name
            if "persistentVolumeClaim" in volume:
                path = self.claim(name)
                volumes.directory(path, group, 0o2775)
            elif "emptyDir" in volume:
                shutil.rmtree(path, ignore_errors=True)
                volumes.directory(path, group, 0o2777)
            else:
                shutil.rmtree(path, ignore_errors=True)
                source = volume.get("secret") or volume["configMap"]
                self.projected[name] = volumes.Projected(path, group, source.get("defaultMode", 0o644))
            self.mounts[name] = path
        self.sync()

    def sync(self):
        """Brings mounted ConfigMaps and Secrets to their present content."""
        for volume in self.spec["volumes"]:
            if volume["name"] in self.projected:
                self.projected[volume["name"]].write(self.kubelet.items(volume))

    def claim(self, volume):
        """The folder behind a volume claim."""
        return pathlib.Path(self.kubelet.folder) / "claims" / f"{volume}-{self.name}"

    def stop(self, grace=None):
        """Deletes the pod: SIGTERM to all its containers, SIGKILL after the grace period, then it is gone."""
        grace = self.grace if grace is None else grace
        for container in self.containers.values():
            container.stopping.set()
            container.may_start.set()
        names = [container.full_name for container in self.containers.values()]
        if names:
            podman("stop", "--ignore", "--time", grace, *names, seconds=grace + 60)
        for container in self.containers.values():
            container.thread.join(60)
        podman("pod", "rm", "--force", "--ignore", self.full_name)
        self.containers = {}

    # MARK: Its network

    def inside(self, *command):
        """Runs a command of this machine in the pod's network namespace."""
        infra = inspect("pod", self.full_name)["InfraContainerID"]
        pid = inspect("container", infra)["State"]["Pid"]
        subprocess.run(["nsenter", "--target", str(pid), "--net", *command], check=True, timeout=30)

    def isolate(self, *others):
        """Drops every packet from and to other pods, without a word to either side. `others` stay reachable, and so does the node,
        whose kubelet goes on probing."""
        for chain, option in (("INPUT", "--source"), ("OUTPUT", "--destination")):
            for address in (self.address, self.kubelet.gateway, "127.0.0.0/8", *(pod.address for pod in others)):
                self.inside("iptables", "--append", chain, option, address, "--jump", "ACCEPT")
            self.inside("iptables", "--append", chain, "--jump", "DROP")

    def rejoin(self):
        self.inside("iptables", "--flush")


class Kubelet:
    """One network and one folder; `secrets(name)` gives a Secret's items."""

    def __init__(self, folder, chart, network, secrets, user=None):
        self.folder, self.chart, self.network, self.secrets = folder, chart, network, secrets
        #: None: the image's user and the chart's fsGroup. A number: what OpenShift's restricted-v2 chooses for a namespace.
        self.user = user
        podman("network", "create", "--internal", network)
        subnet = inspect("network", network)["subnets"][0]
        self.gateway = subnet["gateway"]
        addresses = ipaddress.ip_network(subnet["subnet"]).hosts()
        self.addresses = (str(address) for address in addresses if str(address) != self.gateway)
        self.lock = threading.Lock()

    def next_address(self):
        with self.lock:
            return next(self.addresses)

    def group(self, pod):
        return self.user or pod.spec["securityContext"].get("fsGroup")

    def items(self, volume):
        if "configMap" in volume:
            return self.chart.config_map(volume["configMap"]["name"])
        items = self.secrets(volume["secret"]["secretName"])
        assert items is not None, f"there is no Secret {volume['secret']['secretName']}"
        return items

    def environment(self, pod, spec):
        fields = {"metadata.name": pod.name, "metadata.namespace": pod.metadata["namespace"], "spec.nodeName": f"node-of-{pod.name}",
                  "status.podIP": pod.address}
        environment = {}
        for variable in spec.get("env", []):
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                environment[variable["name"]] = fields[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                value = (self.secrets(source["secretKeyRef"]["name"]) or {}).get(source["secretKeyRef"]["key"])
                assert value is not None or source["secretKeyRef"].get("optional"), source
                if value is not None:
                    environment[variable["name"]] = value.decode()
            else:
                environment[variable["name"]] = expand(variable.get("value", ""), environment)
        return environment

    def container_options(self, pod, spec):
        """Of `podman run`: everything behind the name, the image and its arguments included."""
        environment = self.environment(pod, spec)
        options = security_options(pod.spec, spec, self.user, self.group(pod))
        for name, value in environment.items():
            options += ["--env", f"{name}={value}"]
        for mount in spec.get("volumeMounts", []):
            path = pathlib.Path(pod.mounts[mount["name"]])
            if "subPath" in mount:  # as it is at the start, not as it becomes
                path = (path / mount["subPath"]).resolve(strict=True)
            options += ["--volume", f"{path}:{mount['mountPath']}:{'ro' if mount.get('readOnly') else 'rw'}"]
        if "command" in spec:
            options += ["--entrypoint", spec["command"][0]]
        arguments = [*spec.get("command", [])[1:], *spec.get("args", [])]
        return [*options, spec["image"], *(expand(argument, environment) for argument in arguments)]


def security_options(pod, spec, user=None, group=None):
    """Options of `podman run` for the security context and the memory limit. `user` is for platforms that choose one."""
    context = {**pod["securityContext"], **spec["securityContext"]}
    options = []
    if context["readOnlyRootFilesystem"]:
        options += ["--read-only", "--read-only-tmpfs=false"]
    if not context["allowPrivilegeEscalation"]:
        options += ["--security-opt", "no-new-privileges"]
    for capability in context["capabilities"]["drop"]:
        options += ["--cap-drop", capability]
    if user is not None:
        options += ["--user", f"{user}:0"]
    elif context["runAsNonRoot"]:
        image_user = inspect("image", spec["image"])["User"].split(":")[0]
        assert image_user.isdigit() and int(image_user) > 0, f"a kubelet cannot see that '{image_user}' is not root"
    if group:
        options += ["--group-add", group]
    limit = spec.get("resources", {}).get("limits", {}).get("memory")
    if limit:
        options += ["--memory", bytes_of(limit), "--memory-swap", bytes_of(limit)]
    return options
