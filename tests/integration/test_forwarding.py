"""Data commands through a sentinel's port."""

import os
import signal
import time

import pytest
from localcluster import binaries
from localcluster.processes import Process
from localcluster.resp import Client
from support import eventually, free_port


class Sentinel:
    """One sentinel of ours with a quorum of one."""

    def __init__(self, folder, primary_port):
        self.port = free_port()
        os.makedirs(folder)
        path = os.path.join(folder, "sentinel.conf")
        with open(path, "w") as file:
            file.write(f"port {self.port}\nbind 127.0.0.1\nsentinel monitor dssm 127.0.0.1 {primary_port} 1\n")
        self.process = Process("sentinel", [binaries.ours("dssm-sentinel"), path], os.path.join(folder, "log"), cwd=folder).start()

    def client(self):
        return Client(self.port, timeout=10)


@pytest.fixture
def sentinel(tmp_path):
    started = []

    def start(primary_port):
        started.append(Sentinel(str(tmp_path / f"sentinel-{len(started)}"), primary_port))
        return started[-1]

    yield start
    for one in started:
        one.process.stop()


def forwards(sentinel):
    try:
        with sentinel.client() as client:
            return client.call("SET", "ready", "1") == "OK"
    except Exception:
        return False


@pytest.mark.parametrize("kind", ["redis", "ours"])
def test_wait_is_about_the_writes_that_the_client_has_sent_before(start, sentinel, kind):
    primary = start(kind)
    replica = start(kind, replicaof=[(f"127.0.0.1 {primary.port}",)])
    watcher = sentinel(primary.port)
    eventually(lambda: forwards(watcher), "forwarding works")
    with watcher.client() as client:
        client.call("SET", "a", "1")
        eventually(lambda: client.call("WAIT", "1", "100") == 1, "the replica has it")
        replica.process.signal(signal.SIGSTOP)
        try:
            client.call("SET", "a", "2")
            begin = time.monotonic()
            assert client.call("WAIT", "1", "300") == 0
            assert time.monotonic() - begin > 0.25
        finally:
            replica.process.signal(signal.SIGCONT)
        assert client.call("WAIT", "1", "10000") == 1
        # In a transaction nothing of ours may come between.
        client.call("MULTI")
        client.call("WAIT", "0", "0")
        result = client.call("EXEC")
        assert len(result) == 1 and isinstance(result[0], int), result
