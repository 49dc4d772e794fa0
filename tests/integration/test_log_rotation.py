"""logfile-max-size and logfile-keep of both services, as processes."""

import os
import re
import signal

import pytest
from localcluster.resp import ReplyError
from support import eventually


def files(server):
    return sorted(name for name in os.listdir(server.folder) if name.startswith("db.log"))


def refuse(server, numbers):
    """One line in the log for each number."""
    with server.client() as client:
        for number in numbers:
            with pytest.raises(ReplyError):
                client.call("AUTH", f"somebody-{number}", "wrong")


def logged(server):
    """The numbers that the files hold, oldest first."""
    text = ""
    for name in reversed(files(server)):
        with open(os.path.join(server.folder, name)) as file:
            text += file.read()
    return [int(number) for number in re.findall(r"user 'somebody-(\d+)'", text)]


def test_files_are_renamed_at_their_size_and_so_many_are_kept(start):
    db = start(logfile="db.log", logfile_max_size="10kb", logfile_keep=3)
    refuse(db, range(1000))
    assert files(db) == ["db.log", "db.log.1", "db.log.2", "db.log.3"]
    assert all(os.path.getsize(os.path.join(db.folder, name)) <= 10 * 1024 for name in files(db))
    numbers = logged(db)
    assert numbers == list(range(1000 - len(numbers), 1000)) and len(numbers) > 100


def test_it_is_off_by_default_and_can_be_switched_on(start):
    db = start(logfile="db.log")
    assert db.call("CONFIG", "GET", "logfile-*") == [b"logfile-max-size", b"0", b"logfile-keep", b"1"]
    refuse(db, range(200))
    assert files(db) == ["db.log"]
    assert db.call("CONFIG", "SET", "logfile-max-size", "1kb", "logfile-keep", "2") == "OK"
    refuse(db, range(200, 300))
    assert files(db) == ["db.log", "db.log.1", "db.log.2"]
    with pytest.raises(ReplyError, match="logfile-keep"):
        db.call("CONFIG", "SET", "logfile-keep", "0")


def test_a_file_that_somebody_else_rotates_is_opened_again_at_sighup(start):
    db = start(logfile="db.log", logfile_max_size="100kb")
    path = os.path.join(db.folder, "db.log")
    refuse(db, range(100))
    os.rename(path, path + ".old")
    db.process.signal(signal.SIGHUP)
    eventually(lambda: os.path.exists(path), "a new file")
    refuse(db, range(100, 200))
    with open(path) as file:
        assert len(re.findall("somebody-1", file.read())) == 100
    assert files(db) == ["db.log", "db.log.old"]
