"""The stream that a training feeds on. Oracle: augmentation that leaves images black."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from episodes import streams
from episodes.types import Episode, Pairs
from fewshot.config import Train
from fewshot.runs import run_settings, training_stream
from tests.fewshot import easy

METHODS = {"scratch": "batches", "protonet": "episodes", "siamese": "pairs"}


def seen(item) -> torch.Tensor:
    if isinstance(item, Episode):
        return torch.cat([item.support.images, item.query.images])
    return torch.cat([item.left, item.right]) if isinstance(item, Pairs) else item.images


@pytest.mark.parametrize("tasks", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_a_step_of_augment_is_done_until_its_share_of_the_training(method: str, tasks: int) -> None:
    settings = run_settings.configure(
        {
            "method": method,
            "shots": 8,
            "augment": [{"name": "cutout", "size": 64, "until": 0.4}],
            "train": {"steps": 10, "tasks_per_step": tasks, "phases": [{"trainable": "all"}]},
            "select": "last",
            "validation": None,
        },
        "few",
    )
    images = easy.images(8, seed=0)
    pool = streams.pool(images, torch.arange(len(images)), "cpu")
    learner = easy.Stub()
    learner.feed = METHODS[method]
    assert settings.train is not None
    stream, _ = training_stream.of_pool(
        settings.train, settings.augment, learner, pool, easy.N_WAY, seed=0
    )
    black = [not seen(stream(item)).any() for item in range(10 * tasks)]
    assert black == [True] * 4 * tasks + [False] * 6 * tasks


@pytest.mark.parametrize("method", ["protonet", "siamese"])
def test_items_are_within_a_superclass_where_the_setting_asks_for_it(method: str) -> None:
    names = tuple("abcdef")
    images = replace(easy.images(8, seed=0), labels=torch.arange(16) % 6, classes=names)
    train = Train(steps=9, batch_size=8, within_superclass=1.0)
    learner = easy.Stub()
    learner.feed, learner.episode_shots, learner.episode_queries = METHODS[method], 1, 1
    grouped = replace(images, groups={"first": names[:3], "last": names[3:]})
    pool = streams.pool(grouped, torch.arange(16), "cpu")
    stream, _ = training_stream.of_pool(train, [], learner, pool, 3, seed=0)
    sides = [(stream(item).classes < 3).unique().tolist() for item in range(9)]
    assert {tuple(side) for side in sides} == {(True,), (False,)}
