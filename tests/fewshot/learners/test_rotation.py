"""Rotation as a second loss, against one image at a time, turned by numpy."""

from __future__ import annotations

import numpy as np
import torch

from episodes.rng import seeded
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.learners import scratch
from fewshot.learners.base import Task
from tests.fewshot import easy


def test_rotation_is_a_second_loss_on_a_quarter_of_the_batch_turned() -> None:
    """Against one image at a time, turned by numpy."""
    with seeded(0, "rotation"):
        backbone = backbones.build(
            BackboneSettings(name="conv4", options={"width": 8, "norm": "group"})
        )
        learner = scratch.Scratch.from_config(
            backbone, Task(easy.N_WAY), scratch.Options(rotation=0.5, head="cosine")
        )
    batch = easy.labelled(5, 0)  # twenty images, of which five are turned
    plain, turned = [], []
    for i, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True)):
        features = backbone(image[None])
        plain.append(-learner.head(features).log_softmax(1)[0, label])
        if i < 5:
            quarter = torch.from_numpy(np.rot90(image.numpy(), i % 4, (1, 2)).copy())
            turned.append(-learner.turn_head(backbone(quarter[None])).log_softmax(1)[0, i % 4])
    expected = torch.stack(plain).mean() + 0.5 * torch.stack(turned).mean()
    torch.testing.assert_close(learner.loss(batch), expected)
