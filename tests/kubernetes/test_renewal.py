"""A renewal of certificates by a new CA while everything runs: no pod restarts, no client is refused."""

import socket
import ssl
import subprocess
import time

from localcluster import binaries
from localcluster.processes import wait_until

from release import DB_PORT, SENTINEL_PORT, Writer

ACCOUNT = "f5-dssm-cert-init"


def served_serial(release, pod, port):
    """Serial number of the certificate that a pod shows to a new connection."""
    certificate, key, authority = release.credentials()
    context = ssl.create_default_context(cafile=str(authority))
    context.check_hostname = False
    context.load_cert_chain(str(certificate), str(key))
    with socket.create_connection((release.address(pod), port), timeout=5) as plain:
        with context.wrap_socket(plain) as connection:
            return connection.getpeercert()["serialNumber"]


def test_a_new_authority_reaches_all_six_pods_without_a_restart(release, measured):
    release.wait_for_roles()
    ports = {name: DB_PORT if "-db-" in name else SENTINEL_PORT for name in release.pods()}
    old = {name: served_serial(release, name, port) for name, port in ports.items()}
    pods = {name: (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
            for name, pod in release.pods().items()}
    settings = release.folder / "cert-init.yaml"
    settings.write_text(release.api.get("ConfigMap", ACCOUNT, release.namespace)["data"]["cert-init.yaml"])
    begin = time.monotonic()
    with Writer(release, "renewal") as writer:
        # Twice the nodes' 10 s until mounted Secrets follow; the chart's 5 minutes are for usual clusters.
        result = subprocess.run([
            binaries.ours("dssm-cert-init"), "ensure", "--config", settings, "--force", "--wait", "--propagation-delay", "30s",
            "--kubeconfig", release.cluster.kubeconfig_for(ACCOUNT, release.namespace)],
            capture_output=True, text=True, timeout=120)
        assert result.returncode == 0, result.stderr

        def all_new():
            now = {name: served_serial(release, name, port) for name, port in ports.items()}
            return len(set(now.values())) == 1 and not set(now.values()) & set(old.values())
        wait_until(all_new, 60, lambda: release.cluster.describe(release.namespace), 0.5)
        seconds = round(time.monotonic() - begin, 1)
        count = len(writer.acknowledged)
        # New links between pods, by the new certificates.
        release.cluster.kubectl("delete", "pod", "-n", release.namespace, "f5-dssm-db-1")
        wait_until(lambda: "f5-dssm-db-1" in release.ready("db"), 60, "the pod to come back", 0.1)
        release.wait_for_roles()
        wait_until(lambda: len(writer.acknowledged) > count + 50, 20, lambda: f"no more writes: {writer.refused[-3:]}")
    assert not writer.lost()
    after = {name: (pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"])
             for name, pod in release.pods().items()}
    assert {name for name in pods if pods[name] != after[name]} == {"f5-dssm-db-1"}
    measured("renewal by a new CA, until all six pods use it", f"{seconds} s, of which 30 s are the chosen delay; "
             f"{len(writer.refused)} writes refused, 0 lost")
