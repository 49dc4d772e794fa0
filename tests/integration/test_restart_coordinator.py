"""dssm-restart-coordinator as it is delivered: a static link, which leaves out what nothing refers to."""

import subprocess

import pytest
from localcluster import binaries


def check(tmp_path, zone):
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"windows:\n  - {{cron: '0 2 * * *', duration: 2h, time-zone: {zone}}}\n")
    command = [binaries.ours("dssm-restart-coordinator"), "run", "--check", "--config", settings]
    return subprocess.run(command, capture_output=True, text=True, timeout=10)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_time_zones_are_known(tmp_path, zone):
    result = check(tmp_path, zone)
    assert result.returncode == 0, result.stderr


def test_an_unknown_time_zone_is_refused_with_its_line(tmp_path):
    result = check(tmp_path, "Mars/Olympus")
    assert result.returncode == 78
    assert "settings.yaml:2: time-zone: 'Mars/Olympus' is no time zone" in result.stderr
