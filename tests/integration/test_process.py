"""The process: start, stop, signals, exit codes, logs, health and metrics."""

import json
import os
import signal
import subprocess
import urllib.error
import urllib.request

import pytest
from localcluster import binaries
from support import ConnectionClosed, eventually, free_port

SERVICES = ["dssm-db", "dssm-sentinel", "dssm-cert-init", "dssm-log-forwarder", "dssm-restart-coordinator"]


@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.parametrize("option", ["--help", "--version"])
def test_each_service_tells_its_help_and_version(name, option):
    result = subprocess.run([binaries.ours(name), option], capture_output=True, text=True, timeout=10)
    assert result.returncode == 0
    assert name in result.stdout or "USAGE" in result.stdout


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_a_signal_ends_it_cleanly(db, number, code):
    db.call("SET", "a", "b")
    db.process.signal(number)
    assert db.process.wait(10) == code


def test_shutdown_ends_it_without_a_reply(db):
    with db.client() as client:
        client.send(b"SHUTDOWN NOSAVE\r\n")
        with pytest.raises((ConnectionClosed, OSError)):
            client.raw_reply()
    assert db.process.wait(10) == 0


def test_a_port_in_use_is_one_clear_line(db, start):
    second = start.make(port=db.port)
    second.write_settings()
    second.launch()
    assert second.process.wait(10) == 1
    assert str(db.port) in second.log() and "in use" in second.log().lower()


def test_a_missing_settings_file_is_one_clear_line(tmp_path):
    result = subprocess.run([binaries.ours("dssm-db"), str(tmp_path / "none.conf")], capture_output=True, text=True, timeout=10)
    assert result.returncode == 1
    assert "none.conf" in result.stderr and len(result.stderr.strip().splitlines()) == 1


def test_a_data_folder_that_is_not_there_is_one_clear_line(start, tmp_path):
    db = start.make(dir=str(tmp_path / "none"))
    db.write_settings()
    db.launch()
    assert db.process.wait(10) == 1
    assert "none" in db.log()


def test_json_logs_are_one_object_a_line(start):
    db = start(log_format="json")
    db.process.signal(signal.SIGTERM)
    assert db.process.wait(10) == 0
    lines = [json.loads(line) for line in db.log().splitlines()]
    assert lines
    for line in lines:
        assert {"time", "level", "service", "event"} <= set(line), line


def test_the_log_file_is_reopened_on_sighup(start, tmp_path):
    path = tmp_path / "db.log"
    db = start(logfile=str(path))
    eventually(lambda: path.exists() and path.stat().st_size > 0, "a log line")
    os.rename(path, tmp_path / "db.log.1")
    db.process.signal(signal.SIGHUP)
    eventually(path.exists, "the new log file")
    assert db.call("PING") == "PONG"


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_health_readiness_and_metrics_are_served_over_http(start):
    port = free_port()
    db = start(metrics_port=port, metrics_bind="127.0.0.1")
    db.call("SET", "a", "b", "EX", 100)
    assert get(port, "/healthz")[0] == 200
    assert get(port, "/readyz")[0] == 200
    status, text = get(port, "/metrics")
    assert status == 200
    samples = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert len(samples) > 20
    for line in samples:
        float(line.rsplit(" ", 1)[1])
    assert get(port, "/nothing")[0] == 404


def test_metrics_end_with_the_server_and_do_not_keep_it_alive(start):
    port = free_port()
    db = start(metrics_port=port, metrics_bind="127.0.0.1")
    import socket
    with socket.create_connection(("127.0.0.1", port)) as idle:
        idle.sendall(b"GET /metrics HTT")
        db.process.signal(signal.SIGTERM)
        assert db.process.wait(10) == 0


def test_stopping_and_continuing_the_process_does_no_harm(db):
    db.call("SET", "key", "value", "PX", 200)
    db.process.signal(signal.SIGSTOP)
    with db.client() as client:
        client.send(b"PING\r\n")
        db.process.signal(signal.SIGCONT)
        assert client.reply() == "PONG"
    eventually(lambda: db.call("EXISTS", "key") == 0, "the expiry")


def test_sigkill_leaves_nothing_that_blocks_the_next_start(db):
    db.process.kill()
    db.restart()
    assert db.call("PING") == "PONG"
