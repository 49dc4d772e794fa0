"""The cluster, made once for the whole run, and releases on it."""

import os

import pytest

from release import Release, example
from testcluster.cluster import Cluster

REPORT = []  # (what, figure) for the end of the run


def pytest_collection_modifyitems(items):
    # Releases are made per module: modules stay together, in the order of their names.
    items.sort(key=lambda item: item.path.name)


@pytest.fixture(scope="session")
def cluster():
    if "DSSM_KUBERNETES" not in os.environ:
        pytest.exit("these tests need namespaces of their own: make test-kubernetes", returncode=2)
    cluster = Cluster()
    try:
        cluster.start()
        REPORT.append(("seconds to start the cluster", cluster.timings))
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def measured():
    """Takes figures for the report at the end of the run."""
    return lambda what, figure: REPORT.append((what, figure))


@pytest.fixture(scope="module")
def make_release(cluster):
    """Makes releases that are removed with everything they left when the module ends. One at a time fits on the nodes."""
    made = []

    def make(version=4):
        made.append(Release(cluster, version))
        return made[-1]

    yield make
    for release in made[::-1]:
        release.remove()


@pytest.fixture(scope="module")
def release(make_release):
    """A release with the page's smallest values file and quickly made keys."""
    return make_release().install("-f", example("page-registry"), "--set", "certInit.keyAlgorithm=ecdsa-p256")


def pytest_terminal_summary(terminalreporter):
    for what, figure in REPORT:
        terminalreporter.write_line(f"{what}: {figure}")
