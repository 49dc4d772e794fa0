"""Each image by itself: an arbitrary user, a read-only root, no rights, no network."""

import re

import pytest
from conftest import ARBITRARY_USER
from podman import inspect, run
from release import REPOSITORY, TAG

SERVICES = ["db", "sentinel", "cert-init", "log-forwarder", "restart-coordinator"]


def image(service):
    return f"{REPOSITORY}/dssm-{service}:{TAG}"


def start(service, *arguments):
    return run("run", "--rm", "--network", "none", "--user", f"{ARBITRARY_USER}:0", "--read-only", "--read-only-tmpfs=false",
               "--cap-drop", "ALL", "--security-opt", "no-new-privileges", image(service), *arguments, seconds=30)


@pytest.mark.parametrize("service", SERVICES)
def test_it_says_its_version(service):
    result = start(service, "--version")
    assert result.returncode == 0, result.stderr
    assert re.match(rf"dssm-{service} \d+\.\d+\.\d+", result.stdout)


@pytest.mark.parametrize("service", SERVICES)
def test_its_user_is_a_number_in_group_zero(service):
    assert inspect("image", image(service))["User"] == "10001:0"


@pytest.mark.parametrize(("service", "arguments", "code", "message"), [
    ("db", ["/missing.conf"], 1, "dssm-db: fatal configuration error: /missing.conf: cannot be opened: No such file or directory"),
    ("db", ["--no-such-thing", "1"], 1, "'no-such-thing': unknown directive"),
    ("db", ["--tls-port", "6379", "--port", "0"], 1, "tls"),
    ("db", [], 1, "dssm-db: data directory '/data' is not writable: Read-only file system"),
    ("sentinel", ["/missing.conf"], 2, "dssm-sentinel: /missing.conf: cannot be opened: No such file or directory"),
    ("cert-init", ["ensure"], 1, "dssm-cert-init: no cluster: neither in a pod nor a kubeconfig"),
    ("cert-init", ["issue", "--output-directory", "/data"], 1, "/data/dssm-ca.crt.tmp-1: cannot be created: Read-only file system"),
    ("cert-init", ["isue"], 64, "isue"),
    ("log-forwarder", ["--config", "/missing.yaml"], 78, "dssm-log-forwarder: /missing.yaml: cannot be read: No such file or directory"),
    ("restart-coordinator", ["--no-such-thing"], 64, "--no-such-thing"),
])
def test_bad_input_is_refused_with_its_reason(service, arguments, code, message):
    result = start(service, *arguments)
    assert result.returncode == code, result.stdout + result.stderr
    assert message in result.stderr
