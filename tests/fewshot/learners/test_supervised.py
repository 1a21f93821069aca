"""The supervised learner: states before and after a step, and predictions of a twin."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.evaluation import low_data
from fewshot.learners import scratch
from fewshot.learners.base import Task
from fewshot.training import optim
from tests.fewshot import easy
from tests.fewshot.learners.teachers import teachers


def test_a_frozen_backbone_of_scratch_works_in_evaluation_mode() -> None:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="resnet", options={"width": 8}))
        learner = scratch.Scratch.from_config(
            backbone, Task(easy.N_WAY), scratch.Options(dropout=0.5)
        )
    batch = easy.labelled(2, 0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optim.set_trainable(learner, "head")
    learner.train()
    assert learner.head[0].training
    assert not any(part.training for part in backbone.modules())
    learner.loss(batch).backward()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())
    optim.set_trainable(
        learner, 1
    )  # one stage trains: batch norm learns again, in the next phase of a training
    learner.train()
    assert all(part.training for part in learner.modules())
    learner.loss(batch)
    assert not torch.equal(
        before["body.stages.0.1.running_mean"], backbone.body.stages[0][1].running_mean
    )


def test_scratch_takes_the_body_alone_of_pretrained_weights(tmp_path: Path) -> None:
    backbone = backbones.from_file(Path(teachers(tmp_path)[0]))
    assert backbone.n_features == backbone.n_body_features + easy.N_WAY
    learner = scratch.Scratch.from_config(backbone, Task(easy.N_WAY), scratch.Options())
    assert learner.backbone.n_features == learner.head[-1].in_features == backbone.n_body_features
    assert not any("finish" in name for name in learner.state_dict())


def test_a_cosine_head_of_scratch_takes_no_hidden_layers() -> None:
    with pytest.raises(ValueError, match="no hidden layers"):
        scratch.Options(head="cosine", hidden=(8,))


def build_speed_cnn(**more) -> backbones.Backbone:
    with seeded(0, "test"):
        return backbones.build("speed-cnn", **more).eval()


def test_scratch_records_its_accuracy_with_and_without_views() -> None:
    images, labels = torch.rand(40, 3, 32, 32), torch.arange(40) % 10
    learner = scratch.Scratch.from_config(
        build_speed_cnn(views="flip-shift"), Task(10), scratch.Options()
    ).eval()
    plain = scratch.Scratch.from_config(build_speed_cnn(), Task(10), scratch.Options()).eval()
    plain.load_state_dict(learner.state_dict())
    assert plain.extra_metrics(Labelled(images, labels)) == {}
    result = low_data.extra_metrics(
        learner, [Labelled(images[:7], labels[:7]), Labelled(images[7:], labels[7:])]
    )
    with torch.no_grad():
        expected = (
            (plain.adapt(Labelled(images, labels))(images).argmax(1) == labels).double().mean()
        )
    assert result == {"accuracy_without_views": pytest.approx(float(expected))}
    assert learner.backbone.views == "flip-shift"
