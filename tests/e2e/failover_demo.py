#!/usr/bin/env python3
"""Kills, stops or terminates the primary under load and counts what it cost.

A cluster of its own (free ports, a temporary folder) is loaded with NAT-like mappings through redis-py over mTLS. Two
writers then write numbered keys, one at a time, each key once: one finds the primary through Sentinel, the other sends its
commands to a sentinel's port. The primary gets SIGKILL (or `--signal STOP`: it hangs; `--signal TERM`: a planned stop). Every acknowledged write is looked up afterwards, key by key.
"""

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))

import redis  # noqa: E402
import redis.sentinel  # noqa: E402
from localcluster.cluster import PRIMARY_NAME, Cluster  # noqa: E402
from localcluster.errors import ClusterError  # noqa: E402
from localcluster.processes import free_port, wait_until  # noqa: E402

MAPPING_TTL = 1800  # long enough that none expires during the check
BATCH = 500
RECOVERY_SECONDS = 60


def tls_options(cluster):
    files = cluster.certificates
    return {"ssl": True, "ssl_certfile": files.certificate, "ssl_keyfile": files.key, "ssl_ca_certs": files.authority,
            "ssl_check_hostname": False, "socket_timeout": 2.0, "socket_connect_timeout": 2.0}


def mapping(number):
    """A record of the size and shape that a NAT table has."""
    host, port = number // 50000, 10000 + number % 50000
    return f"nat:100.64.{host // 256}.{host % 256}:{port}", f"198.51.100.{number % 256}:{1024 + number % 60000}:tcp:{number:08d}"


class Writer(threading.Thread):
    """Writes keys `<name>:<number>` one after the other; a number that fails is never written again."""

    def __init__(self, name, connect):
        super().__init__(daemon=True)
        self.name, self.connect = name, connect
        self.acknowledged = []   # numbers
        self.accepted = []       # (begin, end) of each acknowledged write
        self.failures = []       # (time, text)
        self.stopping = threading.Event()

    def run(self):
        number = 0
        client = self.connect()
        while not self.stopping.is_set():
            number += 1
            begin = time.monotonic()
            try:
                if client.set(f"{self.name}:{number}", number, ex=MAPPING_TTL):
                    self.acknowledged.append(number)
                    self.accepted.append((begin, time.monotonic()))
            except (redis.RedisError, OSError) as error:
                self.failures.append((time.monotonic(), f"{type(error).__name__}: {error}"))
                time.sleep(0.005)  # a client's usual back-off between attempts, not a wait for a condition

    def first_accepted_after(self, moment):
        """When the first write begun after the moment was acknowledged; None if there is none yet."""
        return next((end for begin, end in self.accepted_since(moment)), None)

    def accepted_since(self, moment):
        """The writes begun after the moment, earliest first."""
        found = []
        for begin, end in reversed(self.accepted):
            if begin < moment:
                break
            found.append((begin, end))
        return reversed(found)


class SwitchListener(threading.Thread):
    """Notes when the sentinels announce a new primary; the earliest of all sentinels counts."""

    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster = cluster
        self.switches = []  # (time, new port)
        self.ready = threading.Event()
        self.stopping = threading.Event()

    def run(self):
        channels = []
        for node in self.cluster.sentinels:
            channel = redis.Redis(port=node.port, **tls_options(self.cluster)).pubsub(ignore_subscribe_messages=False)
            channel.subscribe("+switch-master")
            channels.append(channel)
        for channel in channels:
            while (channel.get_message(timeout=1) or {}).get("type") != "subscribe" and not self.stopping.is_set():
                pass
        self.ready.set()
        while not self.stopping.is_set():
            for channel in channels:
                message = channel.get_message(timeout=0.002)
                if message and message["type"] == "message":
                    self.switches.append((time.monotonic(), int(message["data"].split()[4])))

    def first_after(self, moment):
        return next((at - moment for at, _ in self.switches if at > moment), None)


def load_mappings(cluster, count):
    client = redis.Redis(port=cluster.primary().port, **tls_options(cluster))
    begin = time.monotonic()
    for start in range(0, count, BATCH):
        pipeline = client.pipeline(transaction=False)
        for number in range(start, min(count, start + BATCH)):
            pipeline.set(*mapping(number), ex=MAPPING_TTL)
        pipeline.execute()
    return time.monotonic() - begin


def missing_of(client, pairs):
    """Keys of the (key, value) pairs that the server does not have with that value."""
    missing = []
    for start in range(0, len(pairs), BATCH):
        part = pairs[start:start + BATCH]
        pipeline = client.pipeline(transaction=False)
        for key, _ in part:
            pipeline.get(key)
        missing += [key for (key, value), got in zip(part, pipeline.execute()) if got != value.encode()]
    return missing


def make_writers(cluster, tag):
    sentinels = [("127.0.0.1", node.port) for node in cluster.sentinels]

    def by_discovery():
        options = tls_options(cluster)
        return redis.sentinel.Sentinel(sentinels, sentinel_kwargs=options, **options).master_for(PRIMARY_NAME)

    def by_forwarding():
        # A sentinel holds commands back for the length of an election, so this client is a little more patient.
        options = tls_options(cluster) | {"socket_timeout": 10.0}
        return redis.Redis(port=cluster.sentinels[0].port, **options)

    writers = [Writer(f"discovery{tag}", by_discovery)]
    if not cluster.stock:
        writers.append(Writer(f"forwarded{tag}", by_forwarding))
    return writers


def one_failover(cluster, tag, mappings, seconds, number):
    """Sends the primary the signal under load; the figures as a dictionary."""
    listener = SwitchListener(cluster)
    writers = make_writers(cluster, tag)
    for thread in [listener, *writers]:
        thread.start()
    try:
        if not listener.ready.wait(10):
            raise ClusterError("cannot subscribe to the sentinels")
        wait_until(lambda: all(len(writer.accepted) > 20 for writer in writers), 15,
                   lambda: "the writers cannot write: " + "; ".join(
                       f"{w.name}: {w.failures[-1][1] if w.failures else 'no reply'}" for w in writers))
        time.sleep(seconds + random.random() * 0.2)  # the load itself; the kill falls at no fixed phase of any timer
        old = cluster.primary()
        killed_at = time.monotonic()
        old.process.signal(number)
        dead_at = time.monotonic()  # what is acknowledged from here on, the old primary has not done
        wait_until(lambda: listener.first_after(killed_at) is not None
                   and all(writer.first_accepted_after(dead_at) is not None for writer in writers), RECOVERY_SECONDS,
                   lambda: f"no recovery within {RECOVERY_SECONDS} s: switch {listener.first_after(killed_at)}, last failures "
                   + "; ".join(f"{w.name}: {w.failures[-1][1] if w.failures else 'none'}" for w in writers))
        time.sleep(seconds)
    finally:
        for thread in [*writers, listener]:
            thread.stopping.set()
        for thread in [*writers, listener]:
            thread.join(15)
    primary = cluster.primary()
    if primary is None or primary is old:
        raise ClusterError("the sentinels name no new primary")
    client = redis.Redis(port=primary.port, **tls_options(cluster))
    result = {"old": old, "signal": number, "switch": listener.first_after(killed_at), "writers": {},
              "mappings_lost": len(missing_of(client, [mapping(number) for number in range(mappings)]))}
    for writer in writers:
        pairs = [(f"{writer.name}:{number}", str(number)) for number in writer.acknowledged]
        gap = max((later[1] - earlier[1] for earlier, later in zip(writer.accepted, writer.accepted[1:])), default=0)
        result["writers"][writer.name.removesuffix(tag)] = {
            "first": writer.first_accepted_after(dead_at) - killed_at, "acknowledged": len(writer.acknowledged),
            "refused": len(writer.failures), "lost": len(missing_of(client, pairs)), "gap": gap,
            "errors": sorted({text.split(":")[0] for _, text in writer.failures}),
        }
    return result


def show(result):
    print(f"  primary {result['old'].name} got {result['signal'].name}")
    print(f"  time to the new primary (+switch-master)   {result['switch'] * 1000:8.0f} ms")
    for name, writer in result["writers"].items():
        print(f"  through {name + ':':13} first accepted write {writer['first'] * 1000:8.0f} ms, acknowledged "
              f"{writer['acknowledged']:6}, refused {writer['refused']:4}, lost {writer['lost']}"
              + (f"  ({', '.join(writer['errors'])})" if writer["errors"] else ""))
    print(f"  mappings lost                               {result['mappings_lost']:8}", flush=True)


def bring_back(cluster, node, signalled):
    """Starts the node again, or lets it go on; seconds until all is healthy with it as a replica."""
    begin = time.monotonic()
    if signalled == signal.SIGSTOP:
        node.process.signal(signal.SIGCONT)
    else:
        code = node.process.wait(30)
        if signalled == signal.SIGTERM and code != 0:
            raise ClusterError(f"{node.name} ended with {code} after SIGTERM")
        node.start()
    cluster.wait_until_healthy(60)
    return time.monotonic() - begin


def summary(results):
    switches = [result["switch"] * 1000 for result in results]
    firsts = [writer["first"] * 1000 for result in results for writer in result["writers"].values()]
    acknowledged = sum(writer["acknowledged"] for result in results for writer in result["writers"].values())
    lost = sum(writer["lost"] for result in results for writer in result["writers"].values())

    def spread(values):
        return f"median {statistics.median(values):.0f} ms ({min(values):.0f}..{max(values):.0f})"

    print(f"over {len(results)} failovers: +switch-master {spread(switches)}; first accepted write {spread(firsts)}; "
          f"{acknowledged} writes acknowledged, {lost} lost; {sum(r['mappings_lost'] for r in results)} mappings lost")


def quorum_settings(options):
    if not options.write_quorum:
        return {}
    return {"db_settings": [("write-quorum", options.write_quorum)],
            "sentinel_settings": [("sentinel", "write-quorum", PRIMARY_NAME, options.write_quorum)]}


def run(options):
    folder = tempfile.mkdtemp(prefix="dssm-failover-")
    cluster = Cluster(os.path.join(folder, "cluster"), options.stock, [free_port() for _ in range(3)],
                      [free_port() for _ in range(3)], down_after_milliseconds=options.down_after, **quorum_settings(options))
    failed = True
    try:
        cluster.start(60)
        what = "redis-server and redis-sentinel" if options.stock else "dssm-db and dssm-sentinel"
        print(f"three {what} under mTLS, down-after-milliseconds {options.down_after}"
              + (f", write-quorum {options.write_quorum}" if options.write_quorum else ""), flush=True)
        took = load_mappings(cluster, options.mappings)
        print(f"  {options.mappings} mappings loaded in {took:.1f} s", flush=True)
        results = []
        for number in range(options.rounds):
            result = one_failover(cluster, f"-{number}", options.mappings, options.seconds, options.signal)
            show(result)
            results.append(result)
            print(f"  {result['old'].name} came back as a replica within {bring_back(cluster, result['old'], options.signal):.1f} s", flush=True)
        if options.rounds > 1:
            summary(results)
        failed = False
    finally:
        for node in cluster.nodes:
            if options.signal == signal.SIGSTOP and node.process is not None and node.process.is_alive:
                node.process.signal(signal.SIGCONT)
        cluster.stop()
        if failed and not options.keep:
            for node in cluster.nodes:
                if node.process is not None:
                    print(f"--- {node.name}\n{node.process.log_tail(15)}", file=sys.stderr)
        if options.keep:
            print(f"logs and data: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--stock", action="store_true", help="the same with redis-server and redis-sentinel")
    parser.add_argument("--mappings", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=1, help="failovers one after the other (default: 1)")
    parser.add_argument("--seconds", type=float, default=2, help="load before and after the kill (default: 2)")
    parser.add_argument("--down-after", type=int, default=1000, metavar="MILLISECONDS")
    parser.add_argument("--signal", type=lambda name: signal.Signals[f"SIG{name}"], default=signal.SIGKILL,
                        metavar="KILL|STOP|TERM", help="what the primary gets (default: KILL)")
    parser.add_argument("--write-quorum", type=int, default=0, metavar="REPLICAS",
                        help="replicas that must have a write before it is acknowledged (default: 0)")
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    try:
        run(parser.parse_args())
    except ClusterError as error:
        print(f"failover-demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
