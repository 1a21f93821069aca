"""Cores: stated numbers of threads, and the imports that Python lists."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fewshot.training import cores, devices


@pytest.mark.parametrize(
    ("variable", "n_cores", "n_threads"),
    [(None, 1, 1), (None, 2, 2), (None, 64, 2), ("1", 64, 1), ("3,1", 2, 3), ("many", 4, 2)],
)
def test_the_default_threads_are_two_unless_the_environment_names_a_number(
    monkeypatch: pytest.MonkeyPatch, variable: str | None, n_cores: int, n_threads: int
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if variable is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", variable)
    monkeypatch.setattr(cores, "n_cores", lambda: n_cores)
    assert cores.default_threads() == n_threads
    assert devices.resolve("cpu", "float32").threads == n_threads
    assert devices.resolve("cpu", "float32", threads=5).threads == 5


def test_the_process_that_shares_out_a_sweep_imports_no_torch_before_its_workers_start() -> None:
    code = "import sys, fewshot.studies.sweep; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["False"]
