"""A saved run of two short trials, and what it predicts according to slow loops."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np


def copied(run: Path, to: Path) -> Path:
    return Path(shutil.copytree(run, to / run.name))


def saved(run: Path, seed: int, calibrated: bool = False) -> tuple[list[list[float]], list[int]]:
    """Return probabilities and labels of a trial, computed one image at a time."""
    with np.load(run / f"trial-{seed}" / "predictions.npz") as arrays:
        logits, labels = arrays["test_logits"].tolist(), arrays["test_labels"].tolist()
        temperature = float(arrays["temperature"]) if calibrated else 1.0
    probabilities = []
    for row in logits:
        powers = [math.exp((logit - max(row)) / temperature) for logit in row]
        probabilities.append([power / sum(powers) for power in powers])
    return probabilities, labels


def counted(run: Path) -> list[list[int]]:
    counts = [[0] * 10 for _ in range(10)]
    for seed in (0, 3):
        for row, label in zip(*saved(run, seed), strict=True):
            counts[label][row.index(max(row))] += 1
    return counts
