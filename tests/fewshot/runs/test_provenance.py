"""Oracles: git itself, the versions that the packages state, and the memory of a known array."""

import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

import fewshot
from fewshot.runs import provenance
from fewshot.training import devices

ROOT = Path(fewshot.__file__).parents[1]


@pytest.fixture(autouse=True)
def no_cache() -> Iterator[None]:
    """Look everything up anew, and leave no state of this test behind."""
    provenance.source.cache_clear()
    yield
    provenance.source.cache_clear()


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_the_commit_is_that_of_git():
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    commit = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    assert provenance.source().commit == commit
    assert provenance.source().dirty in (True, False)


def test_an_installed_package_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    module = tmp_path / "site-packages" / "fewshot" / "runs" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(module))
    assert provenance.source() == provenance.Source(None, None)


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "fewshot" / "runs" / "a.py"))
    monkeypatch.setenv("PATH", "")
    assert provenance.source() == provenance.Source(None, None)


def test_versions_are_those_that_the_packages_state():
    versions = provenance.versions()
    assert versions["python"] == platform.python_version()
    assert versions["numpy"] == np.__version__
    assert versions["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert provenance._version("no-such-package") == "not installed"


def test_a_result_states_when_and_on_what_it_was_computed():
    started = datetime.now(UTC) - timedelta(hours=1)
    compute = devices.Compute("cpu", "float32", channels_last=False, threads=2)
    result = provenance.of_result(started, "a processor", compute)
    assert result.device == "a processor"
    assert result.compute == {
        "device": "cpu",
        "precision": "float32",
        "channels_last": False,
        "threads": 2,
        "processes": 1,
    }
    assert datetime.fromisoformat(result.started) == started.replace(microsecond=0)
    elapsed = datetime.fromisoformat(result.finished) - datetime.fromisoformat(result.started)
    assert timedelta(minutes=59) < elapsed < timedelta(minutes=61)
    assert provenance.of_result(started, "a processor").compute is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of this process from /proc")
def test_peak_memory_is_at_least_what_the_process_uses_now():
    lines = Path("/proc/self/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    peak = provenance.peak_memory_mb("cpu")
    assert peak >= 0.95 * resident / 1024
    assert peak < 100_000
