"""Volumes: folders on each node, bound by the real binder. Kubernetes has no dynamic provisioner of its own for them."""

import shutil

CLASS = "node-local"


def make_class(api):
    """The default storage class; volumes are bound when a pod is scheduled."""
    api.create({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "kubernetes.io/no-provisioner",
                "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
                "volumeBindingMode": "WaitForFirstConsumer"})


def make_volume(api, node, number, gigabytes=1):
    name = f"{node.name}-{number}"
    folder = node.folder / "volumes" / name
    folder.mkdir(parents=True)
    api.create({
        "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {"capacity": {"storage": f"{gigabytes}Gi"}, "accessModes": ["ReadWriteOnce"],
                 "persistentVolumeReclaimPolicy": "Retain", "storageClassName": CLASS, "local": {"path": str(folder)},
                 "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [
                     {"key": "kubernetes.io/hostname", "operator": "In", "values": [node.name]}]}]}}}})


def recycle(api, nodes):
    """Empties volumes whose claim is gone and offers them again."""
    for volume in api.list("PersistentVolume"):
        if volume.get("status", {}).get("phase") != "Released":
            continue
        name = volume["metadata"]["name"]
        folder = next(node.folder for node in nodes if name.startswith(node.name)) / "volumes" / name
        shutil.rmtree(folder)
        folder.mkdir()
        api.patch("PersistentVolume", name, {"spec": {"claimRef": None}})
