#!/usr/bin/env python3
"""Compares dssm-db with redis-server: CPU time of the server process per operation, throughput, bytes per key.

Both servers run at the same time, without persistence; each round measures one after the other, and the order swaps from
round to round, so that drifts of the machine hit both. A ratio is taken within a round; the table shows the median of the
rounds and their spread. CPU time is the kernel's clock of the whole server process (all threads), read by the load
generator when its warm-up is over and again at the end, so that wall-clock noise of a shared machine cancels out.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report  # noqa: E402
from rows import ROWS  # noqa: E402
from servers import Server, binaries, load_generator, make_certificates, scratch_folder, stock_or_path  # noqa: E402
from servers import ClusterError  # noqa: E402


class Bench:
    def __init__(self, options):
        self.options = options
        self.folder = scratch_folder()
        self.generator = load_generator()
        self.executables = {"ours": options.ours or binaries.ours("dssm-db"), "redis": stock_or_path(options.peer)}
        self.pair = None           # the running servers
        self.pair_key = None       # what the running servers were started for
        self.filled = None         # the workload that their data comes from

    def close(self):
        self._end_pair()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end_pair(self):
        for server in self.pair or []:
            server.__exit__()
        self.pair, self.pair_key, self.filled = None, None, None

    def _servers(self, key, certificates):
        if self.pair_key != key:
            self._end_pair()
            files = make_certificates(self.folder, certificates)
            self.pair = []
            for label, executable in self.executables.items():
                self.pair.append(Server(label, executable, files, self.folder).__enter__())
            self.pair_key = key
        return self.pair

    def _load(self, server, *arguments, tls=False):
        command = [self.generator, "--port", str(server.tls_port if tls else server.port),
                   "--server-pid", str(server.process.pid), *map(str, arguments)]
        if tls:
            files = server.certificates
            command += ["--cert", files.certificate, "--key", files.key, "--cacert", files.authority]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if result.returncode != 0:
            state = "" if server.process.is_alive else "; " + server.process.why_it_ended()
            raise ClusterError(f"{server.label}: {result.stderr.strip()}{state}")
        return json.loads(result.stdout)

    def _fill(self, row):
        if row.fill is None or self.filled == row.fill:
            return
        for server in self.pair:
            server.call("FLUSHALL")
            self._load(server, "--workload", row.fill, "--fill", "--pipeline", 64, "--connections", 8,
                       "--keys", row.keys, "--value-bytes", row.value_bytes)
        self.filled = row.fill

    def _rounds(self, count):
        for number in range(count):
            yield self.pair if number % 2 == 0 else list(reversed(self.pair))

    def measure(self, row):
        """One sample a round and server: cost (CPU microseconds an operation, or bytes a key) and throughput."""
        measure = {"load": self._measure_load, "handshake": self._measure_handshake, "memory": self._measure_memory}
        return measure[row.kind](row)

    def _measure_load(self, row):
        self._servers("p256", row.certificates)
        self._fill(row)
        samples = []
        for order in self._rounds(self.options.rounds):
            sample = {}
            for server in order:
                if row.flush_between:
                    server.call("FLUSHALL")
                    self.filled = None
                result = self._load(
                    server, "--workload", row.workload, "--pipeline", row.pipeline, "--keys", row.keys,
                    "--value-bytes", row.value_bytes, "--ttl", row.ttl, "--warmup", row.warmup,
                    "--seconds", self.options.seconds, "--seed", len(samples) + 1, tls=row.tls)
                sample[server.label] = per_operation(result)
            samples.append(sample)
        return samples

    def _measure_handshake(self, row):
        self._servers(row.certificates.removeprefix("ecdsa-"), row.certificates)
        samples = []
        count = row.extra["count"] // (4 if self.options.quick else 1)
        for order in self._rounds(self.options.rounds):
            samples.append({server.label: per_operation(self._load(server, "--handshakes", count, tls=True))
                            for server in order})
        return samples

    def _measure_memory(self, row):
        samples = []
        for _ in range(min(self.options.rounds, 3)):
            self._end_pair()
            self._servers("memory", row.certificates)
            sample = {}
            for server in self.pair:
                before = server.resident_bytes()
                result = self._load(server, "--workload", row.workload, "--fill", "--pipeline", row.pipeline,
                                    "--connections", 4, "--keys", row.keys, "--value-bytes", row.value_bytes,
                                    "--ttl", row.ttl)
                if server.call("DBSIZE") != row.keys:
                    raise ClusterError(f"{server.label}: {server.call('DBSIZE')} keys instead of {row.keys}")
                sample[server.label] = {"cost": (server.resident_bytes() - before) / row.keys,
                                        "rate": result["operations"] / result["seconds"]}
            samples.append(sample)
        self._end_pair()
        return samples


def per_operation(result):
    if result["operations"] <= 0 or result["server_cpu_seconds"] <= 0:
        raise ClusterError("nothing was measured")
    return {"cost": result["server_cpu_seconds"] / result["operations"] * 1e6,
            "rate": result["operations"] / result["seconds"]}


def machine(executables):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    version = subprocess.run([executables["redis"], "--version"], capture_output=True, text=True).stdout.split()
    commit = subprocess.run(["git", "-C", binaries.ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"), "processor": models[0],
            "processors": len(models), "kernel": platform.release(), "commit": commit.stdout.strip(),
            "peer": " ".join(version[:3]), "executables": executables}


def summarise(row, samples):
    """Median and spread over the rounds."""
    def spread(values):
        return {"median": statistics.median(values), "min": min(values), "max": max(values)}

    cost_ratios = [sample["ours"]["cost"] / sample["redis"]["cost"] for sample in samples]
    rate_ratios = [sample["ours"]["rate"] / sample["redis"]["rate"] for sample in samples]
    return {
        "name": row.name, "question": row.question, "unit": "bytes" if row.kind == "memory" else "us", "goal": row.goal,
        "rounds": len(samples), "cost_ratio": spread(cost_ratios), "rate_ratio": spread(rate_ratios),
        "ours": {key: spread([sample["ours"][key] for sample in samples]) for key in ("cost", "rate")},
        "redis": {key: spread([sample["redis"][key] for sample in samples]) for key in ("cost", "rate")},
        "samples": samples,
    }


def select_rows(names):
    if not names:
        return ROWS
    known = {row.name: row for row in ROWS}
    for name in names:
        if name not in known:
            raise ClusterError(f"there is no row {name}; the rows are: {' '.join(known)}")
    return [known[name] for name in names]


def main():
    parser = argparse.ArgumentParser(description="Compares dssm-db with redis-server in the same run.")
    parser.add_argument("rows", nargs="*", help="names of rows; default: all")
    parser.add_argument("--list", action="store_true", help="print the rows and their questions")
    parser.add_argument("--rounds", type=int, help="default 5, with --quick 2")
    parser.add_argument("--seconds", type=float, help="measured time a round and server; default 2, with --quick 0.7")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: for a glance, not for a document")
    parser.add_argument("--ours", help="another executable than .build/release/dssm-db")
    parser.add_argument("--peer", default="redis-server", help="another executable than redis-server")
    parser.add_argument("--output", default=os.path.join(binaries.ROOT, "bench-results"), help="folder for the results")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 5)
    options.seconds = options.seconds or (0.7 if options.quick else 2)
    if options.list:
        for row in ROWS:
            print(f"{row.name:20} {row.question}")
        return 0
    bench = None
    results, failures = [], []
    try:
        rows = select_rows(options.rows)
        bench = Bench(options)
        where = machine(bench.executables)
        print(report.headline(where, options), flush=True)
        print(report.table_header(), flush=True)
        for row in rows:
            try:
                result = summarise(row, bench.measure(row))
            except ClusterError as error:
                failures.append({"name": row.name, "error": str(error)})
                print(f"{row.name:18} failed: {error}", flush=True)
                bench._end_pair()
                continue
            results.append(result)
            print(report.table_line(result), flush=True)
        report.write(options.output, where, results, failures, options)
    except ClusterError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if bench is not None:
            bench.close()
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
