"""Start, watch and end one server process.

Each process gets its own session, so that a terminal's Ctrl-C reaches only the launcher, which then stops its children in
order; should the launcher itself be killed, the kernel sends its children SIGTERM (PR_SET_PDEATHSIG).
"""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time

from .errors import ClusterError

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Process:
    """A child whose output goes to a log file."""

    def __init__(self, name, arguments, log_path, cwd=None, environment=None):
        self.name = name
        self.arguments = [str(argument) for argument in arguments]
        self.log_path = str(log_path)
        self.cwd = cwd
        self.environment = environment
        self.child = None

    def start(self):
        os.makedirs(os.path.dirname(self.log_path), exist_ok=True)
        try:
            with open(self.log_path, "ab") as log:
                self.child = subprocess.Popen(
                    self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.cwd,
                    env=self.environment, start_new_session=True, preexec_fn=_die_with_parent)
        except OSError as error:
            raise ClusterError(f"{self.name}: cannot start {self.arguments[0]}: {error.strerror}") from error
        return self

    @property
    def pid(self):
        return self.child.pid

    @property
    def is_alive(self):
        return self.child is not None and self.child.poll() is None

    def signal(self, number):
        if self.is_alive:
            self.child.send_signal(number)

    def wait(self, seconds):
        """The exit status, or None if the process still runs after that time."""
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, grace_seconds=10):
        """SIGTERM, then SIGKILL when the time is over. True if SIGTERM was enough."""
        if not self.is_alive:
            return True
        self.signal(signal.SIGCONT)  # a stopped process cannot act on SIGTERM
        self.signal(signal.SIGTERM)
        if self.wait(grace_seconds) is not None:
            return True
        self.kill()
        return False

    def kill(self):
        self.signal(signal.SIGKILL)
        self.wait(10)

    def log(self):
        try:
            with open(self.log_path, errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=20):
        return "\n".join(self.log().splitlines()[-lines:])

    def why_it_ended(self):
        """One line for a dead child."""
        status = self.child.returncode
        how = f"exit status {status}" if status >= 0 else f"signal {signal.Signals(-status).name}"
        last = self.log_tail(1).strip() or "it wrote nothing"
        return f"{self.name} ended with {how}: {last} (log: {self.log_path})"


def stop_all(processes, grace_seconds=10):
    """SIGTERM to all at once, then a bounded wait; the names of those that had to be killed."""
    living = [process for process in processes if process.is_alive]
    for process in living:
        process.signal(signal.SIGCONT)
        process.signal(signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    killed = []
    for process in living:
        if process.wait(max(0.01, deadline - time.monotonic())) is None:
            process.kill()
            killed.append(process.name)
    return killed


def wait_until(condition, seconds, what, interval=0.02):
    """Polls until `condition()` is true and returns its value; a ClusterError that names `what` after the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise ClusterError(f"waited {seconds:g} s for {what}" if not callable(what) else what())
        time.sleep(interval)


def port_is_free(port, host="127.0.0.1"):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return True
        except OSError:
            return False


_handed_out = set()


def free_port():
    """A port that nobody listens on, outside the range that the kernel gives to outgoing connections."""
    for _ in range(1000):
        port = random.SystemRandom().randrange(10000, 20000)
        # The cluster bus of stock Redis and replicas of tests use no fixed offset, so one port is enough.
        if port not in _handed_out and port_is_free(port):
            _handed_out.add(port)
            return port
    raise ClusterError("no free port between 10000 and 20000")
