"""What dssm-cert-init issues, read and verified by OpenSSL's own command, in folders and in Secrets."""

import json
import os
import re
import stat
import subprocess

import pytest
from localcluster import binaries
from localcluster import certificates as issuing
from secrets_server import SecretsServer

CERTIFICATES, KEYS = "dssm-certs-secret", "dssm-keys-secret"
ITEMS = {CERTIFICATES: {"dssm-ca.crt", "dssm-cert.crt", "dhparam2048.pem"}, KEYS: {"dssm-key.key"}}


def openssl(*arguments):
    result = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=30)
    assert result.returncode == 0, result.stderr
    return result.stdout


def verify(authority, certificate, *options):
    assert openssl("verify", "-CAfile", str(authority), *options, str(certificate)).strip().endswith(": OK")


def public_key(path, kind):
    return openssl(*{"x509": ["x509", "-noout", "-pubkey"], "pkey": ["pkey", "-pubout"]}[kind], "-in", str(path))


def test_openssl_accepts_the_default_profile(tmp_path):
    files = issuing.issue(tmp_path, "--namespace", "cnf-gateway", "--days", "825", key_algorithm="ecdsa-p384")
    for purpose in ("sslserver", "sslclient"):
        verify(files.authority, files.certificate, "-purpose", purpose, "-x509_strict")
    name = "f5-dssm-db-2.f5-dssm-db.cnf-gateway.svc.cluster.local"
    verify(files.authority, files.certificate, "-verify_hostname", name)
    text = openssl("x509", "-noout", "-text", "-in", files.certificate)
    assert "ecdsa-with-SHA384" in text and "TLS Web Server Authentication, TLS Web Client Authentication" in text
    assert "DNS:localhost" in text and "CA:FALSE" in text
    authority = openssl("x509", "-noout", "-text", "-in", files.authority)
    assert "CA:TRUE, pathlen:0" in authority and "Certificate Sign" in authority
    assert public_key(files.certificate, "x509") == public_key(files.key, "pkey")
    assert "ffdhe2048" in openssl("pkeyparam", "-noout", "-text", "-in", files.dh_parameters)
    for name in os.listdir(tmp_path):
        assert stat.S_IMODE(os.stat(tmp_path / name).st_mode) == 0o600


def test_the_manual_profile_is_what_openssls_commands_make(tmp_path):
    ours = issuing.issue(tmp_path / "ours", "--profile", "manual", key_algorithm="rsa4096")
    theirs = issuing.CertificateFolder(tmp_path / "theirs")
    os.mkdir(theirs.path)
    authority_key, request = tmp_path / "ca.key", tmp_path / "request"
    openssl("genrsa", "-out", str(authority_key), "4096")
    openssl("req", "-x509", "-new", "-nodes", "-sha384", "-key", str(authority_key), "-days", "365",
            "-subj", "/O=Redis Test/CN=Certificate Authority", "-out", theirs.authority)
    openssl("genrsa", "-out", theirs.key, "4096")
    openssl("req", "-new", "-sha384", "-key", theirs.key, "-subj", "/O=Redis Test/CN=Server", "-out", str(request))
    openssl("x509", "-req", "-sha384", "-CA", theirs.authority, "-CAkey", str(authority_key), "-CAcreateserial",
            "-days", "365", "-in", str(request), "-out", theirs.certificate)

    def shape(path):
        """The certificate's text without what differs from one to the next."""
        text = openssl("x509", "-noout", "-text", "-in", path)
        text = re.sub(r"Not (Before|After ?) *:.*", "", text)
        text = re.sub(r"\b([0-9A-Fa-f]{2}:)+[0-9A-Fa-f]{0,2}", "", text)
        return [line.strip() for line in text.splitlines() if line.strip()]

    verify(ours.authority, ours.certificate)
    assert shape(ours.certificate) == shape(theirs.certificate)
    assert shape(ours.authority) == shape(theirs.authority)
    assert public_key(ours.certificate, "x509") == public_key(ours.key, "pkey")


@pytest.fixture
def cluster():
    server = SecretsServer()
    yield server
    server.stop()


@pytest.fixture
def run(cluster, tmp_path):
    """run("ensure", ...): the finished process, against the cluster."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u", "namespace": "cnf-gateway"}}],
        "clusters": [{"name": "k", "cluster": {"server": cluster.url}}],
        "users": [{"name": "u", "user": {"token": "a-token"}}]}))

    def command(*arguments):
        return [binaries.ours("dssm-cert-init"), *arguments, "--kubeconfig", str(kubeconfig)]

    def run(*arguments):
        return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60)

    run.command = command
    return run


def ensure(run, *options, code=0):
    result = run("ensure", "--key-algorithm", "ecdsa-p256", *options)
    assert result.returncode == code, result.stdout + result.stderr
    assert "PRIVATE KEY" not in result.stdout + result.stderr
    return result


def unpack(cluster, namespace, folder):
    """A namespace's Secrets as files."""
    os.makedirs(folder)
    for secret in (CERTIFICATES, KEYS):
        for item, content in cluster.data(namespace, secret).items():
            (folder / item).write_bytes(content)
    return issuing.CertificateFolder(folder)


def test_ensure_makes_secrets_that_openssl_accepts_and_then_leaves_them(cluster, run, tmp_path):
    first = ensure(run, "--tmm-namespace", "cnf-tmm")
    for secret, items in ITEMS.items():
        assert set(cluster.data("cnf-gateway", secret)) == items
        assert cluster.data("cnf-gateway", secret) == cluster.data("cnf-tmm", secret)
    files = unpack(cluster, "cnf-tmm", tmp_path / "files")
    verify(files.authority, files.certificate, "-verify_hostname", "f5-dssm-sentinel.cnf-gateway")
    assert public_key(files.certificate, "x509") == public_key(files.key, "pkey")
    assert "dssm-certs-secret is missing" in first.stdout
    assert cluster.tokens == {"Bearer a-token"}
    writes = len(cluster.writes)
    again = ensure(run, "--tmm-namespace", "cnf-tmm", "--log-format", "json")
    assert len(cluster.writes) == writes
    assert [json.loads(line)["event"] for line in again.stdout.splitlines()] == ["secrets-kept"]


@pytest.mark.parametrize("profile", ["default", "manual"])
def test_during_the_overlap_openssl_accepts_old_and_new_certificates(cluster, run, tmp_path, profile):
    ensure(run, "--profile", profile)
    old = unpack(cluster, "cnf-gateway", tmp_path / "old")
    ensure(run, "--profile", profile, "--force")
    new = unpack(cluster, "cnf-gateway", tmp_path / "new")
    assert openssl("x509", "-noout", "-serial", "-in", old.certificate) != openssl("x509", "-noout", "-serial", "-in", new.certificate)
    for certificate in (old.certificate, new.certificate):
        verify(new.authority, certificate)


def test_secrets_made_by_hand_are_copied_or_explained_but_never_written(cluster, run, tmp_path):
    files = issuing.issue(tmp_path / "mine", "--profile", "manual")

    def items(folder, secret):
        return {item: (folder / item).read_bytes() for item in ITEMS[secret]}

    for secret in ITEMS:
        cluster.put("cnf-gateway", secret, items(tmp_path / "mine", secret))
    ensure(run, "--profile", "manual", "--tmm-namespace", "cnf-tmm")
    assert cluster.data("cnf-tmm", CERTIFICATES) == items(tmp_path / "mine", CERTIFICATES)
    issuing.issue(tmp_path / "other", "--profile", "manual")
    cluster.put("cnf-gateway", KEYS, items(tmp_path / "other", KEYS))
    before = [write for write in cluster.writes if write[2] == "secrets"]
    result = ensure(run, "--profile", "manual", "--force", code=3)
    assert "the key in dssm-key.key does not belong to the certificate" in result.stdout
    assert [write for write in cluster.writes if write[2] == "secrets"] == before
    assert files.certificate


def test_a_run_that_waits_ends_at_a_signal_and_the_next_one_goes_on(cluster, run):
    ensure(run)
    before = cluster.data("cnf-gateway", CERTIFICATES)
    options = ["ensure", "--key-algorithm", "ecdsa-p256", "--force", "--wait", "--propagation-delay", "1h"]
    with subprocess.Popen(run.command(*options), stdout=subprocess.PIPE, text=True) as process:
        line = next(line for line in process.stdout if "certificates follow from" in line)
        process.terminate()
        assert process.wait(10) == 143 and line
    published = cluster.data("cnf-gateway", CERTIFICATES)
    assert published["dssm-cert.crt"] == before["dssm-cert.crt"]
    assert published["dssm-ca.crt"].endswith(before["dssm-ca.crt"]) and published["dssm-ca.crt"] != before["dssm-ca.crt"]
    ensure(run)
    after = cluster.data("cnf-gateway", CERTIFICATES)
    assert after["dssm-cert.crt"] != before["dssm-cert.crt"] and after["dssm-ca.crt"] == published["dssm-ca.crt"]
    assert cluster.data("cnf-gateway", "dssm-renewal-secret") == {}


def test_inspect_shows_secrets(cluster, run):
    ensure(run)
    table = run("inspect", "--namespace", "cnf-gateway")
    assert table.returncode == 0
    assert "signed by O=Redis Test, CN=Certificate Authority in cnf-gateway/dssm-certs-secret/dssm-ca.crt" in table.stdout
    entries = json.loads(run("inspect", "--namespace", "cnf-gateway", "--json").stdout)
    leaf = next(entry for entry in entries if entry["file"].endswith("dssm-cert.crt"))
    assert leaf["daysLeft"] in (364, 365) and "f5-dssm-db.cnf-gateway.svc" in leaf["names"]
    missing = run("inspect", "--namespace", "elsewhere")
    assert missing.returncode == 1 and "there is no such Secret" in missing.stdout


def test_a_cluster_that_refuses_is_one_clear_line(cluster, run):
    cluster.forbidden.add("cnf-gateway")
    result = ensure(run, code=1)
    assert result.stderr == (
        "dssm-cert-init: GET /api/v1/namespaces/cnf-gateway/secrets/dssm-renewal-secret: forbidden (403)\n")


@pytest.mark.parametrize("settings, problem", [
    ("days: 900\n", "line 1: days: must be from 1 to 825"),
    ("release: f5-dssm\nday: 3\n", "line 2: 'day' is no setting"),
    ("keepCAKey: maybe\n", "line 1: keepCAKey: must be true or false"),
    ("- days\n", "line 1: must be a mapping"),
    ("a: [\n", "line 2"),
])
def test_a_wrong_settings_file_is_told_with_its_line(run, tmp_path, settings, problem):
    path = tmp_path / "settings.yaml"
    path.write_text(settings)
    result = run("ensure", "--config", str(path))
    assert result.returncode == 64
    assert result.stderr.startswith(f"dssm-cert-init: {path}, ") and problem in result.stderr


def test_options_override_the_settings_file(cluster, run, tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("namespace: one\nkeyAlgorithm: ecdsa-p384\ntmmNamespaces: [two]\ndhParameters: ffdhe3072\nkeepCAKey: true\n")
    ensure(run, "--config", str(path), "--tmm-namespace", "three")
    assert {key[0] for key in cluster.objects} == {"one", "three"}
    files = unpack(cluster, "one", tmp_path / "files")
    assert "P-256" in openssl("x509", "-noout", "-text", "-in", files.certificate)
    assert "ffdhe3072" in openssl("pkeyparam", "-noout", "-text", "-in", files.dh_parameters)
    assert set(cluster.data("one", "dssm-ca-key-secret")) == {"dssm-ca.key"}
