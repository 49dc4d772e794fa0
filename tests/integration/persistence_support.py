"""Database processes over data folders: start, kill, wait, compare. Used by test_persistence.py."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import redis

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATABASE = str(pathlib.Path(os.environ.get("DSSM_BIN") or ROOT / ".build/release") / "dssm-db")
STOCK = "/usr/bin/redis-server"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, seconds=10.0, what="the condition"):
    """The condition's first true value; fails when the deadline passes without one."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s")
        time.sleep(0.005)


class Process:
    """A database process over a folder; `settings` are directives, underscores for dashes."""

    def __init__(self, folder, stock=False, wait=True, preexec=None, **settings):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(exist_ok=True)
        self.port = free_port()
        self.log_path = self.folder.parent / f"{self.folder.name}-{self.port}.log"
        arguments = [STOCK if stock else DATABASE, "--port", str(self.port), "--dir", str(self.folder)]
        if not stock:
            settings.setdefault("enable_debug_command", "yes")
        settings.setdefault("save", "")
        for name, value in settings.items():
            arguments += ["--" + name.replace("_", "-")] + ([value] if value == "" else str(value).split(" "))
        with open(self.log_path, "wb") as log:
            # Signals stay as Python has them: SIGXFSZ ignored, for the tests with a full disk.
            self.process = subprocess.Popen(
                arguments, stdout=log, stderr=subprocess.STDOUT, restore_signals=False, preexec_fn=preexec)
        if wait:
            self.wait_ready()

    def client(self, **options):
        options.setdefault("socket_timeout", 20)
        return redis.Redis(port=self.port, decode_responses=False, **options)

    def log(self):
        return self.log_path.read_text(errors="replace")

    def wait_ready(self, seconds=60):
        def is_ready():
            if self.process.poll() is not None:
                raise AssertionError(f"the process ended with {self.process.returncode}:\n{self.log()}")
            try:
                with self.client() as client:
                    return client.ping()
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                return False

        eventually(is_ready, seconds, "readiness")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, seconds=30):
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def exit_code(self, seconds=30):
        return self.process.wait(seconds)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.kill()


def persistence(client):
    return client.info("persistence")


def wait_saved(client):
    eventually(lambda: persistence(client)["rdb_bgsave_in_progress"] == 0, 60, "the end of BGSAVE")
    assert persistence(client)["rdb_last_bgsave_status"] == "ok"


def wait_rewritten(client, count):
    eventually(lambda: persistence(client)["aof_rewrites"] >= count, 60, "the end of BGREWRITEAOF")


def contents(process):
    """Every key with its value and absolute expiry, whatever the server's encodings."""
    result = {}
    for database in range(16):
        with process.client(db=database) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key)
                if kind == b"string":
                    value = client.get(key)
                elif kind == b"hash":
                    value = client.hgetall(key)
                elif kind == b"set":
                    value = client.smembers(key)
                elif kind == b"list":
                    value = client.lrange(key, 0, -1)
                elif kind == b"zset":
                    value = client.zrange(key, 0, -1, withscores=True)
                else:
                    raise AssertionError(f"{key} is a {kind}")
                result[database, key] = (kind, value, client.pexpiretime(key))
    return result


def fill(client, seed):
    """Keys of every type, small and large, with and without expiries, in two databases."""
    import random

    generator = random.Random(seed)

    def blob(size):
        return generator.randbytes(size)

    for database in (0, 3):
        client.execute_command("SELECT", database)
        pipe = client.pipeline(transaction=False)
        for number in range(200):
            pipe.set(f"s:{number}", blob(generator.choice([0, 1, 20, 64, 300, 5000])))
            pipe.set(f"i:{number}", generator.randrange(-(2**63), 2**63))
            pipe.set(f"t:{number}", blob(30), px=generator.randrange(3_600_000, 7_200_000))
        for size in (1, 5, 100, 129, 3000):
            pipe.hset(f"h:{size}", mapping={f"f{index}": blob(index % 90) for index in range(size)})
            pipe.sadd(f"e:{size}", *[blob(1 + index % 70) + b"%d" % index for index in range(size)])
            pipe.sadd(f"n:{size}", *[generator.randrange(-(10**6), 10**12) for _ in range(size)])
            pipe.rpush(f"l:{size}", *[blob(index % 100) for index in range(size)])
            pipe.zadd(f"z:{size}", {blob(8) + b"%d" % index: generator.uniform(-1e9, 1e9) for index in range(size)})
            pipe.zadd(f"q:{size}", {f"m{index}": index - 3 for index in range(size)})
            pipe.pexpire(f"h:{size}", 5_000_000)
        for result in pipe.execute():
            assert not isinstance(result, Exception)
    client.execute_command("SELECT", 0)
