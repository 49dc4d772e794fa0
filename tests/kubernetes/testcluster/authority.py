"""The cluster's own certificate authority, by openssl: P-256 keys, a day of life."""

import pathlib
import subprocess


def _openssl(*arguments):
    result = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, timeout=60)
    if result.returncode:
        raise RuntimeError(f"openssl {arguments[0]}: {result.stderr.strip()}")


class Authority:
    """Writes NAME.crt and NAME.key into one folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 1,
                 "-subj", "/CN=kubernetes", "-keyout", self.key("ca"), "-out", self.certificate("ca"),
                 "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        # Service account tokens are signed by this one.
        _openssl("genrsa", "-out", self.key("service-accounts"), 2048)
        _openssl("rsa", "-in", self.key("service-accounts"), "-pubout", "-out", self.folder / "service-accounts.pub")

    def certificate(self, name):
        return self.folder / f"{name}.crt"

    def key(self, name):
        return self.folder / f"{name}.key"

    def issue(self, name, user, groups=(), addresses=(), names=()):
        """A certificate for client and server use; the API server reads user and groups from the subject."""
        request, extensions = self.folder / f"{name}.csr", self.folder / f"{name}.ext"
        subject = "".join(f"/O={group}" for group in groups) + f"/CN={user}"
        alternatives = [f"IP:{address}" for address in addresses] + [f"DNS:{one}" for one in names]
        lines = ["basicConstraints=CA:FALSE", "extendedKeyUsage=clientAuth,serverAuth"]
        if alternatives:
            lines.append("subjectAltName=" + ",".join(alternatives))
        extensions.write_text("\n".join(lines) + "\n")
        _openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject,
                 "-keyout", self.key(name), "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate("ca"), "-CAkey", self.key("ca"),
                 "-CAcreateserial", "-days", 1, "-extfile", extensions, "-out", self.certificate(name))
        return self
