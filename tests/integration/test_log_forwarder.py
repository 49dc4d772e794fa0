"""dssm-log-forwarder against a receiver on an independent MessagePack codec: what arrives, and what never gets lost."""

import ctypes
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import pytest
from forward_receiver import Receiver, tls_context
from localcluster import binaries, processes
from localcluster import certificates as issuing
from localcluster.processes import Process, free_port

SECONDS = 20  # that anything may take before a test fails


def wait_until(condition, seconds=SECONDS, what="it did not happen"):
    return processes.wait_until(condition, seconds, what)


class Forwarder:
    """One process with its settings, state and log."""

    def __init__(self, folder, servers, inputs=None, forward=None, environment=None, state=None, **settings):
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.state = state or folder / "state"
        self.metrics_port = free_port()
        self.settings = {
            "metrics": {"host": "127.0.0.1", "port": self.metrics_port},
            "state-directory": str(self.state),
            "inputs": inputs or [{"files": [str(self.logs / "*.log")], "tag": "dssm.db"}],
            "follow": settings.pop("follow", None) or {
                "scan-milliseconds": 50, "poll-milliseconds": 20, "rotate-wait-milliseconds": 300},
            "shutdown-milliseconds": 1000,
            "buffer": {"flush-milliseconds": 50, **settings.pop("buffer", {})},
            "forward": {
                "servers": [{"host": "127.0.0.1", "port": port} if isinstance(port, int) else port for port in servers],
                "ack-milliseconds": 1000, "retry": {"minimum-milliseconds": 50, "maximum-milliseconds": 200},
                **(forward or {}),
            },
            **settings,
        }
        self.environment = {**os.environ, "TZ": "UTC", **(environment or {})}
        self.process = None

    def start(self):
        path = self.folder / "forwarder.yaml"
        path.write_text(json.dumps(self.settings, indent=1))  # JSON is YAML
        self.process = Process("dssm-log-forwarder", [binaries.ours("dssm-log-forwarder"), "--config", path],
                               self.folder / "forwarder.out", environment=self.environment).start()
        return self

    def log(self):
        return (self.folder / "forwarder.out").read_text(errors="replace")

    def wait_for_log(self, pattern, count=1):
        wait_until(lambda: len(re.findall(pattern, self.log())) >= count, SECONDS,
                   lambda: f"{pattern} is not in the log:\n{self.log()[-3000:]}")

    def metric(self, name):
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5).read().decode()
        except OSError:
            return -1
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                   if re.match(rf"{name}(\{{|\s)", line))

    def wait_for_metric(self, name, condition):
        wait_until(lambda: condition(self.metric(name)), SECONDS, lambda: f"{name} is {self.metric(name)}\n{self.log()[-2000:]}")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


@pytest.fixture
def receive(request):
    """receive(**options): a running receiver; its complaints fail the test."""
    receivers = []

    def make(started=True, **options):
        receiver = Receiver(free_port(), **options)
        receivers.append(receiver)
        return receiver.start() if started else receiver

    yield make
    for receiver in receivers:
        receiver.stop()
    assert [complaint for receiver in receivers for complaint in receiver.complaints] == []


@pytest.fixture
def forward(tmp_path, request):
    """forward(receivers, **settings): a forwarder that is not started yet."""
    made = []

    def make(*receivers, **settings):
        servers = [receiver.port if isinstance(receiver, Receiver) else receiver for receiver in receivers]
        forwarder = Forwarder(tmp_path, servers, **settings)
        made.append(forwarder)
        request.node.starter = Logs(made)
        return forwarder

    yield make
    for forwarder in made:
        if forwarder.process is not None:
            died = not forwarder.process.is_alive and (forwarder.process.child.returncode or 0) < 0
            code = forwarder.process.child.returncode
            forwarder.process.stop()
            assert not died or code in (-9, -15), forwarder.process.why_it_ended()


class Logs:
    """What conftest's report shows of a failed test."""

    def __init__(self, forwarders):
        self.forwarders = forwarders

    def logs(self):
        return [("dssm-log-forwarder", one.log()[-4000:]) for one in self.forwarders if one.process is not None]


def lines(first, last, prefix="line"):
    return [f"{prefix} {number} " + "x" * (number % 50) for number in range(first, last)]


def append(path, texts):
    with open(path, "a") as file:
        file.write("".join(text + "\n" for text in texts))


def wait_for_lines(receiver, expected):
    expected = set(expected)
    wait_until(lambda: expected <= receiver.lines(), SECONDS,
               lambda: f"{len(expected - receiver.lines())} of {len(expected)} are missing: "
                       f"{sorted(expected - receiver.lines())[:3]}")


# MARK: What arrives

@pytest.mark.parametrize("mode", ["forward", "packed", "compressed"])
def test_our_lines_become_records_and_others_pass_through(forward, receive, mode):
    receiver = receive()
    environment = {"POD_NAME": "f5-dssm-db-0", "POD_NAMESPACE": "cnf-gateway", "NODE_NAME": "node-1"}
    forwarder = forward(receiver, forward={"mode": mode}, environment=environment, labels={"site": "north"}).start()
    append(forwarder.logs / "db.log", [
        '{"time":"2026-01-31T12:00:00.123Z","level":"notice","service":"db","event":"loaded","message":"DB \\"0\\" \\u00e9",'
        '"pid":7,"role":"primary","keys":"12"}',
        '7:M 31 Jan 2026 12:00:01.500 # Low memory service=db event=memory used="1 GB" host=a',
        "7:S 31 Jan 2026 12:00:02.000 * Ready to accept connections",
        '{"other": "program"}',
        "plain text",
    ])
    wait_until(lambda: receiver.count() >= 5, SECONDS)
    labels = {"pod": "f5-dssm-db-0", "namespace": "cnf-gateway", "node": "node-1", "site": "north"}
    seconds = 1769860800
    records = receiver.records
    assert records[0] == ("dssm.db", (seconds, 123_000_000), {
        **labels, "level": "notice", "service": "db", "event": "loaded", "message": 'DB "0" é',
        "fields": {"pid": 7, "role": "primary", "keys": "12"}})
    assert records[1] == ("dssm.db", (seconds + 1, 500_000_000), {
        **labels, "level": "warning", "service": "db", "event": "memory", "message": "Low memory",
        "fields": {"pid": 7, "role": "primary", "used": "1 GB", "host": "a"}})
    assert records[2] == ("dssm.db", (seconds + 2, 0), {
        **labels, "level": "notice", "message": "Ready to accept connections", "fields": {"pid": 7, "role": "replica"}})
    assert [record for _, _, record in records[3:]] == [
        {**labels, "log": '{"other": "program"}'}, {**labels, "log": "plain text"}]
    assert abs(records[4][1][0] - time.time()) < 60
    assert {chunk[3] for chunk in receiver.chunks} == {mode}


def test_our_own_services_lines_are_understood(forward, receive, start):
    """What dssm-db writes, in both of its formats."""
    receiver = receive()
    forwarder = forward(receiver)
    for log_format in ("json", "text"):
        start(logfile=str(forwarder.logs / f"{log_format}.log"), log_format=log_format)
    forwarder.start()
    written = sum(len(path.read_text().splitlines()) for path in forwarder.logs.iterdir())
    assert written >= 2
    wait_until(lambda: receiver.count() >= written)
    assert all("log" not in record for _, _, record in receiver.records), receiver.records
    assert {record["service"] for _, _, record in receiver.records} == {"dssm-db"}
    assert all(abs(moment[0] - time.time()) < 120 for _, moment, _ in receiver.records)


def test_standard_input_and_a_unix_socket_are_inputs_too(tmp_path, receive):
    receiver = receive()
    path = tmp_path / "lines.sock"
    forwarder = Forwarder(tmp_path, [receiver.port], inputs=[
        {"stdin": True, "tag": "from.stdin"}, {"unix-socket": str(path), "tag": "from.socket"}])
    (tmp_path / "f.yaml").write_text(json.dumps(forwarder.settings))
    child = subprocess.Popen([binaries.ours("dssm-log-forwarder"), "--config", tmp_path / "f.yaml"],
                             stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        wait_until(path.exists, SECONDS)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall("one\ntwo\nunfinished".encode())
        wait_for_lines(receiver, ["one", "two", "unfinished"])
        child.stdin.write(b"three\nfour")
        child.stdin.close()
        assert child.wait(SECONDS) == 0
        wait_for_lines(receiver, ["three", "four"])
    finally:
        child.kill()
        child.wait()
    assert {(tag, record["log"]) for tag, _, record in receiver.records} == {
        ("from.socket", "one"), ("from.socket", "two"), ("from.socket", "unfinished"),
        ("from.stdin", "three"), ("from.stdin", "four")}


def test_multi_line_records_and_long_lines(forward, receive, tmp_path):
    receiver = receive()
    logs = tmp_path / "logs"
    forwarder = forward(receiver, inputs=[
        {"files": [str(logs / "trace.log")], "tag": "t", "multiline": {"start": "^[0-9]{4}-", "flush-milliseconds": 200}},
        {"files": [str(logs / "long.log")], "tag": "l", "maximum-line-bytes": 1024}]).start()
    append(logs / "trace.log", ["2026-01-01 boom", "  at a", "  at b", "2026-01-02 fine"])
    append(logs / "long.log", ["y" * 5000, "short"])
    wait_for_lines(receiver, ["2026-01-01 boom\n  at a\n  at b", "2026-01-02 fine", "short",
                              "y" * 1024 + " ... [3976 bytes cut]"])
    assert forwarder.process.is_alive


# MARK: Handshake

@pytest.mark.parametrize("kind", ["fluentd", "fluent-bit"])
def test_shared_key_user_and_password(forward, receive, kind):
    receiver = receive(kind=kind, shared_key="s3cret", users={"dssm": "pass word"})
    forwarder = forward(receiver, forward={"shared-key": "s3cret", "user": "dssm", "password": "pass word"}).start()
    append(forwarder.logs / "a.log", ["hello"])
    wait_for_lines(receiver, ["hello"])
    assert "s3cret" not in forwarder.log() and "pass word" not in forwarder.log()


@pytest.mark.parametrize("key, user", [("wrong", "dssm"), ("s3cret", "nobody")])
def test_a_wrong_secret_is_told_and_tried_again(forward, receive, key, user):
    receiver = receive(shared_key="s3cret", users={"dssm": "p"})
    forwarder = forward(receiver, forward={"shared-key": key, "user": user, "password": "p"}).start()
    append(forwarder.logs / "a.log", ["kept"])
    forwarder.wait_for_log("refused the shared key, user or password: .*mismatch")
    wait_until(lambda: len(receiver.pings) >= 3, SECONDS)
    assert receiver.count() == 0
    # The receiver is corrected: what was kept arrives.
    receiver.shared_key, receiver.users = key, {user: "p"}
    wait_for_lines(receiver, ["kept"])


def test_a_key_that_only_one_side_has_is_told(forward, receive):
    receiver = receive(shared_key="s3cret")
    forwarder = forward(receiver).start()
    append(forwarder.logs / "a.log", ["x"])
    forwarder.wait_for_log("asks for a shared key, and none is set")
    receiver.complaints.clear()  # what came instead of PING


def test_a_server_that_wants_no_keep_alive_gets_one_message_a_connection(forward, receive):
    receiver = receive(shared_key="k", keepalive=False)
    forwarder = forward(receiver, forward={"shared-key": "k"}).start()
    for number in range(4):
        append(forwarder.logs / "a.log", [f"message {number}"])
        wait_for_lines(receiver, [f"message {number}"])
    assert receiver.connections >= 4
    assert "server-failed" not in forwarder.log()


def test_mutual_tls_with_a_name_that_ends_in_a_dot(forward, receive, certificates, tmp_path):
    receiver = receive(tls=tls_context(certificates), shared_key="k")
    tls = {"ca-file": certificates.authority, "certificate-file": certificates.certificate,
           "key-file": certificates.key}
    forwarder = forward({"host": "localhost.", "port": receiver.port}, forward={"tls": tls, "shared-key": "k"}).start()
    append(forwarder.logs / "a.log", lines(0, 2000))
    wait_for_lines(receiver, lines(0, 2000))


def test_tls_failures_are_told(forward, receive, certificates, tmp_path):
    other = issuing.issue(tmp_path / "other")
    receiver = receive(tls=tls_context(other, certificates.authority))
    tls = {"ca-file": certificates.authority, "certificate-file": certificates.certificate,
           "key-file": certificates.key}
    forwarder = forward({"host": "localhost", "port": receiver.port}, forward={"tls": tls}).start()
    append(forwarder.logs / "a.log", ["kept"])
    forwarder.wait_for_log("server-failed")
    assert re.search("certificate|verify|signature", forwarder.log()), forwarder.log()
    receiver.tls = tls_context(certificates)
    wait_for_lines(receiver, ["kept"])


def test_a_certificate_for_another_name_is_refused(forward, receive, certificates):
    receiver = receive(tls=tls_context(certificates))
    tls = {"ca-file": certificates.authority, "certificate-file": certificates.certificate,
           "key-file": certificates.key, "server-name": "elsewhere.example"}
    forwarder = forward(receiver, forward={"tls": tls}).start()
    append(forwarder.logs / "a.log", ["x"])
    forwarder.wait_for_log("(?i)hostname|name mismatch")
    assert receiver.count() == 0
    forwarder.process.stop()
    tls["verify-name"] = False
    forwarder.start()
    wait_for_lines(receiver, ["x"])


# MARK: Nothing lost

class Writer(threading.Thread):
    """Writes numbered lines as fast as told, and rotates when asked."""

    def __init__(self, path, rate=4000):
        super().__init__(daemon=True)
        self.path, self.rate = path, rate
        self.written = []
        self.stopping = threading.Event()
        self.rotations = []  # done between two lines, by this thread
        self.file = open(path, "a")

    def run(self):
        number = 0
        while not self.stopping.is_set():
            batch = lines(number, number + self.rate // 100, self.path.name)
            self.file.write("".join(line + "\n" for line in batch))
            self.file.flush()
            self.written += batch
            number += len(batch)
            while self.rotations:
                self.rotations.pop()()
            time.sleep(0.01)

    def rename(self, to):
        """logrotate's default: rename, then the writer opens a new file."""
        os.rename(self.path, to)
        self.file.close()
        self.file = open(self.path, "a")

    def finish(self):
        self.stopping.set()
        self.join()
        self.file.close()
        return self.written


def test_sigkill_in_mid_stream_loses_nothing(forward, receive):
    receiver = receive()
    forwarder = forward(receiver, buffer={"chunk-bytes": 8192}).start()
    writer = Writer(forwarder.logs / "a.log")
    writer.start()
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    for _ in range(8):
        before = len(receiver.lines())
        wait_until(lambda: len(receiver.lines()) > before + 200)
        time.sleep(chance.random() * 0.1)
        receiver.ack_delay = chance.choice([0, 0.05])
        forwarder.process.kill()
        forwarder.start()
    receiver.ack_delay = 0
    expected = writer.finish()
    wait_for_lines(receiver, expected)
    assert receiver.lines() == set(expected)
    assert len(receiver.records) < 3 * len(expected)


def test_a_receiver_that_comes_and_goes(forward, receive):
    receiver = receive(started=False)
    forwarder = forward(receiver, buffer={"chunk-bytes": 8192}).start()
    writer = Writer(forwarder.logs / "a.log")
    writer.start()
    forwarder.wait_for_metric("dssm_forwarder_buffered_records", lambda count: count > 500)
    for _ in range(4):
        receiver.start()
        before = len(receiver.lines())
        wait_until(lambda: len(receiver.lines()) > before + 200)
        receiver.stop()
        time.sleep(0.1)
    receiver.start()
    expected = writer.finish()
    wait_for_lines(receiver, expected)
    assert receiver.lines() == set(expected)
    forwarder.wait_for_metric("dssm_forwarder_buffered_records", lambda count: count == 0)


def test_a_receiver_that_never_acknowledges_gets_it_again(forward, receive):
    receiver = receive()
    receiver.acks = False
    forwarder = forward(receiver, forward={"ack-milliseconds": 200}).start()
    append(forwarder.logs / "a.log", lines(0, 100))
    forwarder.wait_for_log("no ack within 200 ms")
    wait_until(lambda: len(receiver.chunks) >= 3)
    assert len({chunk[0] for chunk in receiver.chunks}) == 1  # the same chunk, by its identifier
    assert forwarder.metric("dssm_forwarder_buffered_records") == 100
    receiver.acks = True
    forwarder.wait_for_metric("dssm_forwarder_buffered_records", lambda count: count == 0)
    assert receiver.lines() == set(lines(0, 100))


def test_what_is_buffered_survives_the_end_of_the_process(forward, receive):
    receiver = receive(started=False)
    forwarder = forward(receiver).start()
    append(forwarder.logs / "a.log", lines(0, 1000))
    forwarder.wait_for_metric("dssm_forwarder_buffered_records", lambda count: count == 1000)
    forwarder.process.signal(15)
    assert forwarder.process.wait(SECONDS) == 0
    os.unlink(forwarder.logs / "a.log")  # only the buffer has it now
    receiver.start()
    forwarder.start()
    wait_for_lines(receiver, lines(0, 1000))
    assert receiver.count() == 1000  # and each once


def test_sigterm_sends_what_was_just_written(forward, receive):
    receiver = receive()
    forwarder = forward(receiver, buffer={"flush-milliseconds": 60000},
                        follow={"poll-milliseconds": 30000, "scan-milliseconds": 30000}).start()
    forwarder.wait_for_log("server-ready")
    append(forwarder.logs / "a.log", lines(0, 500))
    forwarder.process.signal(15)
    assert forwarder.process.wait(SECONDS) == 0
    assert receiver.lines() == set(lines(0, 500))


@pytest.mark.parametrize("kills", [False, True], ids=["", "with SIGKILL"])
def test_rotation_by_rename_while_writing(forward, receive, tmp_path, kills):
    """A process that goes on finds renamed files by descriptor; one that starts anew needs a pattern that leads to them."""
    receiver = receive()
    logs = tmp_path / "logs"
    patterns = [str(logs / "a.log")] + ([str(logs / "a.old-*")] if kills else [])
    forwarder = forward(receiver, inputs=[{"files": patterns, "tag": "t"}]).start()
    writer = Writer(logs / "a.log")
    writer.start()
    for number in range(6):
        before = len(writer.written)
        wait_until(lambda: len(writer.written) > before + 400)
        writer.rotations.append(lambda number=number: writer.rename(logs / f"a.old-{number}"))
        if kills:
            wait_until(lambda: not writer.rotations)
            forwarder.process.kill()
            forwarder.start()
    expected = writer.finish()
    wait_for_lines(receiver, expected)
    assert receiver.lines() == set(expected)
    if not kills:
        assert receiver.count() == len(expected)


def test_copy_truncate_while_writing(forward, receive):
    """The copy matches the pattern too, so what is written between the last look and the truncation is not lost."""
    receiver = receive()
    forwarder = forward(receiver, inputs=None).start()
    path = forwarder.logs / "a.log"
    writer = Writer(path)
    writer.start()

    def copy_truncate(number):
        copy = forwarder.logs / f"a-{number}.log"
        copy.write_bytes(path.read_bytes())
        os.truncate(path, 0)

    for number in range(5):
        before = len(writer.written)
        wait_until(lambda: len(writer.written) > before + 400)
        writer.rotations.append(lambda number=number: copy_truncate(number))
    expected = writer.finish()
    wait_for_lines(receiver, expected)
    assert receiver.lines() == set(expected)


# MARK: Bounds

def test_over_the_bound_the_oldest_go_and_are_reported(forward, receive):
    receiver = receive(started=False)
    forwarder = forward(receiver, buffer={"maximum-bytes": "1MiB", "segment-bytes": "64KiB", "chunk-bytes": "16KiB"}).start()
    chance = random.Random(1)
    texts = [f"{number} " + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=200)) for number in range(20000)]
    append(forwarder.logs / "a.log", texts)
    forwarder.wait_for_metric("dssm_forwarder_records_total", lambda count: count == 20000)
    forwarder.wait_for_log("records-dropped")
    dropped = forwarder.metric("dssm_forwarder_dropped_records_total")
    assert 0 < forwarder.metric("dssm_forwarder_buffer_bytes") <= 1 << 20
    receiver.start()
    forwarder.wait_for_metric("dssm_forwarder_buffered_records", lambda count: count == 0)
    assert receiver.lines() == set(texts[int(dropped):])


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    path = tmp_path / "disk"
    path.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", str(path).encode(), b"tmpfs", 0, b"size=2m") != 0:
        pytest.skip(f"tmpfs cannot be mounted: {os.strerror(ctypes.get_errno())}")
    yield path
    libc.umount2(str(path).encode(), 2)


def test_a_full_disk_loses_nothing_while_the_files_are_there(forward, receive, small_disk):
    receiver = receive(started=False)
    (small_disk / "ballast").write_bytes(b"x" * 1_600_000)
    forwarder = forward(receiver, state=small_disk / "state", buffer={"chunk-bytes": "16KiB"}).start()
    chance = random.Random(1)
    texts = [f"{number} " + "".join(chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=100)) for number in range(20000)]
    append(forwarder.logs / "a.log", texts)
    forwarder.wait_for_log("buffer-failed.*disk_full=yes")
    assert forwarder.metric("dssm_forwarder_buffer_writable") == 0
    with pytest.raises(urllib.error.HTTPError):
        urllib.request.urlopen(f"http://127.0.0.1:{forwarder.metrics_port}/readyz", timeout=5)
    forwarder.process.kill()  # and even then
    forwarder.start()
    os.unlink(small_disk / "ballast")
    receiver.start()
    wait_for_lines(receiver, texts)
    assert receiver.lines() == set(texts)
    forwarder.wait_for_metric("dssm_forwarder_buffer_writable", lambda value: value == 1)
    assert forwarder.metric("dssm_forwarder_dropped_records_total") == 0


def test_memory_stays_small_while_a_receiver_is_away(forward, receive):
    receiver = receive(started=False)
    forwarder = forward(receiver).start()
    texts = lines(0, 300_000)
    append(forwarder.logs / "a.log", texts)
    forwarder.wait_for_metric("dssm_forwarder_records_total", lambda count: count == 300_000)
    away = forwarder.resident_bytes()
    receiver.start()
    wait_for_lines(receiver, texts)
    assert max(away, forwarder.resident_bytes()) < 32 << 20


# MARK: Several servers

def test_weights_failover_and_standby(forward, receive):
    first, second, standby = receive(), receive(), receive()
    forwarder = forward(
        {"host": "127.0.0.1", "port": first.port, "weight": 3}, {"host": "127.0.0.1", "port": second.port, "weight": 1},
        {"host": "127.0.0.1", "port": standby.port, "standby": True}, buffer={"chunk-bytes": 4096}).start()
    forwarder.wait_for_log("server-ready", count=2)
    writer = Writer(forwarder.logs / "a.log")
    writer.start()
    wait_until(lambda: len(first.chunks) > 60 and len(second.chunks) > 15)
    assert 1.5 < len(first.chunks) / len(second.chunks) < 6
    assert not standby.chunks
    first.stop()
    count = len(second.chunks)
    wait_until(lambda: len(second.chunks) > count + 20)
    assert not standby.chunks
    second.stop()
    wait_until(lambda: len(standby.chunks) > 20)
    first.start()
    count = len(first.chunks)
    wait_until(lambda: len(first.chunks) > count + 20)
    wait_until(lambda: not standby.sockets)
    expected = set(writer.finish())
    wait_until(lambda: expected <= first.lines() | second.lines() | standby.lines())


# MARK: Process

def test_settings_that_cannot_be_used_end_with_78_and_file_and_line(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text("inputs:\n  - files: [/x]\n    tag: t\nforward:\n  serverz: []\n")
    result = subprocess.run([binaries.ours("dssm-log-forwarder"), "--config", path, "--check"], capture_output=True, text=True)
    assert result.returncode == 78
    assert f"{path}:5: unknown key 'serverz'" in result.stderr
    path.write_text("inputs: [{files: [/x], tag: t}]\nforward: {servers: [{host: h}]}\n")
    result = subprocess.run([binaries.ours("dssm-log-forwarder"), "--config", path, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    result = subprocess.run([binaries.ours("dssm-log-forwarder"), "--config", tmp_path / "none"], capture_output=True, text=True)
    assert result.returncode == 78 and "cannot be read" in result.stderr


def test_the_settings_in_the_readme_are_good(tmp_path):
    readme = os.path.join(os.path.dirname(__file__), "../../services/log-forwarder/README.md")
    with open(readme) as file:
        text = file.read().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "key").write_text("secret\n")
    (tmp_path / "f.yaml").write_text(text.replace("/etc/dssm/fluentd/key", str(tmp_path / "key")))
    result = subprocess.run([binaries.ours("dssm-log-forwarder"), "--config", tmp_path / "f.yaml", "--check"],
                            capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_two_forwarders_cannot_share_a_state_directory(forward, receive):
    forwarder = forward(receive()).start()
    forwarder.wait_for_log("server-ready")
    forwarder.settings["metrics"]["port"] = 0
    path = forwarder.folder / "second.yaml"
    path.write_text(json.dumps(forwarder.settings))
    result = subprocess.run([binaries.ours("dssm-log-forwarder"), "--config", path], capture_output=True, text=True, timeout=20)
    assert result.returncode == 1 and "another forwarder uses this state-directory" in result.stderr


def test_the_vectors_of_the_unit_tests_are_what_the_independent_codec_says():
    import msgpack
    import struct

    def canonical(value):
        if value is None or isinstance(value, bool):
            return {None: "nil", True: "true", False: "false"}[value]
        if isinstance(value, int):
            return f"i{value}"
        if isinstance(value, float):
            return f"f{struct.unpack('>Q', struct.pack('>d', value))[0]:016x}"
        if isinstance(value, str):
            return "s" + value.encode().hex()
        if isinstance(value, bytes):
            return "b" + value.hex()
        if isinstance(value, msgpack.ExtType):
            return f"x{value.code}:{value.data.hex()}"
        if isinstance(value, list):
            return "[" + " ".join(map(canonical, value)) + "]"
        return "{" + " ".join(f"{canonical(key)}={canonical(item)}" for key, item in value.items()) + "}"

    path = os.path.join(os.path.dirname(__file__), "../unit/LogForwardingTests/MessagePackVectors.txt")
    with open(path) as file:
        for line in file:
            packed, text = line.rstrip("\n").split("\t")
            value = msgpack.unpackb(bytes.fromhex(packed))
            assert canonical(value) == text
            assert msgpack.packb(value).hex() == packed
