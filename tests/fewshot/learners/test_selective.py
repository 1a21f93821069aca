"""Selective back-propagation.

Oracle: a proxy's losses sorted by numpy, and cross-entropy on the chosen images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.learners import scratch
from fewshot.learners.base import Task


def selecting() -> scratch.Scratch:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="conv4"))
        return scratch.Scratch.from_config(
            backbone, Task(4), scratch.Options(selected_share=0.5, selected_until=0.8)
        ).train()


def test_the_images_that_the_small_network_knows_least_train_both() -> None:
    learner, alone = selecting(), selecting()
    images, labels = torch.rand(30, 3, 32, 32), torch.arange(30) % 4
    with torch.no_grad():
        shares = alone.proxy(images).double().log_softmax(1).numpy()
    losses = -shares[np.arange(30), labels.numpy()]
    chosen = torch.from_numpy(np.argsort(-losses)[:15].copy())
    assert set(chosen.tolist()) != set(range(15))
    loss = learner.loss(Labelled(images, labels))
    loss.backward()
    known = F.cross_entropy(alone.head(alone.backbone(images[chosen])), labels[chosen])
    torch.testing.assert_close(loss, known)
    known.backward()
    F.cross_entropy(alone.proxy(images[chosen]), labels[chosen]).backward()
    for (name, parameter), expected in zip(
        learner.named_parameters(), alone.parameters(), strict=True
    ):
        torch.testing.assert_close(parameter.grad, expected.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_whole_batches_train_in_what_is_left() -> None:
    learner, alone = selecting(), selecting()
    images, labels = torch.rand(30, 3, 32, 32), torch.arange(30) % 4
    with torch.no_grad():
        chosen = functional.hardest(alone.proxy(images), labels, 15)
        half = F.cross_entropy(alone.head(alone.backbone(images[chosen])), labels[chosen])
    learner.on_step(0.79)
    torch.testing.assert_close(learner.loss(Labelled(images, labels)).detach(), half)
    learner.on_step(0.8)
    loss = learner.loss(Labelled(images, labels))
    torch.testing.assert_close(loss, F.cross_entropy(alone.head(alone.backbone(images)), labels))
    loss.backward()
    assert all(
        parameter.grad is not None for parameter in learner.parameters()
    )  # several processes wait for all
    assert not any(parameter.grad.any() for parameter in learner.proxy.parameters())


def test_no_classifier_looks_at_the_small_network() -> None:
    learner, images = selecting().eval(), torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        before = learner.adapt(Labelled(images, torch.zeros(5, dtype=torch.int64)))(images)
        for parameter in learner.proxy.parameters():
            parameter.normal_()
        torch.testing.assert_close(
            learner.adapt(Labelled(images, torch.zeros(5, dtype=torch.int64)))(images), before
        )
