"""Checks before the work: each wrong request, and the sentence that it gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fewshot.errors import UserError
from fewshot.runs.episodic import learner_checks
from fewshot.runs.episodic.resolve import Sources, resolve
from tests.fewshot.runs.episodic.quick import SPLIT, TRAIN, quick

EPISODES = {"episode_ways": 5, "episode_shots": 2, "episode_queries": 2}


def check(colours: Path, out: Path, method: str = "protonet", **more: Any) -> None:
    values = quick(method, colours, **{"split": SPLIT, "train": TRAIN, **more})
    learner_checks.check(resolve(values, out, "cpu", sources=Sources()))


def test_a_right_request_passes(colours: Path, tmp_path: Path):
    check(colours, tmp_path, learner=EPISODES)
    check(colours, tmp_path, "baseline")
    check(colours, tmp_path, "lda", train=None)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"learner": {**EPISODES, "episode_ways": 6}}, "has 6 classes, and colours has 5 base"),
        ({"learner": EPISODES, "augment": ["mixup"]}, "mixes labels"),
        ({"train": {**TRAIN, "within_superclass": 0.5}}, "colours has none: name them in groups"),
        ({"learner": EPISODES, "split": "seed:0:5/3/2", "tasks": {"ways": 2}}, "select=last"),
    ],
)
def test_a_wrong_training_is_explained(
    colours: Path, tmp_path: Path, more: dict[str, Any], words: str
):
    with pytest.raises(UserError, match=words):
        check(colours, tmp_path, **more)
