"""What survives: kills, torn and damaged files, full disks, and the way to and from a stock redis-server."""

import os
import random
import resource
import shutil
import threading
import time

import pytest
import redis

from persistence_support import (
    STOCK, Process, contents, eventually, fill, persistence, wait_rewritten, wait_saved,
)

SEED = int(os.environ.get("DSSM_SEED", "0")) or random.SystemRandom().randrange(1, 2**31)
print(f"seed {SEED} (DSSM_SEED={SEED} repeats it)")

ALWAYS = {"appendonly": "yes", "appendfsync": "always"}
LOST = (redis.ConnectionError, redis.TimeoutError)
needs_stock = pytest.mark.skipif(not os.path.exists(STOCK), reason="redis-server is not installed")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


class Writer(threading.Thread):
    """Writes numbered keys until the connection breaks; knows which were acknowledged, and when."""

    def __init__(self, process, name, batch=1):
        super().__init__(daemon=True)
        self.client = process.client(socket_timeout=60)
        self.prefix, self.batch = name, batch
        self.acknowledged = []
        self.stopping = threading.Event()
        self.start()

    def run(self):
        number = 0
        try:
            while not self.stopping.is_set():
                pipe = self.client.pipeline(transaction=False)
                for _ in range(self.batch):
                    pipe.set(f"{self.prefix}:{number}", number)
                    number += 1
                pipe.execute()
                self.acknowledged.append((time.monotonic(), number))
        except LOST:
            pass

    def finish(self):
        self.stopping.set()
        self.join(60)

    def count(self, before=None):
        """Keys acknowledged, all or before an instant."""
        numbers = [number for instant, number in self.acknowledged if before is None or instant < before]
        return numbers[-1] if numbers else 0


def missing(client, prefix, count):
    lost = []
    for start in range(0, count, 1000):
        numbers = range(start, min(start + 1000, count))
        values = client.mget([f"{prefix}:{number}" for number in numbers])
        lost += [number for number, value in zip(numbers, values) if value != b"%d" % number]
    return lost


# The log under SIGKILL


def test_always_loses_no_acknowledged_write(folder):
    generator = random.Random(SEED)
    for round_ in range(5):
        counts = {}
        with Process(folder, **ALWAYS) as process:
            writers = [Writer(process, f"r{round_}w{index}", batch) for index, batch in enumerate((1, 1, 16))]
            time.sleep(generator.uniform(0.05, 0.5))
            process.kill()
            for writer in writers:
                writer.join(60)
                counts[writer.prefix] = writer.count()
        assert sum(counts.values()) > 0
        with Process(folder, **ALWAYS) as process, process.client() as client:
            for prefix, count in counts.items():
                assert missing(client, prefix, count) == [], f"round {round_}, seed {SEED}"


def test_always_loses_nothing_while_the_log_is_rewritten(folder):
    generator = random.Random(SEED)
    counts = {}
    for round_ in range(5):
        with Process(folder, **ALWAYS) as process, process.client() as client:
            client.execute_command("DEBUG", "POPULATE", 20000, f"fill{round_}", 100)
            writers = [Writer(process, f"r{round_}w{index}", batch) for index, batch in enumerate((1, 8))]
            eventually(lambda: all(writer.count() > 20 for writer in writers))
            client.bgrewriteaof()
            # From the middle of the walk to after its end.
            time.sleep(generator.uniform(0, 0.6))
            process.kill()
            for writer in writers:
                writer.join(60)
                counts[writer.prefix] = writer.count()
        with Process(folder, **ALWAYS) as process, process.client() as client:
            for prefix, count in counts.items():
                assert missing(client, prefix, count) == [], f"round {round_}, seed {SEED}"


def test_a_rewritten_log_names_the_database_again(folder):
    with Process(folder, **ALWAYS) as process, process.client(db=3) as client:
        client.set("before", 1)
        client.bgrewriteaof()
        wait_rewritten(client, 1)
        client.set("after", 1)
        process.kill()
    with Process(folder, **ALWAYS) as process, process.client(db=3) as client:
        assert client.exists("before", "after") == 2


def test_everysec_loses_at_most_the_last_two_seconds(folder):
    with Process(folder, appendonly="yes", appendfsync="everysec") as process:
        writers = [Writer(process, f"w{index}") for index in range(2)]
        time.sleep(3.5)
        killed = time.monotonic()
        process.kill()
        for writer in writers:
            writer.join(60)
    with Process(folder, appendonly="yes") as process, process.client() as client:
        for writer in writers:
            count = writer.count(before=killed - 2)
            assert count > 0
            assert missing(client, writer.prefix, count) == []


def test_a_terminated_server_loses_nothing_of_everysec(folder):
    with Process(folder, appendonly="yes", appendfsync="everysec") as process:
        writers = [Writer(process, f"w{index}") for index in range(2)]
        eventually(lambda: all(writer.count() > 100 for writer in writers))
        assert process.terminate() == 0
        for writer in writers:
            writer.join(60)
    with Process(folder, appendonly="yes") as process, process.client() as client:
        for writer in writers:
            assert missing(client, writer.prefix, writer.count()) == []


def test_transactions_are_whole_after_a_kill(folder):
    with Process(folder, **ALWAYS) as process:

        def pairs():
            with process.client() as client:
                try:
                    while True:
                        pipe = client.pipeline(transaction=True)
                        for name in ("a", "b", "c"):
                            pipe.incr(name)
                        pipe.execute()
                except LOST:
                    pass

        threads = [threading.Thread(target=pairs) for _ in range(2)]
        for thread in threads:
            thread.start()
        time.sleep(0.5)
        process.kill()
        for thread in threads:
            thread.join(60)
    with Process(folder, **ALWAYS) as process, process.client() as client:
        values = client.mget("a", "b", "c")
        assert values[0] is not None and len(set(values)) == 1


# Torn and damaged files


def increment_of(folder):
    return max((folder / "appendonlydir").glob("*.incr.aof"))


def test_a_torn_tail_is_cut_and_reported(folder):
    with Process(folder, **ALWAYS) as process, process.client() as client:
        for number in range(10):
            client.set(f"k{number}", number)
        process.kill()
    log = increment_of(folder)
    size = log.stat().st_size
    with open(log, "ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf")
    with Process(folder, **ALWAYS) as process, process.client() as client:
        assert client.dbsize() == 10
        assert f"cut at offset {size}" in process.log()
        assert log.stat().st_size == size


def test_a_torn_tail_is_an_error_when_it_must_not_be_cut(folder):
    with Process(folder, **ALWAYS) as process, process.client() as client:
        client.set("k", 1)
        process.kill()
    with open(increment_of(folder), "ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n")
    with Process(folder, wait=False, aof_load_truncated="no", **ALWAYS) as process:
        assert process.exit_code() == 2
        assert "unfinished command" in process.log()


def test_damage_in_the_middle_of_the_log_ends_the_start_with_its_offset(folder):
    with Process(folder, **ALWAYS) as process, process.client() as client:
        for number in range(100):
            client.set(f"key{number}", "value")
        process.kill()
    log = increment_of(folder)
    data = bytearray(log.read_bytes())
    position = data.index(b"*3", len(data) // 2)
    data[position] = ord("X")
    log.write_bytes(data)
    with Process(folder, wait=False, **ALWAYS) as process:
        assert process.exit_code() == 2
        assert log.name in process.log() and f"offset {position}" in process.log()
    assert log.read_bytes() == data, "a damaged file must stay as it is"


def test_a_damaged_snapshot_ends_the_start(folder):
    with Process(folder) as process, process.client() as client:
        fill(client, SEED)
        client.save()
    for position in (20, -4):
        data = bytearray((folder / "dump.rdb").read_bytes())
        data[position] ^= 0x55
        (folder / "dump.rdb").write_bytes(data)
        with Process(folder, wait=False) as process:
            assert process.exit_code() == 2
            assert "dump.rdb" in process.log()
        data[position] ^= 0x55
        (folder / "dump.rdb").write_bytes(data)


def test_a_missing_file_of_the_manifest_ends_the_start(folder):
    with Process(folder, **ALWAYS) as process, process.client() as client:
        client.set("k", 1)
        process.kill()
    log = increment_of(folder)
    log.unlink()
    with Process(folder, wait=False, **ALWAYS) as process:
        assert process.exit_code() == 1
        assert log.name in process.log()


def test_a_folder_that_is_not_there_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with Process(tmp_path / "data", wait=False, dir=str(tmp_path / "file")) as process:
        assert process.exit_code() == 1
        assert "data directory" in process.log()


# Snapshots


@pytest.mark.parametrize("compression", ["lz4", "none"])
def test_a_snapshot_brings_everything_back(folder, compression):
    with Process(folder, snapshot_compression=compression) as process, process.client() as client:
        fill(client, SEED)
        client.save()
        assert persistence(client)["rdb_changes_since_last_save"] == 0
        before = contents(process)
        client.execute_command("DEBUG", "RELOAD")
        assert contents(process) == before
        process.kill()
    magic = (folder / "dump.rdb").read_bytes()[:9]
    assert magic == b"REDIS0010" if compression == "none" else magic[:4] == b"\x04\x22\x4d\x18"
    with Process(folder) as process:
        assert contents(process) == before


def test_a_background_save_holds_the_instant_at_which_it_began(folder, tmp_path):
    with Process(folder) as process, process.client() as client:
        client.execute_command("DEBUG", "POPULATE", 100_000, "fill", 50)
        stop = threading.Event()
        issued = [0]

        def write():
            # One writer: the journal's keys 0..n exist exactly when `last` is n.
            generator = random.Random(SEED)
            with process.client() as own:
                number = 0
                while not stop.is_set():
                    pipe = own.pipeline(transaction=False)
                    for _ in range(20):
                        pipe.execute_command("MULTI")
                        pipe.set(f"journal:{number}", number)
                        pipe.set("last", number)
                        pipe.incr(f"left:{number % 500}")
                        pipe.incr(f"right:{number % 500}")
                        pipe.set(f"fill:{generator.randrange(100_000)}", "overwritten")
                        pipe.delete(f"fill:{generator.randrange(100_000)}")
                        pipe.execute_command("EXEC")
                        number += 1
                    pipe.execute()
                    issued[0] = number

        writer = threading.Thread(target=write)
        writer.start()
        for round_ in range(3):
            before = eventually(lambda: issued[0])
            client.bgsave()
            started = issued[0]
            wait_saved(client)
            # The writer must really have written while the walk went on.
            eventually(lambda: issued[0] > started)
            shutil.copy(folder / "dump.rdb", tmp_path / f"copy{round_}.rdb")
            check_instant(tmp_path / f"copy{round_}.rdb", tmp_path / f"restored{round_}", before)
        stop.set()
        writer.join(60)


def check_instant(snapshot, folder, at_least):
    folder.mkdir()
    shutil.copy(snapshot, folder / "dump.rdb")
    with Process(folder) as process, process.client() as client:
        last = int(client.get("last"))
        assert last + 1 >= at_least
        assert missing(client, "journal", last + 1) == []
        assert not client.exists(f"journal:{last + 1}")
        lefts = client.mget([f"left:{index}" for index in range(500)])
        assert lefts == client.mget([f"right:{index}" for index in range(500)])
        assert sum(int(value or 0) for value in lefts) == last + 1


def test_flushing_during_a_background_save_does_not_touch_the_snapshot(folder):
    with Process(folder) as process, process.client() as client:
        client.execute_command("DEBUG", "POPULATE", 100_000, "fill", 50)
        pipe = client.pipeline(transaction=False)
        pipe.execute_command("BGSAVE")
        pipe.execute_command("SET", "later", 1)
        pipe.execute()
        client.flushall()
        wait_saved(client)
        assert client.dbsize() == 0
        process.kill()
    with Process(folder) as process, process.client() as client:
        assert client.dbsize() in (100_000, 100_001)


def test_save_rules_write_snapshots_by_themselves(folder):
    with Process(folder, save="1 5") as process, process.client() as client:
        saves = persistence(client)["rdb_saves"]
        for number in range(10):
            client.set(f"k{number}", number)
        eventually(lambda: persistence(client)["rdb_saves"] > saves, 10)
        assert client.config_get("save") == {"save": "1 5"}
        process.kill()
    with Process(folder) as process, process.client() as client:
        assert client.dbsize() == 10


def test_shutdown_saves_as_asked_and_as_configured(folder):
    def size_after(end, **settings):
        shutil.rmtree(folder, ignore_errors=True)
        with Process(folder, **settings) as process, process.client() as client:
            client.set("k", 1)
            end(process, client)
            assert process.exit_code() == 0
        with Process(folder) as process, process.client() as client:
            return client.dbsize()

    assert size_after(lambda process, client: client.shutdown(), save="3600 1") == 1
    assert size_after(lambda process, client: client.shutdown(), save="") == 0
    assert size_after(lambda process, client: client.shutdown(save=True), save="") == 1
    assert size_after(lambda process, client: client.shutdown(nosave=True), save="3600 1") == 0
    assert size_after(lambda process, client: process.process.terminate(), save="3600 1") == 1


def test_a_failing_snapshot_stops_writes_until_one_succeeds(folder):
    folder.mkdir()
    with Process(folder, save="3600 1000000") as process, process.client() as client:
        client.set("k", 1)
        (folder / "temp-dump.rdb").mkdir()
        client.bgsave()
        eventually(lambda: persistence(client)["rdb_last_bgsave_status"] == "err")
        with pytest.raises(redis.ResponseError, match="MISCONF Redis is configured to save RDB snapshots"):
            client.set("k", 2)
        assert client.get("k") == b"1"
        (folder / "temp-dump.rdb").rmdir()
        client.bgsave()
        wait_saved(client)
        assert client.set("k", 2)


def test_the_words_of_bgsave_and_bgrewriteaof(folder):
    with Process(folder, appendonly="yes") as process, process.client() as client, process.client() as raw:
        raw.response_callbacks.clear()
        client.execute_command("DEBUG", "POPULATE", 50_000, "fill", 50)

        def replies(*commands):
            pipe = raw.pipeline(transaction=False)
            pipe.response_callbacks = {}
            for command in commands:
                pipe.execute_command(*command.split())
            return [reply if isinstance(reply, bytes) else str(reply).encode() for reply in pipe.execute(False)]

        assert replies("BGSAVE", "BGSAVE", "BGSAVE NONSENSE", "BGREWRITEAOF", "SAVE") == [
            b"Background saving started",
            b"Background save already in progress",
            b"syntax error",
            b"Background append only file rewriting scheduled",
            b"Background save already in progress",
        ]
        wait_saved(client)
        wait_rewritten(client, 1)
        first, second, third, fourth = replies("BGREWRITEAOF", "BGREWRITEAOF", "BGSAVE", "BGSAVE SCHEDULE")
        assert first == b"Background append only file rewriting started"
        assert second == b"Background append only file rewriting already in progress"
        assert third.startswith(b"Another child process is active (AOF?): can't BGSAVE right now.")
        assert fourth == b"Background saving scheduled"
        wait_rewritten(client, 2)
        eventually(lambda: persistence(client)["rdb_saves"] == 2)
        assert client.lastsave().timestamp() == pytest.approx(time.time(), abs=30)


# Switching the log


def test_a_log_is_switched_on_over_data_and_off_again(folder):
    with Process(folder, appendfsync="always") as process, process.client() as client:
        fill(client, SEED)
        for round_ in range(2):
            client.config_set("appendonly", "yes")
            client.set("meanwhile", round_)
            wait_rewritten(client, round_ + 1)
            client.set("after", round_)
            if round_ == 0:
                client.config_set("appendonly", "no")
                assert persistence(client)["aof_enabled"] == 0
                client.set("unlogged", 1)
                # Without the log nothing waits for the disk.
                assert client.get("unlogged") == b"1"
        before = contents(process)
        process.kill()
    with Process(folder, **ALWAYS) as process:
        assert contents(process) == before
        assert len(list((folder / "appendonlydir").iterdir())) == 3


def test_a_snapshot_becomes_the_base_of_a_log_that_is_switched_on_at_start(folder):
    with Process(folder) as process, process.client() as client:
        fill(client, SEED)
        client.save()
        before = contents(process)
    with Process(folder, **ALWAYS) as process, process.client() as client:
        assert contents(process) == before
        client.set("more", 1)
        process.kill()
    with Process(folder, **ALWAYS) as process, process.client() as client:
        assert client.get("more") == b"1"
        client.delete("more")
        assert contents(process) == before


def test_the_log_is_rewritten_by_itself_when_it_grows(folder):
    settings = {"auto_aof_rewrite_min_size": "64kb", "auto_aof_rewrite_percentage": "100"}
    with Process(folder, appendonly="yes", **settings) as process, process.client() as client:
        for _ in range(20):
            pipe = client.pipeline(transaction=False)
            for number in range(200):
                pipe.set(f"k{number}", "x" * 100)
            pipe.execute()
        wait_rewritten(client, 1)
        eventually(lambda: persistence(client)["aof_current_size"] < 200_000)
        before = contents(process)
        client.execute_command("DEBUG", "LOADAOF")
        assert contents(process) == before


# Loading


def test_clients_are_told_that_data_is_loaded(folder):
    (folder / "appendonlydir").mkdir(parents=True)
    (folder / "appendonlydir/appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    with open(folder / "appendonlydir/appendonly.aof.1.incr.aof", "wb") as log:
        for number in range(200_000):
            key = b"key%07d" % number
            log.write(b"*3\r\n$3\r\nSET\r\n$10\r\n" + key + b"\r\n$500\r\n" + b"x" * 500 + b"\r\n")
    with Process(folder, wait=False, appendonly="yes") as process:
        seen = {}
        refusals = []

        def is_loaded():
            try:
                with process.client() as client:
                    info = persistence(client)
                    if info["loading"] == 0:
                        return True
                    seen.update(info)
                    # The load may end between the two commands.
                    try:
                        assert client.get("key0000000") is not None
                    except redis.exceptions.BusyLoadingError as error:
                        refusals.append(error)
            except redis.ConnectionError:
                pass
            return False

        eventually(is_loaded, 60)
        assert refusals
        assert 0 < seen["loading_loaded_bytes"] <= seen["loading_total_bytes"]
        with process.client() as client:
            assert client.dbsize() == 200_000


def test_sigterm_ends_a_load(folder):
    test = folder / "appendonlydir"
    test.mkdir(parents=True)
    (test / "appendonly.aof.manifest").write_text("file appendonly.aof.1.incr.aof seq 1 type i\n")
    with open(test / "appendonly.aof.1.incr.aof", "wb") as log:
        for number in range(400_000):
            log.write(b"*3\r\n$3\r\nSET\r\n$10\r\nkey%07d\r\n$300\r\n" % number + b"x" * 300 + b"\r\n")
    size = (test / "appendonly.aof.1.incr.aof").stat().st_size
    with Process(folder, wait=False, appendonly="yes", save="1 1") as process:
        eventually(lambda: answers(process))
        assert process.terminate() == 0
    assert (test / "appendonly.aof.1.incr.aof").stat().st_size == size
    assert not (folder / "dump.rdb").exists(), "a part of the data must not be saved as the whole"


def answers(process):
    try:
        with process.client() as client:
            return client.info("server")
    except redis.ConnectionError:
        return False


# To and from a stock server


@needs_stock
def test_a_stock_server_opens_our_snapshot_and_we_open_its(folder):
    with Process(folder, snapshot_compression="none") as process, process.client() as client:
        fill(client, SEED)
        client.save()
        before = contents(process)
    with Process(folder, stock=True) as process, process.client() as client:
        assert contents(process) == before
        client.rpush("from-stock", *range(300))
        client.save()
        after = contents(process)
    with Process(folder) as process:
        assert contents(process) == after


@needs_stock
def test_a_stock_server_opens_our_log_and_we_open_its(folder):
    settings = {"appendonly": "yes", "snapshot_compression": "none"}
    with Process(folder, **settings) as process, process.client() as client:
        fill(client, SEED)
        client.bgrewriteaof()
        wait_rewritten(client, 1)
        fill(client, SEED + 1)
        client.set("short", 1, px=1)
        pipe = client.pipeline(transaction=True)
        pipe.incr("counter")
        pipe.spop("e:3000")
        pipe.execute()
        eventually(lambda: client.get("short") is None)
        before = contents(process)
        assert process.terminate() == 0
    with Process(folder, stock=True, appendonly="yes") as process, process.client() as client:
        assert contents(process) == before
        fill(client, SEED + 2)
        client.bgrewriteaof()
        eventually(lambda: persistence(client)["aof_rewrite_in_progress"] == 0)
        fill(client, SEED + 3)
        client.hincrbyfloat("h:1", "x", 1.5)
        after = contents(process)
        process.process.terminate()
        process.exit_code()
    with Process(folder, **settings) as process:
        assert contents(process) == after


# A disk that refuses


def limit_file_size(bytes_):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, resource.RLIM_INFINITY))


def fill_until_refused(client):
    for number in range(100_000):
        try:
            client.set(f"k{number}", "x" * 1000)
        except (redis.ResponseError, redis.TimeoutError) as error:
            return number, error
    raise AssertionError("the limit was never felt")


def raise_limit(process):
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, unlimited)


def test_a_full_disk_refuses_writes_and_recovers_with_everysec(folder):
    with Process(folder, appendonly="yes", preexec=limit_file_size(300_000)) as process, process.client() as client:
        number, error = fill_until_refused(client)
        assert str(error).startswith("MISCONF Errors writing to the AOF file: File too large")
        assert persistence(client)["aof_last_write_status"] == "err"
        assert client.get("k0") is not None, "reads go on"
        raise_limit(process)
        eventually(lambda: persistence(client)["aof_last_write_status"] == "ok")
        client.set("after", 1)
        assert process.terminate() == 0
    with Process(folder, appendonly="yes") as process, process.client() as client:
        assert client.get("after") == b"1"
        assert client.exists(*[f"k{index}" for index in range(number)]) == number


def test_a_full_disk_acknowledges_nothing_with_always(folder):
    with Process(folder, preexec=limit_file_size(300_000), **ALWAYS) as process:
        writer = Writer(process, "w", batch=4)
        # A client that keeps silent meanwhile; new ones are refused before they see anything.
        with process.client() as client:
            eventually(lambda: persistence(client)["aof_last_write_status"] == "err")
            stuck = writer.count()
            for command in (["SET", "x", "1"], ["GET", "w:0"], ["PING"], ["DBSIZE"]):
                with pytest.raises(redis.ResponseError, match="MISCONF Errors writing to the AOF file"):
                    client.execute_command(*command)
            assert writer.count() == stuck, "a write was acknowledged that is not on the disk"
            raise_limit(process)
            eventually(lambda: persistence(client)["aof_last_write_status"] == "ok")
            # The held replies leave.
            eventually(lambda: writer.count() > stuck)
            assert client.set("x", 1)
        process.kill()
        writer.join(60)
    with Process(folder, **ALWAYS) as process, process.client() as client:
        assert client.get("x") == b"1"
        assert missing(client, "w", writer.count()) == []


def test_a_rewrite_that_cannot_be_written_leaves_the_log_whole(folder):
    with Process(folder, **ALWAYS) as process, process.client() as client:
        client.execute_command("DEBUG", "POPULATE", 10, "x")
        for number in range(300):
            client.set(f"k{number}", os.urandom(1000))
        before = persistence(client)["aof_rewrites"]
        resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
        client.bgrewriteaof()
        eventually(lambda: persistence(client)["aof_last_bgrewrite_status"] == "err")
        assert persistence(client)["aof_rewrites"] == before
        client.set("after", 1)
        raise_limit(process)
        process.kill()
    with Process(folder, **ALWAYS) as process, process.client() as client:
        assert client.get("after") == b"1"
        assert client.exists(*[f"k{number}" for number in range(300)]) == 300


# With replication


def test_a_restarted_replica_goes_on_where_its_snapshot_ends(folder, tmp_path):
    with Process(folder) as primary, primary.client() as client:
        follow = {"replicaof": f"127.0.0.1 {primary.port}", "save": "3600 1"}
        client.execute_command("SELECT", 2)
        client.set("first", 1)
        with Process(tmp_path / "replica", **follow) as replica:
            caught_up(client, replica, "first", 2)
            client.set("second", 1)
            caught_up(client, replica, "second", 2)
            assert replica.terminate() == 0
        client.set("third", 1)
        with Process(tmp_path / "replica", **follow) as replica:
            caught_up(client, replica, "third", 2)
            assert contents(replica) == contents(primary)
        assert client.info("stats")["sync_full"] == 1
        assert client.info("stats")["sync_partial_ok"] == 1


def caught_up(client, replica, key, database):
    with replica.client(db=database) as own:
        eventually(lambda: own.exists(key), 20, f"{key} on the replica")


def test_a_full_sync_begins_the_log_of_a_replica_anew(folder, tmp_path):
    copy = tmp_path / "replica"
    with Process(copy, **ALWAYS) as process, process.client() as client:
        client.set("of-another-life", 1)
        process.kill()
    with Process(folder) as primary, primary.client() as client:
        fill(client, SEED)
        with Process(copy, replicaof=f"127.0.0.1 {primary.port}", **ALWAYS) as replica, replica.client() as own:
            eventually(lambda: own.info("replication")["master_link_status"] == "up", 20)
            wait_rewritten(own, 1)
            client.set("later", 1)
            caught_up(client, replica, "later", 0)
            expected = contents(primary)
            replica.kill()
    with Process(copy, **ALWAYS) as process:
        assert contents(process) == expected
