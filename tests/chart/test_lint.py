"""Dockerfiles by hadolint, shell scripts by shellcheck."""

import subprocess

import pytest
from conftest import ROOT

DOCKERFILES = sorted(ROOT.glob("services/*/Dockerfile"))


def shell_scripts():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in listed:
        path = ROOT / name
        if path.is_file() and not path.suffix:
            with open(path, "rb") as file:
                first = file.readline()
            if first.startswith(b"#!") and b"sh" in first.split(b"/")[-1]:
                yield path


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.parent.name)
def test_dockerfile(path):
    # DL3008: packages come in the version that the release of Debian has, which is what its security updates need.
    # DL3006: the last stage is one of the file's own.
    result = subprocess.run(["hadolint", "--ignore", "DL3008", "--ignore", "DL3006", str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", list(shell_scripts()), ids=lambda path: str(path.relative_to(ROOT)))
def test_shell_script(path):
    result = subprocess.run(["shellcheck", "--severity", "style", str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout
