"""Ids of runs change where results do. Oracle: an id changes with a version that it contains."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from episodes.types import TrainTest
from fewshot.config import Train
from fewshot.runs import run_ids, run_settings
from tests.fewshot import easy

FINETUNE = {"method": "finetune", "shots": 4, "backbone": {"name": "conv4", "weights": "none"}}
COSINE = {"head": "cosine", "start": "prototypes", "probe_share": 0.0}
UNEQUAL = {"class_shots": {"class-0": 2}}


def run_id(clusters: bool = False, **settings: Any) -> str:
    images = easy.images(8, seed=0)
    classes = tuple(f"class-{number}" for number in range(len(images.classes)))
    train = replace(images, classes=classes)
    if clusters:
        train = replace(train, clusters=torch.arange(len(train)) // 2)
    data = TrainTest(train, replace(easy.images(2, seed=1), classes=classes))
    config = run_settings.configure({**FINETUNE, **settings}, "few")
    return run_ids.run_id(config, data, ())


@pytest.mark.parametrize(
    ("settings", "differs"), [({}, False), (UNEQUAL, True), ({"clusters": True}, True)]
)
def test_two_priors_have_two_ids_where_classes_or_folds_have_unequal_numbers(
    settings: dict[str, Any], differs: bool
) -> None:
    ids = {run_id(prior=prior, **settings) for prior in ("balanced", "training")}
    assert len(ids) == 1 + differs


@pytest.mark.parametrize("select", ["start", "support_cv", "support_cv_ends", "last"])
@pytest.mark.parametrize("learner", [COSINE, {"head": "unit", "start": "probe"}])
@pytest.mark.parametrize("more", [{}, UNEQUAL, {"clusters": True}])
def test_the_prior_of_an_untrained_head_has_a_version(
    monkeypatch: pytest.MonkeyPatch, select: str, learner: dict[str, Any], more: dict[str, Any]
) -> None:
    settings = {"select": select, "learner": learner, **more}
    before = run_id(**settings)
    monkeypatch.setattr(run_ids, "UNTRAINED_PRIOR_VERSION", 99)
    may_stay_unfitted = learner is COSINE and select != "last"
    assert (run_id(**settings) != before) == (may_stay_unfitted and bool(more))


@pytest.mark.parametrize(("c", "changes"), [(2.0, False), ([2.0], False), ([0.1, 1.0], True)])
def test_the_choice_of_the_regularisation_has_a_version_where_there_are_several_values(
    monkeypatch: pytest.MonkeyPatch, c: float | list[float], changes: bool
) -> None:
    settings = {"method": "probe", "learner": {"c": c}}
    before = run_id(**settings)
    monkeypatch.setattr(run_ids, "REGULARISATION_VERSION", 99)
    assert (run_id(**settings) != before) == changes


@pytest.mark.parametrize(
    ("stopping", "changes"),
    [
        (None, False),
        ({"patience": 2, "monitor": "loss"}, False),
        ({"patience": 2, "monitor": "accuracy"}, True),
        ({"patience": 2, "monitor": "loss", "least_gain": 0.1}, True),
    ],
)
def test_the_choice_by_loss_has_a_version_where_early_stopping_affects_it(
    stopping: dict[str, Any] | None, changes: bool
) -> None:
    train = Train.model_validate({"steps": 5, "lr": 0.1, "early_stopping": stopping})
    assert bool(run_ids.choice_version(train, "loss")) == changes
