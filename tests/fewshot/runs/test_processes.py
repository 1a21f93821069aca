"""Oracle: the same trials without other processes, compared byte by byte."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def test_workers_do_not_change_a_single_bit(tmp_path: Path) -> None:
    alone = trial_files(tmp_path / "a", "--workers", "1")
    together = trial_files(tmp_path / "b", "--workers", "2")
    assert together == alone
