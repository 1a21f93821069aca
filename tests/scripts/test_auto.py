"""Oracle: means and differences of accuracies that are written here by hand."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from fewshot import io
from scripts import auto
from scripts.auto import Task, Trial


def trial(seed: int, chosen: str, estimate: float, **accuracies: float) -> Trial:
    candidates = [auto.Tested(name, 0.5, 0.5, value) for name, value in accuracies.items()]
    return Trial(seed, 100, chosen, estimate, 1.0, candidates)


def test_the_choice_is_compared_with_the_default_and_with_the_best(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(auto, "FOLDER", tmp_path)
    task = Task("some", 4)
    monkeypatch.setattr(auto, "TASKS", (task, Task("other", 4)))
    trials = [
        trial(0, "b", 0.72, a=0.60, b=0.70, c=0.74),
        trial(1, "c", 0.70, a=0.60, b=0.80, c=0.70),
    ]
    io.write_json(task.path, [asdict(one) for one in trials])
    assert auto.read(task) == trials
    assert auto.best_candidate(trials) == "b"
    row, not_run = auto.choices().splitlines()[2:]
    assert "| 0.700 (2) | +0.100 ± 0.000 | -0.050 ± " in row
    assert "| -0.070 | +0.010 ± " in row
    assert "| b | b (1), c (1) |" in row
    assert "not run" in not_run
    assert "| b | 0.750 |  |" in auto.accuracies()


def test_names_are_shortened() -> None:
    name = "ridge regression (c = 10) on mini-resnet+tf_efficientnet_lite2+tf_efficientnet_lite2"
    assert auto.short(name) == "ridge (c = 10) on three networks"
    assert auto.short("training conv4 from random weights, 100 steps") == "training conv4"
