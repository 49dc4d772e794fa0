"""Where the executables are."""

import os
import shutil

from .errors import ClusterError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def build_folder():
    return os.environ.get("DSSM_BIN") or os.path.join(ROOT, ".build", "release")


def ours(name):
    """Path of one of our executables (`dssm-db`); DSSM_BIN names another folder than .build/release."""
    path = os.path.join(build_folder(), name)
    if not os.access(path, os.X_OK):
        raise ClusterError(f"there is no {path}: run `make release` first")
    return path


def stock(name):
    """Path of one of Redis's executables (`redis-server`)."""
    path = shutil.which(name)
    if path is None:
        raise ClusterError(f"{name} is not installed: run `make setup` (Debian packages redis-server and redis-sentinel)")
    return path
