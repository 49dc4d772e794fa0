"""etcd, API server, controller manager and scheduler."""

import subprocess

from localcluster.errors import ClusterError
from localcluster.processes import Process, wait_until

from . import layout
from .client import ApiClient, ApiError, kubeconfig

_ETCD = "http://127.0.0.1:2379"


def _run(*arguments):
    subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, timeout=30)


class ControlPlane:
    """Listens on the bridge's address; its parts have certificates of their own and are held to RBAC."""

    def __init__(self, folder, authority):
        self.folder, self.authority = folder, authority
        self.processes = []
        self.url = f"https://{layout.SERVER_ADDRESS}:{layout.SERVER_PORT}"
        ca = authority
        ca.issue("apiserver", "kube-apiserver", addresses=[layout.SERVER_ADDRESS, layout.SERVICE_ADDRESS, "127.0.0.1"],
                 names=["kubernetes", "kubernetes.default", "kubernetes.default.svc",
                        f"kubernetes.default.svc.{layout.DOMAIN}", "localhost"])
        ca.issue("apiserver-kubelet", "kube-apiserver-kubelet", groups=["system:masters"])
        ca.issue("admin", "admin", groups=["system:masters"])
        ca.issue("controller-manager", "system:kube-controller-manager")
        ca.issue("scheduler", "system:kube-scheduler")
        ca.issue("proxy", "system:kube-proxy")
        self.api = ApiClient(layout.SERVER_ADDRESS, layout.SERVER_PORT, ca.certificate("ca"), ca.certificate("admin"),
                             ca.key("admin"))

    def make_bridge(self):
        _run("ip", "link", "add", layout.BRIDGE, "type", "bridge")
        _run("ip", "addr", "add", f"{layout.SERVER_ADDRESS}/24", "dev", layout.BRIDGE)
        _run("ip", "link", "set", layout.BRIDGE, "up")

    def write_kubeconfig(self, name):
        path = self.folder / f"{name}.kubeconfig"
        path.write_text(kubeconfig(self.url, self.authority.certificate("ca"), self.authority.certificate(name),
                                   self.authority.key(name)))
        return path

    def start(self):
        self.make_bridge()
        self._launch("etcd", "/usr/bin/etcd", "--data-dir", self.folder / "etcd", "--listen-client-urls", _ETCD,
                     "--advertise-client-urls", _ETCD, "--listen-peer-urls", "http://127.0.0.1:2380",
                     "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
                     "--initial-cluster", "default=http://127.0.0.1:2380")
        ca = self.authority
        self.start_server()
        self._launch("kube-controller-manager", layout.program("kube-controller-manager"),
                     f"--kubeconfig={self.write_kubeconfig('controller-manager')}",
                     f"--service-account-private-key-file={ca.key('service-accounts')}",
                     f"--root-ca-file={ca.certificate('ca')}", "--use-service-account-credentials",
                     "--leader-elect=false", "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400",
                     "--pvclaimbinder-sync-period=2s", "--node-monitor-period=2s", "--node-monitor-grace-period=20s")
        self._launch("kube-scheduler", layout.program("kube-scheduler"),
                     f"--kubeconfig={self.write_kubeconfig('scheduler')}", "--leader-elect=false",
                     "--bind-address=127.0.0.1", "--kube-api-qps=200", "--kube-api-burst=400")
        return self

    def start_server(self):
        ca = self.authority
        self.server = self._launch(
            "kube-apiserver", layout.program("kube-apiserver"), f"--etcd-servers={_ETCD}", "--bind-address=0.0.0.0",
            f"--secure-port={layout.SERVER_PORT}", f"--advertise-address={layout.SERVER_ADDRESS}",
            f"--tls-cert-file={ca.certificate('apiserver')}", f"--tls-private-key-file={ca.key('apiserver')}",
            f"--client-ca-file={ca.certificate('ca')}",
            f"--service-account-key-file={ca.folder / 'service-accounts.pub'}",
            f"--service-account-signing-key-file={ca.key('service-accounts')}",
            f"--service-account-issuer=https://kubernetes.default.svc.{layout.DOMAIN}",
            f"--service-cluster-ip-range={layout.SERVICE_RANGE}", "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction", "--allow-privileged", "--anonymous-auth=false",
            f"--kubelet-client-certificate={ca.certificate('apiserver-kubelet')}",
            f"--kubelet-client-key={ca.key('apiserver-kubelet')}",
            f"--kubelet-certificate-authority={ca.certificate('ca')}",
            "--kubelet-preferred-address-types=InternalIP", "--event-ttl=1h")
        wait_until(self._is_ready, 60, lambda: f"the API server is not ready; its log:\n{self.server.log_tail(20)}", 0.1)

    def restart_server(self):
        """Ends and starts the API server, as an upgrade of the control plane does."""
        self.server.stop()
        self.processes.remove(self.server)
        self.start_server()

    def _is_ready(self):
        for process in self.processes:
            if not process.is_alive:
                raise ClusterError(process.why_it_ended())
        try:
            return self.api.call("GET", "/readyz", timeout=5) == "ok"
        except (OSError, ApiError):
            return False

    def _launch(self, name, *arguments):
        process = Process(name, arguments, self.folder / "logs" / f"{name}.log").start()
        self.processes.append(process)
        return process
