"""Rendering of the chart for the tests: each set of values once, by each Helm."""

import functools
import os
import pathlib
import subprocess

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "f5-dssm"
EXAMPLES = sorted(CHART.glob("examples/*.yaml"))
HELMS = {"helm3": os.environ.get("HELM3", "helm"), "helm4": os.environ.get("HELM4", "helm")}


def run_helm(helm, *arguments):
    return subprocess.run([HELMS[helm], *map(str, arguments)], capture_output=True, text=True, timeout=60)


@functools.cache
def template(release, helm, *options):
    result = run_helm(helm, "template", release, CHART, "--namespace", "cnf-gateway", *options)
    assert result.returncode == 0, result.stderr
    return result.stdout


class Rendered:
    """The objects of one rendering."""

    def __init__(self, text):
        self.text = text
        self.objects = [document for document in yaml.safe_load_all(text) if document]

    def all(self, kind):
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind, name, namespace="cnf-gateway"):
        found = [item for item in self.all(kind)
                 if item["metadata"]["name"] == name and item["metadata"].get("namespace") == namespace]
        assert len(found) == 1, f"{len(found)} objects {kind}/{name}; there are {self.names(kind)}"
        return found[0]

    def names(self, kind):
        return sorted(item["metadata"]["name"] for item in self.all(kind))

    def pod_templates(self):
        """Every pod template with its owner."""
        for item in self.objects:
            spec = item.get("spec") or {}
            if item["kind"] == "CronJob":
                spec = spec["jobTemplate"]["spec"]
            if item["kind"] in ("StatefulSet", "Deployment", "Job", "CronJob"):
                yield item, spec["template"]
            elif item["kind"] == "Pod":
                yield item, item


def render(*options, release="f5-dssm", helm="helm4"):
    return Rendered(template(release, helm, *map(str, options)))


def sets(*pairs):
    return [part for pair in pairs for part in ("--set", pair)]


#: Everything optional switched on.
EVERYTHING = sets(
    "db.fluentbit_sidecar.fluentd.host=fluentd.logs.", "sentinel.fluentbit_sidecar.fluentd.host=fluentd.logs.",
    "tmm.namespaces={cnf-apps,cnf-more}", "restartCoordinator.replicas=2", "restartCoordinator.tmm.restart=true",
    "restartCoordinator.tmm.workloads[0].namespace=cnf-apps", "restartCoordinator.tmm.workloads[0].selector=app=f5-tmm",
    "restartCoordinator.windows[0].cron=0 2 * * *", "restartCoordinator.windows[0].duration=2h", "networkPolicy.enabled=true",
    "metrics.serviceMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true",
    "logForwarder.tls=true", "logForwarder.credentialsSecret=fluentd", "commonLabels.team=dssm",
    "commonAnnotations.note=kept", "sentinel.persistent_storage=enable", "db.writeQuorum=1",
    "imagePullSecrets[0].name=registry", "nodeSelector.disk=ssd", "db.priorityClassName=high",
    "db.extraEnv[0].name=TZ", "db.extraEnv[0].value=UTC")


@pytest.fixture(params=sorted(HELMS))
def helm(request):
    return request.param
