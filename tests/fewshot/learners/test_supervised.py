"""Oracles: torch's own cross-entropy, and the states of the modules before and after."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from fewshot import backbones
from fewshot.heads.trainable import CosineHead
from fewshot.learners.supervised import Options, Supervised
from fewshot.training import optim
from tests.fewshot import easy
from tests.fewshot.learners.small import network
from tests.fewshot.learners.teachers import write_teachers


def test_the_loss_is_the_cross_entropy_of_the_head() -> None:
    learner, batch = Supervised(network(), easy.N_WAY), easy.labelled(2, 0)
    logits = learner.head(learner.backbone(batch.images))
    expected = nn.functional.cross_entropy(logits, batch.labels)
    torch.testing.assert_close(learner.loss(batch), expected)


def test_the_trained_head_classifies_whatever_the_support_is() -> None:
    learner, batch = Supervised(network(), easy.N_WAY).eval(), easy.labelled(2, 0)
    with torch.no_grad():
        first = learner.adapt(batch)(batch.images)
        second = learner.adapt(easy.labelled(1, 5))(batch.images)
    assert torch.equal(first, second)


def test_the_kind_of_head_is_a_setting() -> None:
    assert isinstance(Supervised(network(), 4, head="cosine").head, CosineHead)
    head = Supervised(network(), 4, hidden=(6,)).head
    assert [layer.out_features for layer in head if isinstance(layer, nn.Linear)] == [6, 4]
    with pytest.raises(ValueError, match="no hidden layers"):
        Options(head="cosine", hidden=(8,))


def test_a_frozen_backbone_works_in_evaluation_mode() -> None:
    learner, batch = Supervised(network("resnet", width=8), 4, dropout=0.5), easy.labelled(2, 0)
    backbone = learner.backbone
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    optim.set_trainable(learner, "head")
    learner.train()
    assert learner.head[0].training
    assert not any(module.training for module in backbone.modules())
    learner.loss(batch).backward()
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_batch_norm_learns_again_if_one_stage_trains() -> None:
    learner = Supervised(network("resnet", width=8), 4)
    statistics = learner.backbone.body.stages[0][1].running_mean
    before = statistics.clone()
    optim.set_trainable(learner, 1)
    learner.train()
    assert all(module.training for module in learner.modules())
    learner.loss(easy.labelled(2, 0))
    assert not torch.equal(before, statistics)


def test_held_batch_norm_computes_as_in_evaluation_while_the_weights_train() -> None:
    learner, batch = (
        Supervised(network("resnet", width=8), 4, batch_norm="held"),
        easy.labelled(2, 0),
    )
    statistics = learner.backbone.body.stages[0][1].running_mean
    with torch.no_grad():
        expected = learner.eval().loss(batch)
    before = statistics.clone()
    loss = learner.train().loss(batch)
    torch.testing.assert_close(loss, expected)
    assert torch.equal(before, statistics)
    loss.backward()
    assert all(parameter.grad is not None for parameter in learner.parameters())


def test_the_map_that_pretraining_fitted_to_the_features_is_removed(tmp_path: Path) -> None:
    backbone = backbones.from_file(Path(write_teachers(tmp_path)[0]))
    assert backbone.n_features == backbone.n_body_features + easy.N_WAY
    learner = Supervised(backbone, easy.N_WAY)
    assert learner.backbone.n_features == learner.head[-1].in_features == backbone.n_body_features
    assert not any("finish" in name for name in learner.state_dict())


def test_accuracy_without_views_is_measured_only_if_there_are_views() -> None:
    learner, batch = Supervised(network(), easy.N_WAY).eval(), easy.labelled(4, 0)
    assert learner.extra_metrics(batch) == {}
    with torch.no_grad():
        expected = learner.adapt(batch)(batch.images).argmax(1) == batch.labels
    learner.backbone.views = "flip"
    measured = learner.extra_metrics(batch)["accuracy_without_views"]
    assert torch.equal(measured, expected)
    assert learner.backbone.views == "flip"
