"""One node: network and mount namespaces with containerd, kubelet and kube-proxy of its own.

Pods are connected point to point (CNI's `ptp`), and the main namespace routes each node's range to it, so that every packet between
pods and Services passes through the nodes' own firewall rules, on one node too.
"""

import json
import pathlib
import subprocess

from localcluster.processes import Process, wait_until

from . import layout


def _run(*arguments, timeout=60):
    result = subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=timeout)
    if result.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: {result.stderr.strip()}")
    return result.stdout


class Node:
    def __init__(self, number, folder, control_plane):
        self.layout = layout.NodeLayout(number)
        self.name = self.layout.name
        self.folder = folder / self.name
        self.control_plane = control_plane
        self.socket = self.folder / "containerd.sock"
        self.holder = self.containerd = self.kubelet = self.proxy = None
        (self.folder / "logs").mkdir(parents=True)

    # MARK: Namespaces

    def make_mounts(self):
        """A mount namespace: a kubelet's log folder has a fixed path, and it removes what belongs to no pod of its own.

        A process holds it; keeping it by a bind mount fails now and then with EINVAL (on kernel 6.18).
        """
        ready = self.folder / "mounts-are-made"
        folders = "/var/log/pods /var/log/containers /var/lib/kubelet"
        self.holder = Process(f"mounts of {self.name}", [
            "unshare", "--mount", "--propagation", "slave", "sh", "-ec", "mount --make-rshared /; "
            f"for folder in {folders}; do mount -t tmpfs tmpfs $folder; done; touch {ready}; exec sleep infinity"],
            self.folder / "logs" / "mounts.log").start()
        wait_until(ready.exists, 10, f"mounts of {self.name}")

    @property
    def inside(self):
        """Command prefix: runs what follows in the node's network and mount namespaces."""
        return ["nsenter", f"--net=/run/netns/{self.name}", f"--mount=/proc/{self.holder.pid}/ns/mnt"]

    def make_network(self):
        name, link = self.name, f"{self.name}-main"
        _run("ip", "netns", "add", name)
        _run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", name)
        _run("ip", "link", "set", link, "master", layout.BRIDGE)
        _run("ip", "link", "set", link, "up")
        inside = self.inside
        _run(*inside, "ip", "link", "set", "lo", "up")
        _run(*inside, "ip", "addr", "add", f"{self.layout.address}/24", "dev", "eth0")
        _run(*inside, "ip", "link", "set", "eth0", "up")
        _run(*inside, "ip", "route", "add", "default", "via", layout.SERVER_ADDRESS)
        for sysctl in ("net/ipv4/ip_forward=1", "net/bridge/bridge-nf-call-iptables=1"):
            path, value = sysctl.split("=")
            _run(*inside, "sh", "-c", f"echo {value} > /proc/sys/{path}")
        _run("ip", "route", "add", self.layout.pod_range, "via", self.layout.address)

    def connect_to(self, other):
        """A route to another node's pods, that does not go through the main namespace."""
        _run(*self.inside, "ip", "route", "add", other.layout.pod_range, "via", other.layout.address)

    def cut_off(self):
        """Takes the node's link down: nothing reaches it, nothing leaves it."""
        _run("ip", "link", "set", f"{self.name}-main", "down")

    def join_again(self):
        _run("ip", "link", "set", f"{self.name}-main", "up")

    # MARK: containerd

    def start_containerd(self):
        network = self.folder / "cni"
        network.mkdir(exist_ok=True)
        (network / "10-pods.conflist").write_text(json.dumps({
            "cniVersion": "0.4.0", "name": "pods", "plugins": [
                {"type": "ptp", "ipMasq": False, "mtu": 1500,
                 "ipam": {"type": "host-local", "dataDir": str(self.folder / "addresses"),
                          "ranges": [[{"subnet": self.layout.pod_range}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        settings = self.folder / "containerd.toml"
        settings.write_text(f"""version = 2
root = "{self.folder}/containerd"
state = "/run/containerd/{self.name}"
oom_score = 0
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{layout.PAUSE_IMAGE}"
  stream_server_address = "127.0.0.1"
  disable_apparmor = true
  restrict_oom_score_adj = true
  tolerate_missing_hugetlb_controller = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{network}"
""")
        self.containerd = self._launch("containerd", "/usr/bin/containerd", "--config", settings)
        wait_until(lambda: self._containerd_answers(), 30,
                   lambda: f"containerd of {self.name} does not answer:\n{self.containerd.log_tail()}", 0.1)

    def _containerd_answers(self):
        return subprocess.run([*self._ctr(), "version"], capture_output=True, timeout=10).returncode == 0

    def _ctr(self):
        return ["ctr", "--address", str(self.socket), "--namespace", "k8s.io"]

    def load_image(self, archive, name, others=()):
        """Imports the archive of the image `name`, and gives it the other names by which pods ask for it."""
        _run(*self._ctr(), "images", "import", archive, timeout=180)
        for other in others:
            _run(*self._ctr(), "images", "tag", "--force", name, other)

    # MARK: kubelet and kube-proxy

    def start_kubelet(self):
        name, ca = f"kubelet-{self.name}", self.control_plane.authority
        ca.issue(name, f"system:node:{self.name}", groups=["system:nodes"], addresses=[self.layout.address],
                 names=[self.name])
        group = self._make_cgroups()
        resolver = self.folder / "resolv.conf"
        resolver.write_text(f"nameserver {layout.SERVER_ADDRESS}\n")
        settings = self.folder / "kubelet.json"
        settings.write_text(json.dumps({
            "kind": "KubeletConfiguration", "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": self.layout.address, "healthzBindAddress": "127.0.0.1",
            "tlsCertFile": str(ca.certificate(name)), "tlsPrivateKeyFile": str(ca.key(name)),
            "authentication": {"x509": {"clientCAFile": str(ca.certificate("ca"))}, "webhook": {"enabled": True},
                               "anonymous": {"enabled": False}},
            "authorization": {"mode": "Webhook"},
            "clusterDNS": [layout.SERVER_ADDRESS], "clusterDomain": layout.DOMAIN, "resolvConf": str(resolver),
            "cgroupDriver": "cgroupfs", "cgroupRoot": group, "cgroupsPerQOS": True, "enforceNodeAllocatable": [],
            "failSwapOn": False, "maxOpenFiles": 10000, "protectKernelDefaults": False,
            # This machine's disk is not the node's.
            "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "memory.available": "50Mi",
                             "nodefs.inodesFree": "0%"},
            "imageGCHighThresholdPercent": 100, "volumePluginDir": str(self.folder / "plugins"),
            # Mounted Secrets follow a change at the next sync of the pod: sooner than a real node's minute.
            "syncFrequency": "10s", "nodeStatusUpdateFrequency": "5s", "kubeAPIQPS": 50, "kubeAPIBurst": 100}))
        self.kubelet = self._launch(
            "kubelet", layout.program("kubelet"), f"--config={settings}",
            f"--kubeconfig={self.control_plane.write_kubeconfig(name)}", f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder}", f"--hostname-override={self.name}", f"--node-ip={self.layout.address}",
            "--container-runtime=remote", f"--container-runtime-endpoint=unix://{self.socket}", "--oom-score-adj=0",
            f"--node-labels=topology.kubernetes.io/zone=zone{self.layout.number},disk=ssd")

    def _make_cgroups(self):
        for hierarchy in pathlib.Path("/sys/fs/cgroup").iterdir():
            if hierarchy.name == "unified":
                continue
            group = hierarchy / self.name
            group.mkdir(exist_ok=True)
            if hierarchy.name == "cpuset":
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((hierarchy / file).read_text())
        return f"/{self.name}"

    def start_proxy(self):
        settings = self.folder / "proxy.json"
        unset = {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"}
        settings.write_text(json.dumps({
            "kind": "KubeProxyConfiguration", "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "mode": "iptables",
            "clientConnection": {"kubeconfig": str(self.control_plane.write_kubeconfig("proxy"))},
            "clusterCIDR": layout.POD_RANGE, "hostnameOverride": self.name, "bindAddress": self.layout.address,
            "healthzBindAddress": "127.0.0.1:10256", "metricsBindAddress": "127.0.0.1:10249", "conntrack": unset,
            "iptables": {"syncPeriod": "30s", "minSyncPeriod": "100ms"}}))
        self.proxy = self._launch("kube-proxy", layout.program("kube-proxy"), f"--config={settings}")

    def is_ready(self):
        node = self.control_plane.api.find("Node", self.name)
        conditions = node["status"].get("conditions", []) if node else []
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def _launch(self, name, *arguments):
        return Process(f"{name} of {self.name}", [*self.inside, *arguments],
                       self.folder / "logs" / f"{name}.log").start()

    def processes(self):
        return [process for process in (self.kubelet, self.proxy, self.containerd, self.holder) if process]
