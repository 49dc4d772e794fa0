"""Fixtures: certificates and servers. Each test's processes end with it; their logs are shown when it fails."""

import itertools
import random
import os

import pytest
from localcluster import certificates as issuing
from support import Server

_numbers = itertools.count()

# DSSM_TEST_STOCK=1 runs the tests against redis-server: a way to see whether a test asks for what Redis does.
DEFAULT_KIND = "redis" if os.environ.get("DSSM_TEST_STOCK") else "ours"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """What all servers and clients use, unless a test is about certificates."""
    return issuing.issue(tmp_path_factory.mktemp("certs"))


class Starter:
    """Starts servers on demand and remembers them."""

    def __init__(self, folder, certificates):
        self.folder, self.certificates, self.servers = folder, certificates, []

    def make(self, kind=DEFAULT_KIND, tls=False, certificates=None, **settings):
        """A server that is not started yet."""
        files = certificates or (self.certificates if tls else None)
        server = Server(kind, self.folder / f"{kind}-{next(_numbers)}", files, settings)
        self.servers.append(server)
        return server

    def __call__(self, kind=DEFAULT_KIND, tls=False, certificates=None, **settings):
        return self.make(kind, tls, certificates, **settings).start()

    def stop(self):
        for server in self.servers:
            server.stop()

    def logs(self):
        for server in self.servers:
            if server.process is not None:
                state = "alive" if server.process.is_alive else f"ended with {server.process.child.returncode}"
                yield f"{server.process.name} ({state})", server.process.log_tail(40)


@pytest.fixture
def start(tmp_path, certificates, request):
    """start(kind="ours" | "redis", tls=False, **settings): a running server."""
    starter = Starter(tmp_path, certificates)
    request.node.starter = starter
    yield starter
    crashed = [server for server in starter.servers if server.process is not None and not server.process.is_alive
               and server.process.child.returncode < 0 and server.process.child.returncode not in (-9, -15)]
    starter.stop()
    assert not crashed, "; ".join(server.process.why_it_ended() for server in crashed)


@pytest.fixture
def db(start):
    """Our db with default settings on a plaintext port."""
    return start()


@pytest.fixture
def tls_db(start):
    """Our db with a plaintext and an mTLS port."""
    return start(tls=True)


@pytest.fixture(scope="module")
def pair(tmp_path_factory, certificates):
    """Our db and redis-server, for comparisons; each test begins with both empty."""
    starter = Starter(tmp_path_factory.mktemp("pair"), certificates)
    settings = {"enable_debug_command": "yes"}
    try:
        yield starter("ours", **settings), starter("redis", **settings)
    finally:
        starter.stop()


def seeds():
    """Seeds of the generated tests: fixed ones, or DSSM_TEST_SEED, or DSSM_TEST_SEEDS many random ones."""
    if "DSSM_TEST_SEED" in os.environ:
        return [int(os.environ["DSSM_TEST_SEED"])]
    count = int(os.environ.get("DSSM_TEST_SEEDS", "0"))
    return [random.SystemRandom().randrange(1 << 32) for _ in range(count)] or [1, 2, 3]


def pytest_generate_tests(metafunc):
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", seeds(), ids=lambda seed: f"seed{seed}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call" and report.failed and hasattr(item, "starter"):
        report.sections += [(f"log of {name}", text) for name, text in item.starter.logs()]
