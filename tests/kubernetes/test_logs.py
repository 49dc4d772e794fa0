"""The page's values file with Fluentd: a second container in each pod, and every pod's log arrives."""

import socket
import threading

import pytest
from forward_receiver import Receiver, decoded
from localcluster.processes import wait_until

from release import example
from testcluster.layout import SERVER_ADDRESS

PORT = 54321


class ReachableReceiver(Receiver):
    """Listens where the nodes reach it, which is the address of the main namespace."""

    def start(self):
        self.listener = socket.create_server((SERVER_ADDRESS, self.port), backlog=64)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self


@pytest.fixture(scope="module")
def fluentd(cluster):
    """The Service of the page's example, with the test's receiver behind it."""
    cluster.api.ensure_namespace("cnf-gateway")
    name, port = "f5-toda-fluentd", {"name": "forward", "port": PORT, "protocol": "TCP"}
    cluster.api.create({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [port]}},
                       "cnf-gateway")
    cluster.api.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name},
                        "subsets": [{"addresses": [{"ip": SERVER_ADDRESS}], "ports": [port]}]}, "cnf-gateway")
    receiver = ReachableReceiver(PORT).start()
    yield receiver
    receiver.stop()
    cluster.api.delete("Service", name, "cnf-gateway")


@pytest.fixture(scope="module")
def release(make_release, fluentd):
    return make_release().install("-f", example("page-fluentd"), "--set", "certInit.keyAlgorithm=ecdsa-p256")


def test_pods_have_two_containers_and_both_are_ready(release):
    for name, pod in release.pods().items():
        assert [one["ready"] for one in pod["status"]["containerStatuses"]] == [True, True], name


def test_the_log_of_every_pod_arrives_with_its_name(release, fluentd):
    release.wait_for_roles()

    def senders():
        with fluentd.lock:
            records = list(fluentd.records)
        return {value for _, _, record in records for value in decoded(record).values() if isinstance(value, str)}
    wait_until(lambda: set(release.pods()) <= senders(), 60,
               lambda: f"{sorted(set(release.pods()) - senders())} have sent nothing\n{release.cluster.describe(release.namespace)}", 0.2)
    assert not fluentd.complaints
    tags = {tag.decode() if isinstance(tag, bytes) else tag for tag, _, _ in fluentd.records}
    assert any("db" in tag for tag in tags) and any("sentinel" in tag for tag in tags)
