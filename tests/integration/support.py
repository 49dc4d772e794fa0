"""Real processes for the tests: our db, and redis-server beside it, each on ports of its own."""

import os
import re
import subprocess

import redis
from localcluster import binaries
from localcluster.cluster import settings_line
from localcluster.errors import ClusterError
from localcluster.processes import Process, free_port, wait_until
from localcluster.resp import Client, ConnectionClosed, ReplyError, parse_info

__all__ = ["Client", "ClusterError", "ConnectionClosed", "Deadline", "ReplyError", "Server", "free_port", "wait_until"]

Deadline = 10  # seconds that anything on loopback may take before a test fails


class Server:
    """One db process: `ours` or `redis`."""

    def __init__(self, kind, folder, certificates, settings, start_deadline=Deadline):
        self.kind, self.folder, self.certificates = kind, str(folder), certificates
        self.port = free_port()
        self.tls_port = free_port() if certificates else None
        os.makedirs(self.folder, exist_ok=True)
        self.settings_path = os.path.join(self.folder, "db.conf")
        self.settings = {"port": self.port, "bind": "127.0.0.1", "dir": self.folder, "save": ""}
        if certificates:
            self.settings |= {"tls-port": self.tls_port, **dict(certificates.directives()), "tls-replication": "no"}
        self.settings |= {name.replace("_", "-"): value for name, value in settings.items()}
        self.port = self.settings["port"]
        self.start_deadline = start_deadline
        self.process = None

    def write_settings(self):
        with open(self.settings_path, "w") as file:
            for name, value in self.settings.items():
                for one in value if isinstance(value, list) else [value]:
                    file.write(f"{name} {one[0]}\n" if isinstance(one, tuple) else settings_line(name, one))

    def launch(self):
        """Starts the process without waiting for it."""
        executable = binaries.ours("dssm-db") if self.kind == "ours" else binaries.stock("redis-server")
        self.process = Process(f"{self.kind}:{self.port}", [executable, self.settings_path],
                               os.path.join(self.folder, "log"), cwd=self.folder).start()
        return self

    def start(self):
        self.write_settings()
        self.launch()
        self.wait_until_ready()
        return self

    def restart(self):
        """Starts it again with the settings file as it is now."""
        self.launch()
        self.wait_until_ready()

    def wait_until_ready(self):
        wait_until(self._answers, self.start_deadline,
                   lambda: f"{self.process.name} does not answer; its log:\n{self.process.log_tail(30)}")

    def _answers(self):
        if not self.process.is_alive:
            raise ClusterError(self.process.why_it_ended())
        try:
            if self.port == 0:
                return self.tls_call("PING") == "PONG"
            return self.call("PING") == "PONG"
        except ReplyError as error:
            return str(error).startswith("NOAUTH")
        except (OSError, ConnectionClosed):
            return False

    # MARK: Clients

    def client(self, timeout=Deadline):
        return Client(self.port, timeout=timeout)

    def tls_client(self, credentials=None, timeout=Deadline):
        return Client(self.tls_port, credentials or self.certificates.credentials(), timeout=timeout)

    def call(self, *arguments):
        with self.client() as client:
            return client.call(*arguments)

    def tls_call(self, *arguments):
        with self.tls_client() as client:
            return client.call(*arguments)

    def redis(self, tls=False, **options):
        """redis-py, the client that most users have."""
        if tls:
            files = self.certificates
            options |= {"ssl": True, "ssl_certfile": files.certificate, "ssl_keyfile": files.key,
                        "ssl_ca_certs": files.authority, "ssl_check_hostname": False}
        return redis.Redis(port=self.tls_port if tls else self.port, socket_timeout=Deadline, **options)

    def cli(self, *arguments, tls=False, credentials=None, text=None):
        """redis-cli's completed process."""
        command = [binaries.stock("redis-cli"), "-p", str(self.tls_port if tls else self.port)]
        if tls:
            command += (credentials or self.certificates.credentials()).cli_options()
        return subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, timeout=30, input=text)

    # MARK: Observation

    def info(self, section="everything"):
        return parse_info(self.call("INFO", section))

    def log(self):
        return self.process.log()

    def wait_for_log(self, pattern, after=0):
        """The first log line after the given length of the log that matches."""
        expression = re.compile(pattern)

        def look():
            return next((line for line in self.log()[after:].splitlines() if expression.search(line)), None)

        return wait_until(look, Deadline, lambda: f"no log line matches {pattern!r}; the log ends with:\n{self.process.log_tail(15)}")

    def resident_bytes(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))

    def stop(self):
        if self.process is not None:
            self.process.stop()


def eventually(condition, what, seconds=Deadline):
    """Polls until the condition holds, and returns its value."""
    return wait_until(condition, seconds, what if callable(what) else lambda: f"never came: {what}", interval=0.01)
