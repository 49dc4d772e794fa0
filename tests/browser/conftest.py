"""Fixtures: the rendered pages and the browser that looks at them."""

import json
import os
import subprocess

import pytest
import reports
from browser import Browser

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RENDERER = os.path.join(os.environ.get("DSSM_BIN") or os.path.join(ROOT, ".build", "debug"), "StatusPageRenderer")


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """pages[state]: the path of the state's page."""
    folder = tmp_path_factory.mktemp("pages")
    paths = {}
    for state, make in reports.STATES.items():
        report = make()
        result = subprocess.run([RENDERER, reports.at()], input=json.dumps(report).encode(), capture_output=True)
        assert result.returncode == 0, f"{state}: {result.stderr.decode()}"
        paths[state] = folder / f"{state}.html"
        paths[state].write_bytes(result.stdout)
    return paths


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    browser = Browser(tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def shots():
    """Where screenshots are kept: SCREENSHOTS, or `screenshots` beside the folder of the executables."""
    folder = os.environ.get("SCREENSHOTS") or os.path.join(os.path.dirname(os.path.dirname(RENDERER)), "screenshots")
    os.makedirs(folder, exist_ok=True)
    return folder


def pytest_generate_tests(metafunc):
    if "state" in metafunc.fixturenames:
        metafunc.parametrize("state", list(reports.STATES))
