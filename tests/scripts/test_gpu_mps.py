"""The use of MPS; oracle: a control program of the test, which writes down how it was called."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from scripts import gpu_mps

CONTROL = """#!/bin/sh
read line
echo "$* $line" >> {log}
test "$1" = -d && exit {exit_code}
exit 0
"""
VARIABLE = "CUDA_MPS_PIPE_DIRECTORY"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a control program that succeeds first on the path, and a client that needs no GPU."""
    install(tmp_path, exit_code=0)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(gpu_mps, "CLIENT", f"import os; os.environ['{VARIABLE}']")
    return tmp_path / "log.txt"


def install(folder: Path, exit_code: int) -> None:
    program = folder / gpu_mps.CONTROL
    program.write_text(CONTROL.format(log=folder / "log.txt", exit_code=exit_code))
    program.chmod(0o755)


def test_the_service_runs_inside_the_block_alone(log: Path) -> None:
    with gpu_mps.multi_process_service("cuda") as runs:
        assert runs
        folder = Path(os.environ[VARIABLE])
        assert folder.is_dir()
        assert log.read_text().split() == ["-d"]
    assert log.read_text().split() == ["-d", "quit", "-t", "2"]
    assert VARIABLE not in os.environ
    assert not folder.exists()


def test_it_ends_after_an_error(log: Path) -> None:
    with pytest.raises(RuntimeError), gpu_mps.multi_process_service("cuda:0"):
        raise RuntimeError
    assert log.read_text().split() == ["-d", "quit", "-t", "2"]


def test_a_service_that_does_not_start_is_not_used(log: Path) -> None:
    install(log.parent, exit_code=1)
    with gpu_mps.multi_process_service("cuda") as runs:
        assert not runs
        assert VARIABLE not in os.environ


def test_a_service_through_which_nothing_computes_is_stopped(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_mps, "CLIENT", "raise SystemExit(1)")
    with gpu_mps.multi_process_service("cuda") as runs:
        assert not runs
        assert log.read_text().split() == ["-d", "quit", "-t", "2"]
        assert VARIABLE not in os.environ
    assert log.read_text().split() == ["-d", "quit", "-t", "2"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_a_gpu_or_the_program_there_is_none(
    device: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if device == "cuda":
        monkeypatch.setattr(gpu_mps, "CONTROL", "no-such-program")
    with gpu_mps.multi_process_service(device) as runs:
        assert not runs
    assert not log.exists()
