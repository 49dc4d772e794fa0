"""One process at a time persists to a data folder."""

import pytest
from support import ReplyError, eventually


def refused(start, **settings):
    """Launches a db that must not start, and returns its log."""
    second = start.make(**settings)
    second.write_settings()
    second.launch()
    assert second.process.wait(10) == 3, second.log()
    return second.log()


@pytest.mark.parametrize("first, second", [("log", "log"), ("snapshot", "log"), ("log", "snapshot")])
def test_a_second_process_is_refused_and_told_who_has_the_folder(start, tmp_path, first, second):
    settings = {"log": {"appendonly": "yes"}, "snapshot": {"save": "3600 1"}}
    shared = tmp_path / "shared"
    shared.mkdir()
    db = start(dir=str(shared), **settings[first])
    db.call("SET", "a", "1")
    log = refused(start, dir=str(shared), **settings[second])
    assert f"process {db.process.pid}" in log and str(shared) in log
    assert db.call("GET", "a") == b"1"


def test_a_killed_process_leaves_no_lock(start, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    db = start(dir=str(shared), appendonly="yes", appendfsync="always")
    db.call("SET", "a", "1")
    db.process.kill()
    assert start(dir=str(shared), appendonly="yes").call("GET", "a") == b"1"


def test_processes_that_persist_nothing_may_share_a_folder(start, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    keeper = start(dir=str(shared), appendonly="yes")
    guest = start(dir=str(shared))
    for command in [("SAVE",), ("BGSAVE",), ("CONFIG", "SET", "appendonly", "yes"), ("CONFIG", "SET", "save", "60 1")]:
        with pytest.raises(ReplyError, match="in use"):
            guest.call(*command)
    assert guest.call("CONFIG", "GET", "appendonly") == [b"appendonly", b"no"]
    keeper.stop()
    assert guest.call("SAVE") == "OK"
    refused(start, dir=str(shared), appendonly="yes")


def test_the_lock_moves_with_the_folder(start, tmp_path):
    shared, other = tmp_path / "shared", tmp_path / "other"
    shared.mkdir()
    other.mkdir()
    db = start(dir=str(shared), save="3600 1", enable_protected_configs="yes")
    db.call("CONFIG", "SET", "dir", str(other))
    refused(start, dir=str(other), save="3600 1")
    start(dir=str(shared), save="3600 1")


def test_a_folder_that_cannot_be_written_serves_what_persists_nothing(start):
    """Not even root may make a file in /proc."""
    assert start(dir="/proc").call("PING") == "PONG"


def test_redis_opens_a_folder_with_the_lock_file(start, tmp_path):
    shared = tmp_path / "shared"
    shared.mkdir()
    db = start(dir=str(shared), appendonly="yes", snapshot_compression="none")
    db.call("SET", "a", "1")
    db.process.signal(15)
    assert db.process.wait(10) == 0
    stock = start("redis", dir=str(shared), appendonly="yes")
    eventually(lambda: stock.call("GET", "a") == b"1", "the data")
