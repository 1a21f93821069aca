"""One training in two processes, started by torchrun and talking through gloo, beside the same in one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

SETTINGS = [
    "--method", "scratch", "--data", "digits", "--shots", "8", "--seeds", "1", "--backbone", "conv4",
    "--set", "backbone.options={width: 8, norm: group}", "--set", "precision=float32", "--set", "train.steps=12",
    "--set", "train.batch_size=16", "--set", "train.optimizer={name: sgd}", "--set", "train.lr=0.05",
    "--set", "validation.share=0.25", "--set", "select=holdout", "--set", "learner.recall=0.5",
]  # fmt: skip
STILL = ["--set", "augment=[]"]  # or each process draws its own augmentation, and results differ
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def started(launch: list[str], *words: str, out: Path) -> subprocess.CompletedProcess[str]:
    """`fewshot run` in processes of one thread each."""
    command = [
        sys.executable,
        *launch,
        "-m",
        "fewshot",
        "run",
        *SETTINGS,
        *words,
        "--out",
        str(out),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, timeout=300, check=False
    )


def found(out: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    (path,) = out.glob("*/record.json")
    return json.loads(path.read_text()), load_file(path.parent / "trial-0" / "model.safetensors")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str, str]:
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    alone = started([], *STILL, out=one)
    assert alone.returncode == 0, alone.stderr
    together = started(TORCHRUN, *STILL, out=two)
    assert together.returncode == 0, together.stderr
    return one, two, alone.stdout, together.stdout


def test_two_processes_train_as_one_does(both: tuple[Path, Path, str, str]) -> None:
    (alone, weights), (together, others) = found(both[0]), found(both[1])
    for name, each in weights.items():
        torch.testing.assert_close(others[name], each, rtol=1e-3, atol=1e-5)
    assert not any("past" in name for name in weights)
    assert together["run_id"] == alone["run_id"]
    assert together["scores"]["accuracy"] == alone["scores"]["accuracy"]
    assert together["validation"]["loss"]["mean"] == pytest.approx(
        alone["validation"]["loss"]["mean"], rel=1e-3
    )


def test_the_first_process_speaks_and_writes_for_both(both: tuple[Path, Path, str, str]) -> None:
    one, two, alone, together = both
    assert together.count("scratch") == alone.count("scratch") == 1
    files = [
        sorted(path.name for path in out.glob("*/**/*") if path.is_file()) for out in (one, two)
    ]
    assert files[0] == files[1]
    logged = [
        (out / "trial-0" / "metrics.jsonl").read_text().splitlines()
        for out in (*one.iterdir(), *two.iterdir())
    ]
    assert len(logged[0]) == len(logged[1]) > 2


def test_a_run_of_two_processes_is_not_continued_by_one(both: tuple[Path, Path, str, str]) -> None:
    done = started([], *STILL, "--seeds", "2", out=both[1])
    assert done.returncode == 2
    assert "was computed by 2 processes at once, and now there is 1" in done.stderr


def test_what_processes_cannot_share_is_told_once(tmp_path: Path) -> None:
    done = started(TORCHRUN, "--set", "select=support_cv", "--set", "validation=null", out=tmp_path)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("fewshot: ")]
    assert len(lines) == 1, done.stderr
    assert "use --set select=last" in lines[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_together_they_stop_and_continue(both: tuple[Path, Path, str, str], tmp_path: Path) -> None:
    """Both leave at the same step when they are told to, and the same command ends as it would have undisturbed."""
    more = [*STILL, "--set", "train.steps=3000", "--set", "train.log_every_epochs=100"]
    command = [
        sys.executable,
        *TORCHRUN,
        "-m",
        "fewshot",
        "run",
        *SETTINGS,
        *more,
        "--out",
        str(tmp_path),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("*/trial-0/metrics.jsonl")):
        time.sleep(0.1)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=120)
    assert list(tmp_path.glob("*/trial-0/checkpoint.pt"))
    done = started(TORCHRUN, *more, out=tmp_path)
    assert done.returncode == 0, done.stderr
    whole = started(TORCHRUN, *more, out=tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    (_, weights), (_, undisturbed) = found(tmp_path), found(tmp_path / "whole")
    assert all(torch.equal(weights[name], undisturbed[name]) for name in weights)
