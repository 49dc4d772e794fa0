"""Three dbs and three sentinels on loopback, every link mTLS.

A folder holds everything: certificates, one folder a node with its settings file and data, and the logs. Nodes rewrite
their own settings (who is primary, what was voted), so a second start in the same folder continues where the first
stopped. `stock=True` runs redis-server and redis-sentinel with the very same settings, for comparison.
"""

import json
import os
import shutil
import ssl
import time

from . import binaries, certificates
from .errors import ClusterError
from .processes import Process, port_is_free, stop_all, wait_until
from .resp import Client, ConnectionClosed, ReplyError, parse_info

PRIMARY_NAME = "dssm"
QUORUM = 2
UNREACHABLE = (OSError, ssl.SSLError, ConnectionClosed)


class Node:
    """One db or sentinel."""

    def __init__(self, cluster, kind, index, port):
        self.cluster, self.kind, self.port = cluster, kind, port
        self.name = f"{kind}-{index}"
        self.folder = os.path.join(cluster.folder, self.name)
        self.settings_path = os.path.join(self.folder, f"{kind}.conf")
        self.stock = cluster.stock
        self.process = None

    def start(self):
        if self.stock:
            command = [binaries.stock("redis-server" if self.kind == "db" else "redis-sentinel"), self.settings_path]
        else:
            command = [binaries.ours("dssm-" + self.kind), self.settings_path]
        log = os.path.join(self.cluster.folder, "logs", self.name + ".log")
        self.process = Process(self.name, command, log, cwd=self.folder).start()
        with open(os.path.join(self.folder, "pid"), "w") as file:
            file.write(f"{self.process.pid}\n")

    def client(self, timeout=2.0):
        return Client(self.port, self.cluster.certificates.credentials(), timeout=timeout)

    def call(self, *arguments, timeout=2.0):
        with self.client(timeout) as client:
            return client.call(*arguments)

    def answer(self, *arguments, timeout=1.0):
        """The reply, or None if the node cannot be asked or refuses now."""
        try:
            return self.call(*arguments, timeout=timeout)
        except (*UNREACHABLE, ReplyError):
            return None

    def info(self, section):
        text = self.answer("INFO", section)
        return {} if text is None else parse_info(text)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"


class Cluster:
    def __init__(self, folder, stock=False, db_ports=(6379, 6380, 6381), sentinel_ports=(26379, 26380, 26381),
                 db_settings=(), sentinel_settings=(), down_after_milliseconds=1000, stock_sentinels=0):
        self.folder = os.path.abspath(folder)
        self.stock = stock
        self.db_settings, self.sentinel_settings = list(db_settings), list(sentinel_settings)
        self.down_after_milliseconds = down_after_milliseconds
        self.certificates = None
        self.dbs = [Node(self, "db", index, port) for index, port in enumerate(db_ports)]
        self.sentinels = [Node(self, "sentinel", index, port) for index, port in enumerate(sentinel_ports)]

        for node in self.sentinels[:stock_sentinels]:
            node.stock = True

    @property
    def nodes(self):
        return self.dbs + self.sentinels

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    # MARK: Files

    def _identity(self):
        return {"stock": self.stock, "ports": [node.port for node in self.nodes]}

    def prepare(self, fresh=False):
        """Writes what is missing in the folder. `fresh` deletes what an earlier run left there."""
        marker = os.path.join(self.folder, "cluster.json")
        if fresh and os.path.exists(self.folder):
            if os.listdir(self.folder) and not os.path.exists(marker):
                raise ClusterError(f"{self.folder} is not a cluster's folder; it is not deleted")
            shutil.rmtree(self.folder)
        if os.path.exists(marker):
            with open(marker) as file:
                if json.load(file) != self._identity():
                    raise ClusterError(f"{self.folder} was made with other ports or servers; --fresh deletes it and begins anew")
        os.makedirs(self.folder, exist_ok=True)
        with open(marker, "w") as file:
            json.dump(self._identity(), file)
        self.certificates = certificates.issue(os.path.join(self.folder, "certs"))
        for node in self.nodes:
            os.makedirs(node.folder, exist_ok=True)
            if not os.path.exists(node.settings_path):
                with open(node.settings_path, "w") as file:
                    file.write("".join(settings_line(*pair) for pair in self._settings(node)))

    def _settings(self, node):
        yield from [("port", 0), ("tls-port", node.port), ("bind", "127.0.0.1"), ("dir", node.folder)]
        yield from self.certificates.directives()
        if node.kind == "db":
            yield from [("save", ""), ("appendonly", "yes"), ("appendfsync", "everysec"), ("repl-diskless-sync-delay", 0)]
            if node is not self.dbs[0]:
                yield "replicaof", "127.0.0.1", self.dbs[0].port
            yield from self.db_settings
        else:
            yield "sentinel", "monitor", PRIMARY_NAME, "127.0.0.1", self.dbs[0].port, QUORUM
            yield "sentinel", "down-after-milliseconds", PRIMARY_NAME, self.down_after_milliseconds
            yield "sentinel", "failover-timeout", PRIMARY_NAME, 10000
            yield "sentinel", "parallel-syncs", PRIMARY_NAME, 2
            yield from self.sentinel_settings

    # MARK: Start and stop

    def start(self, seconds=30, fresh=False):
        """Starts all nodes and waits until they are healthy. On failure everything is stopped again."""
        for node in self.nodes:
            if not port_is_free(node.port):
                raise ClusterError(f"port {node.port} (for {node.name}) is already in use")
        self.prepare(fresh)
        try:
            for node in self.nodes:
                node.start()
            self.wait_until_healthy(seconds)
        except BaseException:
            self.stop(grace_seconds=3)
            raise

    def stop(self, grace_seconds=10):
        """Sentinels first, so that no failover answers the dbs' end. Names of those that needed SIGKILL."""
        killed = []
        for group in (self.sentinels, self.dbs):
            killed += stop_all([node.process for node in group if node.process is not None], grace_seconds)
        return killed

    def check_children(self):
        for node in self.nodes:
            if not node.process.is_alive:
                raise ClusterError(node.process.why_it_ended())

    # MARK: State

    def wait_until_healthy(self, seconds):
        def healthy():
            self.check_children()
            return self.is_healthy()

        wait_until(healthy, seconds, lambda: f"not healthy after {seconds:g} s: {self.what_is_missing()}", interval=0.05)

    def is_healthy(self):
        return self.what_is_missing() is None

    def what_is_missing(self):
        """One line about the first thing that is not as it should be; None when all is well."""
        for node in self.dbs:
            if node.answer("PING") != "PONG":
                return f"{node.name} does not answer PING (log: {node.process.log_path})"
        primaries = [node for node in self.dbs if node.info("replication").get("role") == "master"]
        if len(primaries) != 1:
            return f"{len(primaries)} dbs are primary"
        for node in self.dbs:
            if node not in primaries and node.info("replication").get("master_link_status") != "up":
                return f"{node.name} has no link to the primary (log: {node.process.log_path})"
        for node in self.sentinels:
            state = node.answer("SENTINEL", "MASTER", PRIMARY_NAME)
            if state is None:
                return f"{node.name} does not answer SENTINEL MASTER (log: {node.process.log_path})"
            fields = dict(zip(state[::2], state[1::2]))
            if int(fields.get(b"port", 0)) != primaries[0].port:
                return f"{node.name} takes port {fields.get(b'port', b'?').decode()} for the primary"
            if fields.get(b"flags") != b"master":
                return f"{node.name} sees the primary as {fields.get(b'flags', b'?').decode()}"
            for name, wanted in ((b"num-slaves", len(self.dbs) - 1), (b"num-other-sentinels", len(self.sentinels) - 1)):
                if int(fields.get(name, -1)) != wanted:
                    return f"{node.name} knows {fields.get(name, b'?').decode()} of {wanted} {name.decode()[4:]}"
        return None

    def primary(self):
        """The db that the first sentinel that answers takes for the primary; None if nobody says."""
        for node in self.sentinels:
            address = node.answer("SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY_NAME, timeout=0.5)
            if address:
                return next((db for db in self.dbs if db.port == int(address[1])), None)
        return None


def settings_line(name, *values):
    return " ".join([name, *(quote(str(value)) for value in values)]) + "\n"


def quote(value):
    plain = value and not any(character in value for character in " \t\"'\\\n#")
    return value if plain else json.dumps(value)


class Supervisor:
    """Restarts children that end, as a cluster would, but gives up on one that ends again and again."""

    DELAY_SECONDS = 5
    MAX_RESTARTS = 5
    WINDOW_SECONDS = 120

    def __init__(self, cluster, say):
        self.cluster, self.say = cluster, say
        self.due = {}        # node: when it starts again
        self.history = {}    # node: times of its restarts

    def look(self):
        now = time.monotonic()
        for node in self.cluster.nodes:
            if node.process.is_alive:
                continue
            if node not in self.due:
                recent = [at for at in self.history.get(node, []) if now - at < self.WINDOW_SECONDS]
                if len(recent) >= self.MAX_RESTARTS:
                    raise ClusterError(f"{node.process.why_it_ended()}; it ended {len(recent) + 1} times, giving up")
                self.history[node] = recent + [now]
                self.due[node] = now + self.DELAY_SECONDS
                self.say(f"{node.process.why_it_ended()}; it starts again in {self.DELAY_SECONDS} s")
            elif now >= self.due[node]:
                del self.due[node]
                node.start()
                self.say(f"{node.name} started again, pid {node.process.pid}")
