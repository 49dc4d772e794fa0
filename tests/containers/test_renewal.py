"""Renewal of certificates under load: by the CronJob's pod, seen by the kubelets one after the other, without a broken link."""

import pathlib
import random
import shutil
import ssl
import threading
import time

import pytest
from localcluster import certificates as issuing
from localcluster.resp import Client, ConnectionClosed, Credentials, ReplyError
from release import CERTIFICATES, CLIENTS, KEYS, sets
from support import eventually

CRON = ("CronJob", "f5-dssm-cert-init")
#: No failover for a pause of a busy machine: it would break links too.
PATIENT = "sentinel.downAfterMilliseconds=10000"


class Session:
    """A client with one connection that sends a command every few milliseconds; any error ends it and stays."""

    def __init__(self, release, pod):
        self.client, self.pod, self.count, self.error = release.client(pod, timeout=20), pod, 0, None
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self):
        try:
            while not self.stopping.wait(0.02):
                self.count += 1
                assert self.client.call("SET", f"session:{self.pod.name}", str(self.count)) == "OK"
        except (OSError, ConnectionClosed, ReplyError, AssertionError) as error:
            self.error = error

    def finish(self):
        self.stopping.set()
        self.thread.join(30)
        self.client.close()


class Links:
    """What must not break: clients that talk, clients that wait, and the replicas' links."""

    def __init__(self, release):
        self.release = release
        self.primary = release.wait_until_settled()
        self.sessions = [Session(release, pod) for pod in [*release.sentinels, self.primary]]
        self.subscriber = release.client(self.primary, timeout=30)
        self.subscriber.call("SUBSCRIBE", "news")
        self.watcher = release.client(release.sentinels[1], timeout=30)
        self.watcher.call("SUBSCRIBE", "+switch-master")
        self.blocked = [release.client(pod, timeout=120) for pod in (self.primary, release.sentinels[0])]
        for number, client in enumerate(self.blocked):
            client.socket.sendall(b"*3\r\n$5\r\nBLPOP\r\n$7\r\nqueue:%d\r\n$1\r\n0\r\n" % number)
        eventually(lambda: int(release.info(self.primary, "clients").get("blocked_clients", 0)) == 2, "two clients wait")
        self.before = self.replication()

    def replication(self):
        info = self.release.info(self.primary, "everything")
        return {name: info[name] for name in ("role", "connected_slaves", "sync_full", "sync_partial_ok", "master_replid")}

    def assert_unbroken(self):
        assert [session.error for session in self.sessions] == [None] * len(self.sessions)
        counts = [session.count for session in self.sessions]
        eventually(lambda: all(session.count > count for session, count in zip(self.sessions, counts)), "all sessions go on")
        assert self.replication() == self.before

    def finish(self):
        """The waiting clients get what they waited for, on the connections of the beginning."""
        self.assert_unbroken()
        with self.release.client(self.primary) as client:
            assert client.call("PUBLISH", "news", "hello") == 1
            assert self.subscriber.reply() == [b"message", b"news", b"hello"]
            for number, blocked in enumerate(self.blocked):
                client.call("RPUSH", f"queue:{number}", "item")
                assert blocked.reply() == [b"queue:%d" % number, b"item"]
        self.watcher.send(b"PING\r\n")
        assert self.watcher.reply() == [b"pong", b""], "a failover was announced"
        for session in self.sessions:
            session.finish()
        for client in (self.subscriber, self.watcher, *self.blocked):
            client.close()


def presented(release, pod):
    """The certificate that a server shows to new clients."""
    with release.client(pod) as client:
        return client.socket.getpeercert(binary_form=True)


def leaf(release):
    text = release.api.data(release.chart.namespace, CERTIFICATES)["dssm-cert.crt"].decode()
    return ssl.PEM_cert_to_DER_cert(text[:text.index("-----END CERTIFICATE-----")] + "-----END CERTIFICATE-----\n")


def authorities(release):
    return release.api.data(release.chart.namespace, CERTIFICATES)["dssm-ca.crt"].count(b"BEGIN CERTIFICATE")


def spread(release, links, seed):
    """The kubelets update the volumes one after the other; each pod takes its new files and no link breaks."""
    pods = list(release.pods.values())
    random.Random(seed).shuffle(pods)
    for pod in pods:
        pod.sync()
        eventually(lambda pod=pod: presented(release, pod) == leaf(release), f"{pod.name} shows the present certificate")
        links.assert_unbroken()


@pytest.fixture
def seed():
    number = random.SystemRandom().randrange(1 << 32)
    print(f"order of the kubelets: seed {number}")
    return number


def test_a_certificate_of_the_same_authority_replaces_the_old_without_a_broken_link(install, seed):
    release = install(*sets(PATIENT, "certInit.keepCAKey=true", "certInit.authorityDays=3650"))
    release.wait_until_whole()
    links, old, authority = Links(release), leaf(release), release.api.data(release.chart.namespace, CERTIFICATES)["dssm-ca.crt"]
    release.upgrade(*sets("certInit.names={sessions.example.net}"))
    assert "sessions.example.net" in release.run_job(*CRON)
    assert leaf(release) != old
    assert release.api.data(release.chart.namespace, CERTIFICATES)["dssm-ca.crt"] == authority
    spread(release, links, seed)
    links.finish()
    assert release.wait_until_whole() is links.primary


@pytest.fixture(scope="module")
def release(install):
    release = install(*sets(PATIENT, "certInit.propagationDelay=2s", "certInit.overlap=8s"))
    release.wait_until_whole()
    return release


def test_a_new_authority_and_its_certificates_replace_the_old_without_a_broken_link(release, seed):
    links = Links(release)
    old_leaf, old_folder = leaf(release), release.folder / "old-client"
    shutil.copytree(release.client_files.path, old_folder)
    began = time.monotonic()

    release.run_job(*CRON, "--force")
    assert authorities(release) == 2 and leaf(release) == old_leaf, "at first both CAs are trusted and nothing else changes"
    spread(release, links, seed)
    release.write_client_files()

    def renewed():
        release.run_job(*CRON)
        return leaf(release) != old_leaf

    eventually(renewed, "the certificates follow after the delay", 30)
    assert authorities(release) == 2
    spread(release, links, seed + 1)
    assert release.call(links.primary, "PING") == "PONG", "a client that has only the new bundle and its old certificate"
    release.write_client_files()
    assert release.call(links.primary, "PING") == "PONG"

    def alone():
        release.run_job(*CRON)
        return authorities(release) == 1

    eventually(alone, "the old CA goes after the overlap", 30)
    release.sync_secrets()
    release.write_client_files()
    stale = Credentials(old_folder / "dssm-cert.crt", old_folder / "dssm-key.key", release.client_files.authority)

    def refused(pod):
        try:
            with Client(6379 if pod in release.dbs else 26379, stale, host=pod.address, timeout=5) as client:
                client.call("PING")
            return False
        except (OSError, ConnectionClosed):
            return True

    for pod in release.pods.values():
        eventually(lambda pod=pod: refused(pod), f"{pod.name} trusts the old CA no longer")
        assert release.call(pod, "PING") == "PONG"
    links.finish()
    assert release.api.data(CLIENTS, CERTIFICATES) == release.api.data(release.chart.namespace, CERTIFICATES)
    print(f"new CA, overlap and the old one's end in {time.monotonic() - began:.0f} s; no link broke, the primary stayed {links.primary.name}")
    assert release.wait_until_whole() is links.primary


def test_a_key_that_does_not_fit_is_refused_and_nothing_changes(release, tmp_path):
    namespace = release.chart.namespace
    links, present, good = Links(release), leaf(release), release.api.data(namespace, KEYS)
    other = issuing.issue(tmp_path / "other")
    release.api.put(namespace, KEYS, {"dssm-key.key": pathlib.Path(other.key).read_bytes()})
    release.sync_secrets()
    for pod in release.pods.values():
        eventually(lambda pod=pod: "event=tls-reload-failed" in pod.main.log(), f"{pod.name} refuses the key")
        assert presented(release, pod) == present
        assert pod.ready
    links.assert_unbroken()
    release.api.put(namespace, KEYS, good)
    release.sync_secrets()
    links.finish()
    assert release.helm_test().returncode == 0
