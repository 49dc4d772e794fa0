"""Fixtures: an installed release for each module that asks for one. Its containers' logs are shown when a test fails."""

import os

import pytest
from podman import run
from release import IMAGES, Release

#: A user as OpenShift's restricted-v2 gives one to a namespace.
ARBITRARY_USER = 1000680000


def pytest_sessionstart(session):
    if os.geteuid() != 0:
        pytest.exit("the container tests need root: they own volumes as a kubelet does and enter network namespaces", 2)
    for name in ("db", "sentinel", "cert-init", "log-forwarder"):
        repository, tag = (IMAGES[index].split("=")[1] for index in (1, 3))
        if run("image", "exists", f"{repository}/dssm-{name}:{tag}").returncode != 0:
            pytest.exit(f"there is no image {repository}/dssm-{name}:{tag}: run `make images`", 2)


@pytest.fixture(scope="module")
def install(request, tmp_path_factory):
    """install(*options, user=None): a release of the module's; the options are Helm's."""
    made = []
    request.node.releases = made

    def install(*options, user=None):
        release = Release(tmp_path_factory.mktemp("release"), *options, user=user)
        made.append(release)
        return release.install()

    yield install
    for release in made:
        release.uninstall()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for release in getattr(item.getparent(pytest.Module), "releases", []):
            report.sections += list(release.logs())
