"""`make run`'s launcher: three dbs and three sentinels that are ready, and clear ends when something is wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest
from localcluster import binaries
from localcluster.processes import Process, free_port, port_is_free, wait_until
from localcluster.resp import Client, Credentials

LAUNCHER = os.path.join(binaries.ROOT, "tools", "local-cluster")


def three_ports():
    """The first of three consecutive free ports."""
    while True:
        port = free_port()
        if all(port_is_free(port + offset) for offset in range(3)):
            return port


class Launched:
    """A run of the launcher."""

    def __init__(self, folder, *options, environment=()):
        self.folder = str(folder / "run")
        self.db_port, self.sentinel_port = three_ports(), three_ports()
        self.process = Process("local-cluster", [
            sys.executable, LAUNCHER, "--folder", self.folder, "--db-port", self.db_port, "--sentinel-port", self.sentinel_port,
            *options], folder / "output", environment={**os.environ, **dict(environment)})

    def __enter__(self):
        self.process.start()
        return self

    def __exit__(self, *_):
        self.process.stop(20)

    def wait_for(self, text, seconds=40):
        def look():
            if not self.process.is_alive and text not in self.process.log():
                pytest.fail(f"it ended with {self.process.child.returncode}:\n{self.process.log()}")
            return text in self.process.log()

        wait_until(look, seconds, lambda: f"no {text!r} in:\n{self.process.log()}")

    def pids(self):
        return {name: int(open(os.path.join(self.folder, name, "pid")).read()) for name in sorted(os.listdir(self.folder))
                if os.path.exists(os.path.join(self.folder, name, "pid"))}


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(params=["ours", "stock"])
def options(request):
    return ["--stock"] if request.param == "stock" else []


def test_it_starts_shows_commands_that_work_and_stops_on_ctrl_c(tmp_path, options):
    with Launched(tmp_path, *options) as run:
        run.wait_for("Ctrl-C stops everything")
        commands = re.findall(r"^  (redis-cli .*)$", run.process.log(), re.MULTILINE)
        answers = [subprocess.run(command, shell=True, capture_output=True, text=True, timeout=10).stdout for command in commands]
        assert answers[0] == f"127.0.0.1\n{run.db_port}\n"
        assert answers[1] == "OK\n"
        if not options:
            assert answers[2] == "hello\n"
        run.wait_for("sentinels 3/3")
        pids = run.pids()
        assert len(pids) == 6
        run.process.signal(signal.SIGINT)
        assert run.process.wait(20) == 0, run.process.log()
        assert not any(is_running(pid) for pid in pids.values())


def test_a_killed_primary_comes_back_as_a_replica(tmp_path):
    with Launched(tmp_path) as run:
        run.wait_for("Ctrl-C stops everything")
        os.kill(run.pids()["db-0"], signal.SIGKILL)
        run.wait_for("db-0 ended with signal SIGKILL")
        run.wait_for("db-0 started again")
        run.wait_for("db-0 replica")
        folder = os.path.join(run.folder, "certs")
        credentials = Credentials(*(os.path.join(folder, name) for name in ("dssm-cert.crt", "dssm-key.key", "dssm-ca.crt")))
        with Client(run.db_port, credentials) as client:
            assert client.call("ROLE")[0] == b"slave"


def test_a_second_run_in_the_same_folder_finds_the_data_again(tmp_path):
    with Launched(tmp_path) as first:
        first.wait_for("Ctrl-C stops everything")
        command = re.search(r"^  (redis-cli .* SET .*)$", first.process.log(), re.MULTILINE).group(1)
        assert subprocess.run(command, shell=True, capture_output=True, text=True, timeout=10).stdout == "OK\n"
        first.process.signal(signal.SIGTERM)
        assert first.process.wait(20) == 0
    again = Launched(tmp_path)
    again.process.arguments = first.process.arguments
    with again:
        again.wait_for("keys 1")


def test_a_port_in_use_is_one_clear_line(tmp_path):
    with socket.socket() as taken:
        run = Launched(tmp_path)
        taken.bind(("127.0.0.1", run.db_port + 1))
        taken.listen()
        with run:
            assert run.process.wait(20) == 1
        assert run.process.log() == f"local-cluster: port {run.db_port + 1} (for db-1) is already in use\n"


def test_a_missing_binary_is_one_clear_line(tmp_path):
    with Launched(tmp_path, environment={"DSSM_BIN": str(tmp_path)}.items()) as run:
        assert run.process.wait(20) == 1
    assert run.process.log() == f"local-cluster: there is no {tmp_path}/dssm-cert-init: run `make release` first\n"


def test_a_child_that_dies_at_the_start_is_one_clear_line(tmp_path):
    """A settings file that the db refuses stands for every reason to die."""
    with Launched(tmp_path, "--exit-when-healthy") as run:
        assert run.process.wait(40) == 0, run.process.log()
    with open(os.path.join(run.folder, "db-1", "db.conf"), "a") as file:
        file.write("no-such-directive yes\n")
    begin = time.monotonic()
    again = Launched(tmp_path)
    again.process.arguments = [*run.process.arguments]
    again.process.log_path = str(tmp_path / "second")
    with again:
        assert again.process.wait(20) == 1
    assert time.monotonic() - begin < 15
    lines = again.process.log().splitlines()
    assert len(lines) == 1 and "db-1 ended with exit status 1" in lines[0] and "no-such-directive" in lines[0]
    assert not any(is_running(pid) for pid in run.pids().values())


def test_children_end_with_a_killed_launcher(tmp_path):
    with Launched(tmp_path) as run:
        run.wait_for("Ctrl-C stops everything")
        pids = run.pids()
        run.process.kill()
        wait_until(lambda: not any(is_running(pid) for pid in pids.values()), 15, "the children's end")


def test_a_folder_of_someone_else_is_not_deleted(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "precious").write_text("data")
    with Launched(tmp_path, "--fresh") as run:
        assert run.process.wait(20) == 1
    assert "is not a cluster's folder" in run.process.log()
    assert (folder / "precious").read_text() == "data"
