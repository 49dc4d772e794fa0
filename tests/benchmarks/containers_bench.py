"""How long the chart's six pods take from nothing to ready, and what memory each container has when nothing happens.

Each run installs a release in podman as tests/containers does, with sidecars (their Fluentd is away) or without. Memory is read after
`--idle` seconds without a client: the process's own (VmRSS without what it maps from files), its peak (VmHWM), and the
container's cgroup with its file cache, which is what a limit counts and `kubectl top` shows a part of.

Usage: containers_bench.py [--runs 5] [--idle 10]      root; images as for `make test-containers`
"""

import argparse
import datetime
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / name) for name in ("containers", "integration")] + [str(HERE.parents[1] / "tools")]

from chart import CHART  # noqa: E402
from localcluster.processes import wait_until  # noqa: E402
from podman import inspect  # noqa: E402
from release import Release  # noqa: E402

MIB = 1 << 20


def status(pid):
    """Bytes by name, of /proc/<pid>/status."""
    with open(f"/proc/{pid}/status") as file:
        pairs = (line.split() for line in file if line.startswith(("VmHWM", "VmRSS", "RssAnon", "RssFile")))
        return {words[0].rstrip(":"): int(words[1]) * 1024 for words in pairs}


def cgroup(container):
    """Bytes of the container's cgroup, and the part that is not file cache."""
    usage = int(container.cgroup_file("memory", "memory.usage_in_bytes").read_text())
    stat = dict(line.split() for line in container.cgroup_file("memory", "memory.stat").read_text().splitlines())
    return usage, int(stat["rss"])


def is_ready(pod):
    try:
        with urllib.request.urlopen(f"http://{pod.address}:9121/readyz", timeout=1) as response:
            return response.status == 200
    except OSError:
        return False


class PeakOfJob(threading.Thread):
    """Watches for the process of an executable and keeps its peak."""

    def __init__(self, name):
        super().__init__(daemon=True)
        self.name_of_process, self.peak, self.stopping = name, 0, threading.Event()

    def run(self):
        while not self.stopping.wait(0.02):
            found = subprocess.run(["pidof", self.name_of_process], capture_output=True, text=True).stdout.split()
            for pid in found:
                try:
                    self.peak = max(self.peak, status(pid).get("VmHWM", 0))
                except OSError:
                    pass


def processor(container):
    """Nanoseconds of CPU that the container has used."""
    return int(container.cgroup_file("cpuacct", "cpuacct.usage").read_text())


def last_start(release):
    """Unix time at which the last process of the release began."""
    started = [inspect("container", container.full_name)["State"]["StartedAt"]
               for pod in release.pods.values() for container in pod.containers.values()]
    return max(datetime.datetime.fromisoformat(text[:26] + "+00:00").timestamp() for text in started)


def one_run(folder, with_sidecars, idle):
    """(seconds to ready by asking, those of them after the last process began, seconds until the kubelets say so, figures by kind of
    container)."""
    options = ["-f", CHART / "examples/page-fluentd.yaml"] if with_sidecars else []
    release = Release(folder, *options, "--set", "certInit.keyAlgorithm=rsa4096")
    peak = PeakOfJob("dssm-cert-init")
    peak.start()
    start_pods, begin = release.start_pods, []

    def timed(pods=None):
        peak.stopping.set()
        begin.append(time.monotonic())
        start_pods(pods)

    release.start_pods = timed
    try:
        release.install()
        wait_until(lambda: all(is_ready(pod) for pod in release.pods.values()), 60, "all pods to be ready")
        asked, ready_at = time.monotonic() - begin[0], time.time()
        release.wait_until_ready()
        probed = time.monotonic() - begin[0]
        release.wait_until_settled()
        containers = [container for pod in release.pods.values() for container in pod.containers.values()]
        before = {container: processor(container) for container in containers}
        time.sleep(idle)
        figures = {}
        for pod in release.pods.values():
            for name, container in pod.containers.items():
                own, used = status(container.pid), processor(container) - before[container]
                memory = (own["RssAnon"], own["VmHWM"], *cgroup(container))
                figures.setdefault(name, []).append((*(one / MIB for one in memory), used / idle / 1e6))
        figures["cert-init's run"] = [(0, peak.peak / MIB, 0, 0, 0)]
        return asked, ready_at - last_start(release), probed, figures
    finally:
        release.uninstall()


def spread(values, digits=1):
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--idle", type=float, default=10)
    options = parser.parse_args()
    for with_sidecars in (False, True):
        results = []
        for _ in range(options.runs):
            with tempfile.TemporaryDirectory(prefix="dssm-containers-") as folder:
                results.append(one_run(folder, with_sidecars, options.idle))
        print(f"\n{'with' if with_sidecars else 'without'} sidecars, {options.runs} runs: median (range)")
        print(f"six pods from nothing to ready: {spread([one[0] for one in results])} s by /readyz, of which "
              f"{spread([one[1] for one in results], 2)} s after podman had begun the last process; "
              f"{spread([one[2] for one in results])} s by the chart's probes")
        print(f"{'container':16}" + "".join(f"{title:>18}" for title in ("own MiB", "peak MiB", "cgroup MiB", "without cache", "CPU milli")))
        for name in results[0][3]:
            samples = [sample for one in results for sample in one[3][name]]
            print(f"{name:16}" + "".join(f"{spread([sample[column] for sample in samples]):>18}" for column in range(5)))


if __name__ == "__main__":
    main()
