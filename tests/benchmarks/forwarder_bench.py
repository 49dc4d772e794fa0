#!/usr/bin/env python3
"""How many records a second dssm-log-forwarder takes from a file to an acknowledged chunk on one core.

Question: records/s, CPU time a record, and peak memory, for lines of 200 bytes: our JSON, our text, and foreign lines. The
forwarder is pinned to one core; the receiver, on another, unpacks each message's frame and acknowledges it. Each row is run
several times after a warm-up; the median and the spread are shown. Goal: 200,000 records/s and under 32 MiB.
"""

import argparse
import json
import os
import pathlib
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

import msgpack

LINE_BYTES = 200  # without the line's end
GOAL_RATE = 200_000
GOAL_BYTES = 32 << 20


def json_line(number):
    head = (f'{{"time":"2026-01-31T12:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03}Z","level":"notice",'
            f'"service":"db","event":"sync","pid":7,"role":"primary","offset":{number},"message":"')
    return head + "m" * (LINE_BYTES - len(head) - 2) + '"}'


def text_line(number):
    head = f"7:M 31 Jan 2026 12:{number // 60000 % 60:02}:{number // 1000 % 60:02}.{number % 1000:03} * "
    tail = f" service=db event=sync offset={number}"
    return head + "m" * (LINE_BYTES - len(head) - len(tail)) + tail


def foreign_line(number):
    head = f"{number} something else "
    return head + "m" * (LINE_BYTES - len(head))


ROWS = [("json", json_line, "packed"), ("text", text_line, "packed"), ("foreign", foreign_line, "packed"),
        ("json, gzip", json_line, "compressed")]


class Receiver:
    """Counts records by the option `size`, and acknowledges."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.count = 0
        self.first = self.last = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            connection, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        unpacker = msgpack.Unpacker(raw=True, max_buffer_size=64 << 20)
        while data := connection.recv(1 << 20):
            unpacker.feed(data)
            for _, _, options in unpacker:
                self.count += options[b"size"]
                self.last = time.monotonic()
                connection.sendall(msgpack.packb({"ack": options[b"chunk"]}))


def status(pid, name):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))


def run(binary, folder, path, count, mode, core):
    receiver = Receiver()
    state = folder / "state"
    subprocess.run(["rm", "-rf", state], check=True)
    settings = {"state-directory": str(state), "inputs": [{"files": [str(path)], "tag": "dssm.db", "labels": {"pod": "p-0"}}],
                "forward": {"mode": mode, "servers": [{"host": "127.0.0.1", "port": receiver.port}]}}
    (folder / "f.yaml").write_text(json.dumps(settings))
    begin = time.monotonic()
    child = subprocess.Popen([binary, "--config", folder / "f.yaml"], stdout=subprocess.DEVNULL,
                             preexec_fn=lambda: os.sched_setaffinity(0, {core}))
    try:
        while receiver.count < count:
            if child.poll() is not None or time.monotonic() - begin > 300:
                raise SystemExit(f"forwarder_bench: {receiver.count} of {count} records came")
            time.sleep(0.005)
        seconds = receiver.last - begin
        cpu = sum(int(pathlib.Path(f"/proc/{child.pid}/task/{task}/schedstat").read_text().split()[0])
                  for task in os.listdir(f"/proc/{child.pid}/task")) / 1e9
        peak = status(child.pid, "VmHWM")
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait(30)
    return count / seconds, cpu / count * 1e6, peak


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default=".build/release/dssm-log-forwarder")
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[0]})
    core = cores[-1]
    print(f"{options.records} records of {LINE_BYTES} bytes, {options.runs} runs after a warm-up, one core; median (least..most)")
    print(f"{'lines':<12} {'records/s':>28} {'CPU us/record':>22} {'peak MiB':>9}")
    missed = []
    with tempfile.TemporaryDirectory(prefix="dssm-forwarder-bench-") as name:
        folder = pathlib.Path(name)
        for row, line, mode in ROWS:
            path = folder / "bench.log"
            with open(path, "w") as file:
                file.writelines(line(number) + "\n" for number in range(options.records))
            results = [run(options.binary, folder, path, options.records, mode, core)
                       for _ in range(options.runs + 1)][1:]
            rates, cpus, peaks = zip(*results)
            print(f"{row:<12} {statistics.median(rates):>10.0f} ({min(rates):.0f}..{max(rates):.0f})"
                  f" {statistics.median(cpus):>8.2f} ({min(cpus):.2f}..{max(cpus):.2f}) {max(peaks) / (1 << 20):>9.1f}")
            if mode == "packed" and statistics.median(cpus) > 1e6 / GOAL_RATE or max(peaks) > GOAL_BYTES:
                missed.append(row)
            path.unlink()
    if missed:
        raise SystemExit(f"goal missed (by CPU time or memory): {', '.join(missed)}")


if __name__ == "__main__":
    main()
