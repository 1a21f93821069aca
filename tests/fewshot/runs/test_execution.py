"""Interrupted, parallel and failed runs against undisturbed ones."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from episodes.errors import UserError
from fewshot import distributed
from fewshot.report import frames
from fewshot.runs import execution, experiment, processes, records, resolve, voting
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial import run_trial
from fewshot.training import cores
from tests.fewshot.runs.quick_runs import quick, without_times


def threads_of(out: Path, record: RunRecord) -> dict[int | None, int]:
    """Return seed -> the threads that its trial.json states."""
    files = [
        records.trial_folder(out / record.run_id, seed) / "trial.json" for seed in record.seeds
    ]
    trials = [json.loads(file.read_text()) for file in files]
    return {trial["seed"]: trial["provenance"]["compute"]["threads"] for trial in trials}


def test_a_run_keeps_its_threads_and_refuses_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "n_cores", lambda: 8)
    values = quick("scratch")
    experiment.run(values, [0], out=tmp_path, threads=1)
    resumed = experiment.run(values, [0, 1], out=tmp_path, workers=None)
    assert threads_of(tmp_path, resumed) == {0: 1, 1: 1}
    assert experiment.run(values, [0, 1], out=tmp_path, threads=1) == resumed
    with pytest.raises(UserError, match=r"--threads 1.*leave out --threads 2, name another --out"):
        experiment.run(values, [0, 1], out=tmp_path, threads=2)
    forced = experiment.run(values, [0, 1], out=tmp_path, force=True)
    assert threads_of(tmp_path, forced) == {0: 2, 1: 2}


def test_networks_of_different_sizes_are_compared_on_the_same_photos(tmp_path: Path) -> None:
    """The images are decoded at two sizes, the records are of one data set, and they vote."""
    for number in range(12):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        level = 40 + 150 * (number % 2)
        Image.new("RGB", (120 + number, 110), (level, number, 0)).save(place / f"{number}.png")
    runs = []
    for side in (32, 96):
        backbone = {"name": "conv4", "options": {"width": 4}, "input_size": side}
        values = quick("probe", data=str(tmp_path / "photos"), backbone=backbone, test=0.34)
        runs.append(experiment.run(values, [0, 1], out=tmp_path / "runs"))
    first, second = runs
    assert first.run_id != second.run_id
    assert first.provenance.data_fingerprint == second.provenance.data_fingerprint
    assert "at 64x64 pixels" in " ".join(first.data_notes)
    assert "at 96x96 pixels" in " ".join(second.data_notes)
    assert len(frames.compare(first, second)) == 2
    (vote,) = voting.vote([tmp_path / "runs"], out=tmp_path / "votes")
    assert vote.members is not None
    assert len(vote.members) == 2


@pytest.mark.parametrize(
    ("method", "n_trials", "seconds", "n_workers", "is_mentioned"),
    [
        ("scratch", 1, 0.0, None, True),
        ("scratch", 6, 0.0, 4, False),
        ("scratch", 3, 0.0, 2, False),  # the first has shown that they are long
        ("scratch", 3, 1e6, None, False),
        ("probe", 2, 1e6, None, False),
    ],
)
def test_as_many_long_trials_at_once_as_the_cores_take(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    method: str,
    n_trials: int,
    seconds: float,
    n_workers: int | None,
    is_mentioned: bool,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(cores, "n_cores", lambda: 8)
    monkeypatch.setattr(execution, "LONG_TRIALS", seconds)
    execution._mention_once.cache_clear()
    asked: list[int] = []

    def in_processes(run: resolve.ResolvedRun, seeds: list[int], workers: int, force: bool) -> None:
        asked.append(workers)
        for seed in seeds:
            run_trial(run, seed, force=force)

    monkeypatch.setattr(processes, "run_trials", in_processes)
    with caplog.at_level("INFO", logger="fewshot"):
        experiment.run(quick(method), range(n_trials), out=tmp_path, workers=None)
    assert asked == ([] if n_workers is None else [n_workers])
    assert ("2 of 8 cores will be busy: --threads 8" in caplog.text) == is_mentioned


LONG = [
    sys.executable, "-m", "fewshot", "run", "--method", "scratch", "--shots", "16", "--data",
    "digits", "--seeds", "2", "--set", "backbone.options={width: 16}", "--set", "train.steps=600",
    "--set", "train.log_every_epochs=5", "--set", "train.ema_decay=0.99",
    "--set", "learner.dropout=0.2", "--json",
]  # fmt: skip


def test_several_processes_refuse_a_training_on_base_classes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 waited for the others, and they for its lock on the weights."""
    values = quick("baseline", train={"steps": 2, "batch_size": 16, "base": "digits"})
    run = resolve.resolve_run(values, tmp_path, "cpu")
    monkeypatch.setattr(distributed, "world", lambda: 2)
    with pytest.raises(UserError, match=r"train.base names other images: remove train.base"):
        execution._check_shared_training(run, workers=1)


EAGER = "import fewshot.training.trainer as t; t.CHECKPOINT_SECONDS = 0.2"


def long_run(out: Path, *options: str) -> subprocess.Popen[str]:
    """Start the command with checkpoints five times a second instead of four a minute."""
    arguments = ["fewshot", *LONG[3:], "--out", str(out), *options]
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


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_run_that_resumes(tmp_path: Path, workers: int) -> None:
    process = long_run(tmp_path, "--workers", str(workers))
    checkpointed(tmp_path, process, 0.5)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    (folder,) = tmp_path.iterdir()
    checkpoints = list(folder.glob("trial-*/checkpoint.pt"))
    assert checkpoints
    for checkpoint in checkpoints:
        state = torch.load(checkpoint, weights_only=True)
        assert 0 < state["progress"]["step"] < 600
    assert not (folder / "record.json").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="/proc lists the children")
def test_trials_end_with_a_killed_command(tmp_path: Path) -> None:
    process = long_run(tmp_path, "--workers", "2")
    checkpointed(tmp_path, process, 0.0)
    pids = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(pids) >= 2
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 30
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def test_a_trial_that_was_killed_while_it_tidied_up_is_tidied_up(tmp_path: Path) -> None:
    record = experiment.run(quick("probe"), [0], out=tmp_path)
    folder = tmp_path / record.run_id / "trial-0"
    whole = sorted(path.name for path in folder.iterdir())
    (folder / "checkpoint.pt").touch()
    (folder / "fold-calibration").mkdir()
    (folder / "fold-calibration" / "checkpoint.pt").touch()
    experiment.run(quick("probe"), [0, 1], out=tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == whole


def test_nothing_is_half_written_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = experiment.run(quick("probe"), [0], out=tmp_path)
    folder = tmp_path / record.run_id
    before = (folder / "record.json").read_bytes()

    replace = os.replace

    def full(source: str, target: Path) -> None:
        if target.name == "record.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", full)
        with pytest.raises(
            UserError, match=r"record\.json could not be written \(No space left on device\)"
        ):
            experiment.run(quick("probe"), [0, 1], out=tmp_path)
    assert (folder / "record.json").read_bytes() == before
    assert not list(folder.rglob("*.part"))
    assert experiment.run(quick("probe"), [0, 1], out=tmp_path).seeds == [0, 1]
