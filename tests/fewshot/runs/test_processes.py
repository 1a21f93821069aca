"""Oracle: the same trials without other processes, compared byte by byte."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from fewshot.errors import ProcessLost
from fewshot.runs import experiment, processes
from fewshot.runs.resolve import resolve_run
from tests.fewshot.runs import pool_work
from tests.fewshot.runs.quick_runs import quick

TRAINED = ("predictions.npz", "model.safetensors")


def trial_files(out: Path, *options: str) -> dict[str, bytes]:
    """Train twice in a process of its own; return the weights and logits of both trials."""
    command = [
        sys.executable, "-m", "fewshot", "run", "--method", "scratch", "--shots", "8", "--data",
        "digits", "--seeds", "2", "--set", "backbone.options={width: 16}", "--set",
        "train.steps=20", "--out", str(out), "--quiet", *options,
    ]  # fmt: skip
    environment = {key: text for key, text in os.environ.items() if key != "OMP_NUM_THREADS"}
    subprocess.run(command, env=environment, capture_output=True, check=True)
    files = [path for name in TRAINED for path in out.glob(f"*/trial-*/{name}")]
    assert len(files) == 4
    return {"/".join(path.parts[-2:]): path.read_bytes() for path in files}


def test_what_a_worker_does_does_not_change_a_single_bit(tmp_path: Path) -> None:
    values = quick("scratch", shots=2, train={"steps": 3, "batch_size": 8})
    record = experiment.run(values, [1], out=tmp_path / "a", device="cpu", threads=1)
    run = resolve_run(values, tmp_path / "b", "cpu", threads=1)
    settings = run.config.model_dump(mode="json")
    processes._run_in_this_process(settings, 1, tmp_path / "b", run.compute, False)
    for name in TRAINED:
        place = Path(record.run_id) / "trial-1" / name
        assert (tmp_path / "a" / place).read_bytes() == (tmp_path / "b" / place).read_bytes()


def test_a_killed_process_is_a_sentence_and_ends_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SAVING_SECONDS", 1.0)
    monkeypatch.setattr(processes, "follow_parent", pool_work.no_setup)
    monkeypatch.setattr(processes, "_run_in_this_process", pool_work.trial)
    run = Mock(folder=tmp_path / "run", compute=None)
    run.config.model_dump.return_value = {}
    with pytest.raises(ProcessLost, match="resumes"):
        processes.run_trials(run, [0, 1], workers=2, force=False)
    assert (tmp_path / "saved").exists()  # the other process had time to save
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_workers_do_not_change_a_single_bit(tmp_path: Path) -> None:
    alone = trial_files(tmp_path / "a", "--workers", "1")
    together = trial_files(tmp_path / "b", "--workers", "2")
    assert together == alone
