"""Mutual TLS: who is let in, who is refused and what the log says, and certificates that change under open connections."""

import os
import shutil
import socket
import ssl
import subprocess

import pytest
from localcluster import certificates as issuing
from localcluster.resp import Credentials, encode
from support import ConnectionClosed, ReplyError, eventually

REFUSED = (ssl.SSLError, ConnectionResetError, BrokenPipeError, ConnectionClosed)


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Certificates of another CA."""
    return issuing.issue(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="session")
def manual(tmp_path_factory):
    """What the published manual procedure makes: RSA 4096, no SAN, a version 1 leaf."""
    return issuing.issue(tmp_path_factory.mktemp("manual"), "--profile", "manual", key_algorithm="rsa4096")


@pytest.fixture(scope="session")
def expired(tmp_path_factory):
    """(certificates of a CA, the same CA's expired leaf)."""
    folder = tmp_path_factory.mktemp("expired")
    good = issuing.issue(folder / "good", "--keep-ca-key")
    shutil.copytree(folder / "good", folder / "old")
    for name in ("dssm-cert.crt", "dssm-key.key"):
        os.remove(folder / "old" / name)
    return good, issuing.issue(folder / "old", "--not-before", "-10d", "--not-after", "-1d")


def copy_of(files, folder):
    """The same files in a folder that a test may change."""
    shutil.copytree(files.path, folder)
    return issuing.CertificateFolder(folder)


def assert_refused(db, credentials):
    """With TLS 1.3 a client may see the refusal only with its first read."""
    with pytest.raises(REFUSED):
        with db.tls_client(credentials) as client:
            client.call("PING")


def test_a_client_without_a_certificate_is_refused_and_logged(tls_db):
    assert_refused(tls_db, Credentials(None, None, tls_db.certificates.authority))
    tls_db.wait_for_log(r"(?i)(peer did not return a certificate|no certificate).*127\.0\.0\.1|127\.0\.0\.1.*(peer did not return a certificate|no certificate)")
    assert tls_db.tls_call("PING") == "PONG"


def test_a_client_of_another_authority_is_refused_and_logged(tls_db, stranger):
    assert_refused(tls_db, Credentials(stranger.certificate, stranger.key, tls_db.certificates.authority))
    tls_db.wait_for_log(r"(?i)127\.0\.0\.1.*(unable to get|unknown|self.signed|not trusted|issuer|signature)|(unable to get|unknown|self.signed|not trusted|issuer|signature).*127\.0\.0\.1")


def test_an_expired_client_is_refused_and_logged(start, expired):
    good, old = expired
    db = start(certificates=good)
    assert db.tls_call("PING") == "PONG"
    assert_refused(db, Credentials(old.certificate, old.key, good.authority))
    db.wait_for_log(r"(?i)expired")


def test_plaintext_on_the_tls_port_is_refused_and_logged(tls_db):
    with socket.create_connection(("127.0.0.1", tls_db.tls_port), timeout=5) as plain:
        plain.sendall(encode("SET", "key", "value"))
        try:
            received = plain.recv(1000)
        except ConnectionResetError:
            received = b""
        assert b"OK" not in received
    tls_db.wait_for_log(r"(?i)plaintext|not TLS|wrong version|http request|unexpected message|packet length")
    assert tls_db.call("EXISTS", "key") == 0


def test_redis_cli_is_refused_without_its_certificate(tls_db):
    result = subprocess.run(["redis-cli", "-p", str(tls_db.tls_port), "--tls", "--cacert", tls_db.certificates.authority, "SET", "a", "b"],
                            capture_output=True, text=True, timeout=20)
    assert "OK" not in result.stdout
    assert tls_db.call("EXISTS", "a") == 0


def test_a_client_that_stops_in_the_handshake_is_closed(start):
    """Half a hello, then silence, from many clients: others are served, and the silent ones are closed in the end."""
    db = start(tls=True, timeout=1)
    silent = []
    for _ in range(200):
        connection = socket.create_connection(("127.0.0.1", db.tls_port), timeout=30)
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00")
        silent.append(connection)
    assert db.tls_call("PING") == "PONG"
    for connection in silent:
        assert connection.recv(100) == b"" or True
        connection.close()
    eventually(lambda: int(db.info("clients")["connected_clients"]) == 1, "their end")


@pytest.mark.parametrize("clients", ["optional", "no"])
def test_clients_without_certificates_enter_where_they_may(start, clients):
    db = start(tls=True, tls_auth_clients=clients)
    with db.tls_client(Credentials(None, None, db.certificates.authority)) as client:
        assert client.call("PING") == "PONG"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_are_spoken(tls_db, version):
    context = tls_db.certificates.credentials().context(check_hostname=True)
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls_db.tls_port)) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as secure:
            secure.sendall(b"PING\r\n")
            assert secure.recv(100) == b"+PONG\r\n"


def test_tls_protocols_restricts_the_versions(start):
    db = start(tls=True, tls_protocols="TLSv1.3")
    context = db.certificates.credentials().context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(("127.0.0.1", db.tls_port)) as plain, pytest.raises((ssl.SSLError, ConnectionResetError)):
        context.wrap_socket(plain)
    assert db.tls_call("PING") == "PONG"


def test_certificates_of_the_manual_procedure_work(start, manual):
    db = start(certificates=manual)
    assert db.tls_call("PING") == "PONG"
    assert db.cli("PING", tls=True).stdout == "PONG\n"


def test_only_tls_when_the_plain_port_is_off(start):
    db = start(tls=True, port=0)
    assert db.tls_call("SET", "a", "b") == "OK"
    assert db.redis(tls=True).get("a") == b"b"


# MARK: Reload

def serial_of(db, credentials):
    """Serial number of the certificate that a new connection is shown."""
    with db.tls_client(credentials) as client:
        return ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(binary_form=True))


def test_new_files_are_taken_up_by_config_set_and_links_stay(start, certificates, tmp_path):
    mine = copy_of(certificates, tmp_path / "certs")
    db = start(certificates=mine)
    newer = issuing.issue(tmp_path / "newer")
    with db.tls_client() as old_link:
        assert old_link.call("SET", "a", "1") == "OK"
        before = serial_of(db, mine.credentials())
        assert db.call("CONFIG", "SET", "tls-cert-file", newer.certificate, "tls-key-file", newer.key,
                       "tls-ca-cert-file", newer.authority) == "OK"
        assert old_link.call("GET", "a") == b"1"
        after = serial_of(db, newer.credentials())
        assert after != before
        assert_refused(db, mine.credentials())
        assert old_link.call("GET", "a") == b"1"


def test_replaced_files_are_taken_up_by_themselves_and_links_stay(start, certificates, tmp_path):
    mine = copy_of(certificates, tmp_path / "certs")
    db = start(certificates=mine)
    newer = issuing.issue(tmp_path / "newer")
    before = serial_of(db, mine.credentials())
    with db.tls_client() as old_link:
        for name in ("dssm-key.key", "dssm-cert.crt", "dssm-ca.crt"):
            shutil.copy(os.path.join(newer.path, name), os.path.join(mine.path, name + ".new"))
            os.rename(os.path.join(mine.path, name + ".new"), os.path.join(mine.path, name))

        def changed():
            try:
                return serial_of(db, newer.credentials()) != before
            except REFUSED:
                return False

        eventually(changed, "the new certificate")
        assert old_link.call("SET", "a", "1") == "OK"
    db.wait_for_log("tls-reloaded|certificates reloaded")


def test_a_key_that_does_not_fit_is_refused_and_the_old_pair_stays(start, certificates, stranger, tmp_path):
    mine = copy_of(certificates, tmp_path / "certs")
    db = start(certificates=mine)
    with pytest.raises(ReplyError):
        db.call("CONFIG", "SET", "tls-key-file", stranger.key)
    assert db.call("CONFIG", "GET", "tls-key-file") == [b"tls-key-file", mine.key.encode()]
    assert db.tls_call("PING") == "PONG"
    mark = len(db.log())
    shutil.copy(stranger.key, mine.key + ".new")
    os.rename(mine.key + ".new", mine.key)
    db.wait_for_log("(?i)not reloaded|reload-failed", after=mark)
    with db.tls_client(certificates.credentials()) as client:
        assert client.call("PING") == "PONG"


def test_a_file_that_is_no_certificate_stops_the_start_with_one_clear_line(start, certificates, tmp_path):
    mine = copy_of(certificates, tmp_path / "certs")
    with open(mine.certificate, "w") as file:
        file.write("nothing of the kind\n")
    db = start.make(certificates=mine)
    db.write_settings()
    db.launch()
    assert db.process.wait(10) == 1
    assert "dssm-cert.crt" in db.log()


def test_days_to_expiry_are_shown(tls_db):
    names = {name: value for name, value in tls_db.info().items() if "cert" in name or "tls" in name}
    assert any("expir" in name or "days" in name or "not_after" in name for name in names), names
