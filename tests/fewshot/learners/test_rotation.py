"""Oracle: one image at a time, rotated by numpy."""

from __future__ import annotations

import numpy as np
import torch

from episodes.rng import seeded
from fewshot.learners.base import Task
from fewshot.learners.rotation import Rotation
from fewshot.learners.scratch import Options, Scratch
from fewshot.learners.supervised import Supervised
from tests.fewshot import easy
from tests.fewshot.learners.small import network


def test_the_loss_adds_the_rotations_of_a_quarter_of_the_batch() -> None:
    with seeded(0, "rotation"):
        learner = Rotation(Supervised(network(), easy.N_WAY, head="cosine"), weight=0.5)
    batch = easy.labelled(5, 0)  # twenty images, of which five are rotated
    supervised, rotations = [], []
    for i, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
        features = learner.backbone(image[None])
        supervised.append(-learner.head(features).log_softmax(1)[0, label])
        if i < 5:
            rotated = torch.from_numpy(np.rot90(image.numpy(), i % 4, (1, 2)).copy())
            logits = learner.turn_head(learner.backbone(rotated[None]))
            rotations.append(-logits.log_softmax(1)[0, i % 4])
    expected = torch.stack(supervised).mean() + 0.5 * torch.stack(rotations).mean()
    torch.testing.assert_close(learner.loss(batch), expected)


def test_the_classifier_is_that_of_the_supervised_learner() -> None:
    supervised = Supervised(network(), easy.N_WAY).eval()
    batch = easy.labelled(2, 0)
    with torch.no_grad():
        logits = Rotation(supervised, 0.5).eval().adapt(batch)(batch.images)
        assert torch.equal(logits, supervised.adapt(batch)(batch.images))


def test_the_setting_rotation_builds_this_learner_with_its_weight() -> None:
    learner = Scratch.from_config(network(), Task(easy.N_WAY), Options(rotation=0.25))
    assert isinstance(learner, Rotation)
    assert learner.weight == 0.25
    assert learner.needs.images
