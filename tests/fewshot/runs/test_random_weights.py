"""Oracle: a training of one step, which changes the weights of some stages and not of others."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any

import pytest
import torch

from episodes.types import Labelled
from fewshot.backbones import build
from fewshot.config import BackboneSettings, MethodConfig, Train
from fewshot.learners.supervised import Supervised
from fewshot.runs import random_weights
from fewshot.training import optim

CONV4 = {"name": "conv4", "options": {"width": 4}}


def settings_of(train: dict[str, Any] | None, **backbone: Any) -> MethodConfig:
    network = BackboneSettings.model_validate({**CONV4, **backbone})
    section = None if train is None else Train.model_validate({"steps": 1, **train})
    return MethodConfig(method="scratch", backbone=network, train=section)


@pytest.mark.parametrize(
    "train",
    [
        {},
        {"phases": [{"trainable": "head"}]},
        {"phases": [{"trainable": 1}]},
        {"phases": [{"trainable": "head", "share": 0.5}, {"trainable": 2, "share": 0.5}]},
        {"phases": [{"trainable": "head", "share": 0.5}, {"trainable": "all", "share": 0.5}]},
        {"lr_multipliers": {"backbone": 0}},
        {"lr_multipliers": {"backbone.body.stages.0": 0.0}},
    ],
)
def test_the_stages_that_a_training_leaves_as_they_are(train: dict[str, Any]) -> None:
    settings = settings_of(train)
    assert settings.train is not None
    learner = Supervised(build(settings.backbone), 2)
    before = deepcopy(learner.state_dict())
    images = torch.rand(6, 3, 32, 32)
    for phase in settings.train.phases:
        optim.set_trainable(learner, phase.trainable)
        optimizer = optim.optimizer(learner, settings.train, 0.1)
        learner.loss(Labelled(images, torch.arange(6) % 2)).backward()
        optimizer.step()
        optimizer.zero_grad()
    changed = {name for name, value in learner.named_parameters() if (value != before[name]).any()}
    same = 0
    for stage in learner.backbone.stages:
        same += not any(f"backbone.{name}" in changed for name in stage)
    remark = random_weights.remark(settings, learner.backbone, learner)
    if same == 0:
        assert remark is None
        return
    stages = len(learner.backbone.stages)
    pattern = "backbone 'conv4' has random" if same == stages else f"{same} of the {stages} stages"
    assert re.match(pattern, str(remark))


def test_a_network_that_nothing_trained_has_a_remark_with_the_remedy() -> None:
    for network, remedy in {
        "conv4": "it has no pretrained ones",
        "mini-resnet": "use --weights pretrained",
        "resnet18": "use --weights pretrained",
        "test_vit": "use --weights pretrained",
        "resnet200": "it has no pretrained ones",
    }.items():
        settings = settings_of(None, name=network, options={})
        remark = random_weights.remark(settings, build("conv4"), None)
        assert remark is not None
        assert remark.startswith(f"backbone '{network}' has random weights")
        assert remedy in remark


def test_loaded_weights_have_no_remark() -> None:
    for weights in ("pretrained", "mine.safetensors"):
        assert (
            random_weights.remark(settings_of(None, weights=weights), build("conv4"), None) is None
        )
