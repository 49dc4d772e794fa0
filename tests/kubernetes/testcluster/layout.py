"""Addresses, folders and programs of the cluster. Addresses are fixed: the network namespace is the cluster's own."""

import dataclasses
import os
import pathlib

DOMAIN = "cluster.local"
SERVER_ADDRESS = "172.30.0.1"  # of the control plane, of the name server, and of whatever the tests listen with
SERVER_PORT = 6443
SERVICE_RANGE = "10.96.0.0/16"
SERVICE_ADDRESS = "10.96.0.1"  # of the Service `kubernetes`
POD_RANGE = "10.244.0.0/16"
BRIDGE = "kube0"
PAUSE_IMAGE = "k8s.gcr.io/pause:3.2"


@dataclasses.dataclass(frozen=True)
class NodeLayout:
    number: int

    @property
    def name(self):
        return f"node{self.number}"

    @property
    def address(self):
        return f"172.30.0.{10 + self.number}"

    @property
    def pod_range(self):
        return f"10.244.{self.number}.0/24"


def program(name):
    """Path of a Kubernetes program in the cache of tools/kubernetes."""
    folder = os.environ.get("DSSM_KUBERNETES")
    if not folder:
        raise RuntimeError("not inside `tools/kubernetes run`: use make test-kubernetes")
    return os.path.join(folder, "bin", name)


def work_folder():
    """Where everything is written. `tools/kubernetes run` makes and removes it."""
    return pathlib.Path(os.environ["DSSM_KUBERNETES_WORK"])
