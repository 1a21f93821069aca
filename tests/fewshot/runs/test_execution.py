"""Interrupted, parallel and failed runs against undisturbed ones."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from episodes.errors import UserError
from fewshot.runs import experiment
from fewshot.runs.run_record import RunRecord
from tests.fewshot.runs.quick_runs import quick, without_times


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread, since the last bits of sums depend on the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_trials_in_processes_are_the_same_trials(tmp_path: Path, one_thread: None) -> None:
    alone = experiment.run(quick("protonet"), [0, 1], out=tmp_path / "a")
    together = experiment.run(quick("protonet"), [0, 1], out=tmp_path / "b", workers=2)
    assert without_times(together) == without_times(alone)


LONG = [
    sys.executable, "-m", "fewshot", "run", "--method", "scratch", "--shots", "16", "--data",
    "digits", "--seeds", "2", "--set", "backbone.options={width: 16}", "--set", "train.steps=600",
    "--set", "train.log_every_epochs=5", "--set", "train.ema_decay=0.99",
    "--set", "learner.dropout=0.2", "--json",
]  # fmt: skip


EAGER = "import fewshot.training.trainer as t; t.CHECKPOINT_SECONDS = 0.2"


def long_run(out: Path) -> subprocess.Popen[str]:
    """The command with checkpoints five times a second instead of four a minute."""
    arguments = ["fewshot", *LONG[3:], "--out", str(out)]
    code = (
        f"{EAGER}\nimport sys; sys.argv = {arguments!r}\nfrom fewshot.cli.main import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finished(out: Path) -> dict:
    process = long_run(out)
    printed, stderr = process.communicate()
    assert process.returncode == 0, stderr
    return without_times(RunRecord.from_json(json.loads(printed)))


def checkpointed(out: Path, process: subprocess.Popen[str], seconds: float) -> None:
    """Wait for the first checkpoint, and then for some seconds."""
    while not list(out.glob("*/trial-0/checkpoint.pt")):
        assert process.poll() is None
        time.sleep(0.02)
    time.sleep(seconds)


@pytest.mark.slow
def test_killed_five_times_at_random_a_run_ends_the_same(tmp_path: Path) -> None:
    undisturbed = finished(tmp_path / "a")
    luck = random.Random(0)
    for _ in range(5):
        process = long_run(tmp_path / "b")
        checkpointed(tmp_path / "b", process, luck.uniform(0.2, 3.0))
        process.kill()
        process.communicate()
    assert finished(tmp_path / "b") == undisturbed


def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path) -> None:
    process = long_run(tmp_path)
    checkpointed(tmp_path, process, 0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    (folder,) = tmp_path.iterdir()
    state = torch.load(folder / "trial-0" / "checkpoint.pt", weights_only=True)
    assert 0 < state["progress"]["step"] < 600
    assert not (folder / "record.json").exists()


def test_nothing_is_half_written_on_a_full_disk(tmp_path: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here to stand for a full disk")
    record = experiment.run(quick("probe"), [0], out=tmp_path)
    folder = tmp_path / record.run_id
    before = (folder / "record.json").read_bytes()
    (folder / f"record.json.{os.getpid()}.part").symlink_to("/dev/full")
    with pytest.raises(
        UserError, match=r"record\.json could not be written \(No space left on device\)"
    ):
        experiment.run(quick("probe"), [0, 1], out=tmp_path)
    assert (folder / "record.json").read_bytes() == before
    assert not list(folder.rglob("*.part"))
    assert experiment.run(quick("probe"), [0, 1], out=tmp_path).seeds == [0, 1]
