"""BGREWRITEAOF with and without a log, and the folder that files go to."""

import os

import pytest
from support import ReplyError, eventually


def test_bgrewriteaof_makes_a_log_while_it_is_off(start):
    db = start()
    with db.client() as client:
        for number in range(1000):
            client.call("SET", f"key:{number}", number)
        assert b"rewriting started" in client.call_raw("BGREWRITEAOF")
        eventually(lambda: db.info("persistence")["aof_rewrites"] == "1", "the rewrite")
        assert db.info("persistence")["aof_enabled"] == "0"
        client.call("SET", "after", "x")
    folder = os.path.join(db.folder, "appendonlydir")
    assert any(name.endswith(".base.rdb") for name in os.listdir(folder))
    db.stop()
    db.settings["appendonly"] = "yes"
    db.write_settings()
    db.restart()
    assert db.call("GET", "key:999") == b"999" and db.call("EXISTS", "after") == 0


def test_a_waiting_rewrite_is_shown_as_pending(start):
    db = start(appendonly="yes", enable_debug_command="yes", snapshot_compression="none")
    with db.client() as client:
        client.call("DEBUG", "POPULATE", 100_000, "fill", 200)
        client.send(b"BGSAVE\r\nPING\r\nBGREWRITEAOF\r\nINFO persistence\r\n")
        assert [client.reply() for _ in range(2)] == ["Background saving started", "PONG"]
        assert b"scheduled" in client.raw_reply()
        told = client.reply().decode()
        assert "aof_pending_rewrite:1\r\n" in told and "aof_rewrite_scheduled:1\r\n" in told
    eventually(lambda: db.info("persistence")["aof_rewrites"] == "1", "the rewrite")
    assert db.info("persistence")["aof_pending_rewrite"] == "0"


def test_the_data_folder_is_protected_and_stays_while_files_are_written_there(start, tmp_path):
    protected = start()
    for name in ("dir", "dbfilename"):
        with pytest.raises(ReplyError, match="can't set protected config"):
            protected.call("CONFIG", "SET", name, str(tmp_path))
    db = start(enable_protected_configs="local", appendonly="yes")
    with pytest.raises(ReplyError, match="is being written there"):
        db.call("CONFIG", "SET", "dir", str(tmp_path))
    db.call("CONFIG", "SET", "appendonly", "no")
    assert db.call("CONFIG", "SET", "dir", str(tmp_path), "dbfilename", "moved.rdb") == "OK"
    db.call("SAVE")
    assert os.path.exists(tmp_path / "moved.rdb")
