"""Certificates for local runs, made by dssm-cert-init."""

import os
import subprocess

from . import binaries
from .errors import ClusterError
from .resp import Credentials


class CertificateFolder:
    """The four files that dssm-cert-init writes; see docs of the service for what is in them."""

    def __init__(self, path):
        self.path = str(path)
        self.certificate = os.path.join(self.path, "dssm-cert.crt")
        self.key = os.path.join(self.path, "dssm-key.key")
        self.authority = os.path.join(self.path, "dssm-ca.crt")
        self.dh_parameters = os.path.join(self.path, "dhparam2048.pem")

    def credentials(self):
        return Credentials(self.certificate, self.key, self.authority)

    def directives(self):
        """The settings that db and sentinel share, as (name, value)."""
        return [
            ("tls-cert-file", self.certificate), ("tls-key-file", self.key), ("tls-ca-cert-file", self.authority),
            ("tls-dh-params-file", self.dh_parameters), ("tls-auth-clients", "yes"), ("tls-replication", "yes"),
        ]


def issue(path, *options, key_algorithm="ecdsa-p256"):
    """Issues (or keeps, when still valid) the files of a folder."""
    command = [binaries.ours("dssm-cert-init"), "issue", "--output-directory", str(path),
               "--key-algorithm", key_algorithm, *options]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    if result.returncode != 0:
        lines = (result.stderr.strip() or result.stdout.strip() or "it wrote nothing").splitlines()
        raise ClusterError(f"dssm-cert-init failed: {lines[-1]}")
    return CertificateFolder(path)
