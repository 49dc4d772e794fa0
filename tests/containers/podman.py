"""Podman's command line, as much of it as the tests need."""

import json
import os
import pathlib
import subprocess
import tempfile

#: Conmon leaves a file named `oom` in the folder where podman was called when a container is killed for its memory.
_FOLDER = tempfile.TemporaryDirectory(prefix="dssm-podman-")
_ENVIRONMENT = {"CONTAINERS_CONF": str(pathlib.Path(__file__).with_name("containers.conf")), **os.environ}


class PodmanError(Exception):
    """A podman command failed; the text is what it said."""


def podman(*arguments, seconds=120, check=True):
    """Its standard output without the last line's end. PodmanError if it fails, unless `check` is False."""
    result = run(*arguments, seconds=seconds)
    if check and result.returncode != 0:
        raise PodmanError(f"podman {' '.join(map(str, arguments))}\n{result.stderr.strip()}")
    return result.stdout.strip()


def run(*arguments, seconds=120):
    """The completed process."""
    return subprocess.run(["podman", *map(str, arguments)], capture_output=True, text=True, timeout=seconds, env=_ENVIRONMENT,
                          cwd=_FOLDER.name)


def inspect(kind, name):
    """What `podman <kind> inspect` says of one object; kind is container, pod, network or image."""
    found = json.loads(podman(kind, "inspect", name))
    return found[0] if isinstance(found, list) else found
