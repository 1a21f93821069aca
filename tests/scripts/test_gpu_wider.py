"""The wider pretraining; oracles: epochs by hand, the command line that a command is for."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fewshot.cli import arguments
from scripts import gpu_wider


def test_the_epochs_fill_the_time_once_and_stay_in_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed: list[float] = []

    def run(values: dict[str, Any], *_: Any, **__: Any) -> SimpleNamespace:
        timed.append(values["train"]["epochs"])
        return SimpleNamespace(cost=SimpleNamespace(train_seconds=5 * values["train"]["epochs"]))

    monkeypatch.setattr(gpu_wider.experiment, "run", run)
    for seconds in (101.0, 10.0):
        deadline = time.monotonic() + seconds
        epochs = gpu_wider._planned_epochs({"data": "digits"}, tmp_path, "cpu", deadline)
        assert epochs == 15  # of five seconds, in three quarters of the time
    assert timed == [gpu_wider.WARM_UP_EPOCHS, gpu_wider.TIMED_EPOCHS]


def test_the_epochs_are_at_most_those_of_the_preset_and_at_least_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cost = SimpleNamespace(train_seconds=1.0)
    monkeypatch.setattr(gpu_wider.experiment, "run", lambda *_, **__: SimpleNamespace(cost=cost))
    for folder, seconds, expected in (("long", 1e6, gpu_wider.MOST_EPOCHS), ("short", 0.0, 1.0)):
        (tmp_path / folder).mkdir()
        deadline = time.monotonic() + seconds
        assert gpu_wider._planned_epochs({}, tmp_path / folder, "cpu", deadline) == expected


def test_the_command_on_the_card_asks_for_what_ran() -> None:
    values = {
        "data": "tinyimagenet32",
        "backbone": {"name": "mini-resnet", "options": {"widths": [8, 16]}},
        "learner": {"teachers": ["/some/where/weights.safetensors"]},
        "train": {"epochs": 3.0},
    }
    words = shlex.split(gpu_wider._command(values))
    assert words[:2] == ["fewshot", "pretrain"]
    sets = [words[number + 1] for number, word in enumerate(words) if word == "--set"]
    (data, backbone) = (words[words.index(flag) + 1] for flag in ("--data", "--backbone"))
    asked, _ = arguments.pretraining(None, sets, data=data, backbone=backbone, epochs=None, seed=0)
    values["learner"] = {"teachers": ["weights.safetensors"]}
    assert asked == values
