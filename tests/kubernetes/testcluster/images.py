"""The container images of the nodes: ours, under the names that values files ask for, and Kubernetes' own pause."""

import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

from . import layout

SERVICES = ("db", "sentinel", "cert-init", "log-forwarder", "restart-coordinator")
TOOL = pathlib.Path(__file__).resolve().parents[3] / "tools" / "kubernetes"
#: Repository and tag of the page's values files, and a second tag to upgrade to. Nothing is pulled: the nodes have the images.
PUBLISHED = "registry.com"
TAGS = ("0.1.0", "0.1.1")


def archives():
    """Our images' archives by name, from podman's store: DSSM_IMAGES names repository and tag, by default localhost:dev."""
    repository, _, tag = os.environ.get("DSSM_IMAGES", "localhost:dev").rpartition(":")
    names = [f"{repository}/dssm-{service}:{tag}" for service in SERVICES]
    result = subprocess.run([TOOL, "archive", *names], capture_output=True, text=True, timeout=300)
    if result.returncode:
        raise RuntimeError(result.stderr.strip())
    return dict(line.split() for line in result.stdout.splitlines())


def published_names(name):
    """The names under which values files know an image: localhost/dssm-db:dev is registry.com/dssm-db:0.1.0."""
    service = name.rpartition("/")[2].rpartition(":")[0]
    return [f"{PUBLISHED}/{service}:{tag}" for tag in TAGS]


def write_pause_archive(path):
    """An image of the one program that holds a pod's namespaces, as a Docker archive."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as archive:
        archive.add(layout.program("pause"), "pause")
    layer = layer.getvalue()
    config = json.dumps({
        "architecture": "amd64", "os": "linux", "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [layout.PAUSE_IMAGE], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(path, "w") as archive:
        for name, content in (("config.json", config), ("layer.tar", layer), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
