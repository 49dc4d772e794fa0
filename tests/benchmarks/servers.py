"""The two servers under measurement, started alike: loopback only, no persistence, one plaintext and one mTLS port."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

from localcluster import binaries, resp  # noqa: E402
from localcluster.errors import ClusterError  # noqa: E402
from localcluster.processes import Process, free_port, wait_until  # noqa: E402


class Server:
    """One process with its ports. `label` is "ours" or "redis"."""

    def __init__(self, label, executable, certificates, folder):
        self.label = label
        self.certificates = certificates
        self.folder = os.path.join(folder, label)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.port, self.tls_port = free_port(), free_port()
        arguments = [executable, "--port", self.port, "--bind", "127.0.0.1", "--dir", self.folder, "--save", "",
                     "--appendonly", "no", "--tls-port", self.tls_port]
        for name, value in certificates.directives():
            arguments += ["--" + name, value]
        self.process = Process(label, arguments, os.path.join(self.folder, "log"))

    def __enter__(self):
        self.process.start()
        try:
            wait_until(self._answers, 15, lambda: f"{self.label} does not answer: {self.process.log_tail(3)}")
        except BaseException:
            self.process.kill()
            raise
        return self

    def __exit__(self, *_):
        self.process.stop()

    def _answers(self):
        if not self.process.is_alive:
            raise ClusterError(self.process.why_it_ended())
        try:
            return self.call("PING") == "PONG"
        except (OSError, resp.ConnectionClosed):
            return False

    def call(self, *arguments, timeout=60):
        with resp.Client(self.port, timeout=timeout) as client:
            return client.call(*arguments)

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def make_certificates(folder, algorithm):
    """Files like those of dssm-cert-init, by the openssl command, so that the benchmarks need only one of our binaries."""
    from localcluster.certificates import CertificateFolder

    folder = os.path.join(folder, "certs-" + algorithm)
    files = CertificateFolder(folder)
    if os.path.exists(files.certificate):
        return files
    os.makedirs(folder, exist_ok=True)
    new_key = {"ecdsa-p256": ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
               "rsa4096": ["-newkey", "rsa:4096"]}[algorithm]
    authority_key, request = os.path.join(folder, "ca.key"), os.path.join(folder, "request")

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True)

    openssl("req", "-x509", *new_key, "-nodes", "-sha384", "-days", "30", "-subj", "/O=Redis Test/CN=Certificate Authority",
            "-keyout", authority_key, "-out", files.authority)
    openssl("req", *new_key, "-nodes", "-sha384", "-subj", "/O=Redis Test/CN=Server", "-keyout", files.key, "-out", request)
    openssl("x509", "-req", "-sha384", "-days", "30", "-in", request, "-CA", files.authority, "-CAkey", authority_key,
            "-CAcreateserial", "-out", files.certificate)
    with open(files.dh_parameters, "w") as file:
        file.write(ffdhe2048())
    return files


def ffdhe2048():
    """The parameters of RFC 7919, from OpenSSL itself."""
    command = ["openssl", "genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:ffdhe2048"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def load_generator():
    path = os.path.join(binaries.ROOT, ".build", "dssm-load")
    if not os.access(path, os.X_OK):
        raise ClusterError(f"there is no {path}: `make bench` builds it")
    return path


def scratch_folder():
    return tempfile.mkdtemp(prefix="dssm-bench-")


def stock_or_path(name):
    return name if os.path.sep in name else binaries.stock(name)
