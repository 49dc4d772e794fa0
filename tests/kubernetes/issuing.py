"""An installation of the Secrets alone: namespaces, the chart's own rights and settings for cert-init, and runs of it."""

import base64
import hashlib
import itertools
import re
import subprocess
import time

from localcluster import binaries
from localcluster.processes import Process

from testcluster.cluster import CHART

ACCOUNT = "f5-dssm-cert-init"
SECRETS = {"dssm-certs-secret": {"dssm-ca.crt", "dssm-cert.crt", "dhparam2048.pem"}, "dssm-keys-secret": {"dssm-key.key"}}
_numbers = itertools.count(1)


class Installation:
    """Namespaces of its own. The account, its roles and the settings are those of the chart's CronJob, word for word."""

    def __init__(self, cluster, *sets):
        self.cluster, self.api = cluster, cluster.api
        number = next(_numbers)
        self.home, self.tmm = f"certs-{number}", f"certs-{number}-tmm"
        self.namespaces = [self.home, self.tmm]
        for name in self.namespaces:
            self.api.ensure_namespace(name)
        options = ["--set", f"tmm.namespaces={{{self.tmm}}}", "--set", "certInit.keyAlgorithm=ecdsa-p256",
                   "--set", "certInit.propagationDelay=0s", *[part for one in sets for part in ("--set", one)]]
        manifests = cluster.helm("template", "f5-dssm", CHART, "-n", self.home, "--kube-version", "1.20.2",
                                 "-s", "templates/cert-init/cronjob.yaml", *options)
        cluster.kubectl("apply", "-f", "-", stdin=manifests)
        self.folder = cluster.folder / self.home
        self.folder.mkdir()
        self.settings = self.folder / "cert-init.yaml"
        self.settings.write_text(self.api.get("ConfigMap", ACCOUNT, self.home)["data"]["cert-init.yaml"])
        self.kubeconfig = cluster.kubeconfig_for(ACCOUNT, self.home)

    def command(self, *options, kubeconfig=None):
        return [binaries.ours("dssm-cert-init"), "ensure", "--config", self.settings, "--kubeconfig",
                kubeconfig or self.kubeconfig, *options]

    def ensure(self, *options, expect=0, kubeconfig=None, deadline=60):
        """Runs it with the account's rights; everything that it wrote."""
        result = subprocess.run([str(one) for one in self.command(*options, kubeconfig=kubeconfig)], capture_output=True,
                                text=True, timeout=deadline)
        output = result.stdout + result.stderr
        assert result.returncode == expect, f"status {result.returncode} instead of {expect}:\n{output}"
        return output

    def launch(self, *options, kubeconfig=None):
        """Starts it and does not wait."""
        number = next(_numbers)
        return Process(f"cert-init {number}", self.command(*options, kubeconfig=kubeconfig),
                       self.folder / f"run-{number}.log").start()

    # MARK: What there is

    def secret(self, name, namespace=None):
        return self.api.find("Secret", name, namespace or self.home)

    def items(self, namespace=None):
        """All items of the two Secrets, decoded."""
        found = {}
        for name in SECRETS:
            secret = self.secret(name, namespace)
            found |= {item: base64.b64decode(value) for item, value in (secret or {}).get("data", {}).items()}
        return found

    def versions(self):
        return {(namespace, one["metadata"]["name"]): one["metadata"]["resourceVersion"] for namespace in self.namespaces
                for one in self.api.list("Secret", namespace) if one["metadata"]["name"].startswith("dssm-")}

    def check(self):
        """The same whole, valid pair everywhere, that OpenSSL accepts; its certificate's digest."""
        digests = set()
        for namespace in self.namespaces:
            items = self.items(namespace)
            assert set(items) == set().union(*SECRETS.values()), f"{namespace} has {sorted(items)}"
            for name, content in items.items():
                (self.folder / name).write_bytes(content)
            openssl("verify", "-CAfile", self.folder / "dssm-ca.crt", self.folder / "dssm-cert.crt")
            assert openssl("x509", "-noout", "-pubkey", "-in", self.folder / "dssm-cert.crt") \
                == openssl("pkey", "-pubout", "-in", self.folder / "dssm-key.key"), f"key and certificate differ in {namespace}"
            digests.add(hashlib.sha256(items["dssm-cert.crt"]).hexdigest())
        assert len(digests) == 1, "the namespaces have different certificates"
        return digests.pop()

    def authorities(self, namespace=None):
        """The CAs that are trusted."""
        return re.findall(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", self.items(namespace)["dssm-ca.crt"], re.S)

    def events(self, namespace=None):
        return [(one["involvedObject"]["name"], one["type"], one["reason"], one["message"])
                for one in self.api.list("Event", namespace or self.home) if one["involvedObject"]["kind"] == "Secret"]

    def put(self, name, items, namespace=None, labels=None):
        """A Secret as a person makes it with kubectl: without labels."""
        data = {item: base64.b64encode(content).decode() for item, content in items.items()}
        self.api.create({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": data,
                         "metadata": {"name": name, "labels": labels or {}}},
                        namespace or self.home)


def openssl(*arguments):
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    return result.stdout


def days_left(certificate):
    """Of a PEM certificate in a file."""
    end = openssl("x509", "-noout", "-enddate", "-in", certificate).strip().partition("=")[2]
    return (time.mktime(time.strptime(end, "%b %d %H:%M:%S %Y %Z")) - time.mktime(time.gmtime())) / 86400
