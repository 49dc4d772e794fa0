"""The chart's objects as `helm template` makes them, and what the API server's controllers make of them."""

import copy
import os
import pathlib
import re
import subprocess

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "f5-dssm"


class Chart:
    """One rendering."""

    def __init__(self, *options, release="f5-dssm", namespace="cnf-gateway", helm="helm3"):
        executable = os.environ.get("HELM", ROOT / ".tools" / helm / "helm")
        result = subprocess.run([executable, "template", release, CHART, "--namespace", namespace, *map(str, options)],
                                capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stderr
        self.release, self.namespace = release, namespace
        self.objects = [document for document in yaml.safe_load_all(result.stdout) if document]

    def all(self, kind):
        return [item for item in self.objects if item["kind"] == kind]

    def one(self, kind, name, namespace=None):
        return next(item for item in self.all(kind) if item["metadata"]["name"] == name
                    and item["metadata"].get("namespace") == (namespace or self.namespace))

    def config_map(self, name):
        """Its items as bytes."""
        return {item: text.encode() for item, text in self.one("ConfigMap", name)["data"].items()}

    def pods(self):
        """The pods that the StatefulSets' controller would make."""
        for owner in self.all("StatefulSet"):
            for ordinal in range(owner["spec"]["replicas"]):
                yield stateful_pod(owner, ordinal)

    def services_of(self, pod):
        """The Services whose selector matches the pod's labels."""
        labels = pod["metadata"]["labels"]
        return [item["metadata"]["name"] for item in self.all("Service")
                if item["spec"].get("selector") and item["spec"]["selector"].items() <= labels.items()]

    def rules(self, account, namespace):
        """What a service account of the release may do in a namespace: the rules of the Roles bound to it there."""
        bound = {item["roleRef"]["name"] for item in self.all("RoleBinding") if item["metadata"]["namespace"] == namespace
                 and any(subject["name"] == account and subject["namespace"] == self.namespace for subject in item["subjects"])}
        return [rule for item in self.all("Role") if item["metadata"]["namespace"] == namespace
                and item["metadata"]["name"] in bound for rule in item["rules"]]


def stateful_pod(owner, ordinal):
    pod = copy.deepcopy(owner["spec"]["template"])
    name = f"{owner['metadata']['name']}-{ordinal}"
    pod["metadata"] |= {"name": name, "namespace": owner["metadata"]["namespace"]}
    pod["spec"] |= {"hostname": name, "subdomain": owner["spec"]["serviceName"]}
    for claim in owner["spec"].get("volumeClaimTemplates", []):
        volume = claim["metadata"]["name"]
        pod["spec"]["volumes"].append({"name": volume, "persistentVolumeClaim": {"claimName": f"{volume}-{name}"}})
    return pod


def expand(text, environment):
    """$(NAME) for variables that are there, and $$ for $, as the kubelet does it in command, args and env."""
    def replace(match):
        if match[0] == "$$":
            return "$"
        return environment.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)", replace, text)


def bytes_of(quantity):
    """Bytes of a Kubernetes quantity such as 256Mi."""
    match = re.fullmatch(r"(\d+)([KMG]i?)?", str(quantity))
    assert match, quantity
    unit = match[2] or ""
    return int(match[1]) * (1024 if unit.endswith("i") else 1000) ** " KMG".index(unit[:1] or " ")
