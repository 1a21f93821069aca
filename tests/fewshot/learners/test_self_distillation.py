"""Earlier predictions of a network as a part of its targets.

Oracle: means of the predictions, computed by numpy.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones, functional
from fewshot.config import BackboneSettings, Train
from fewshot.errors import Interrupted
from fewshot.learners import scratch
from fewshot.learners.base import Task
from fewshot.training import trainer
from tests.fewshot import easy


def recalling(n: int = 30, **options: object) -> scratch.Scratch:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="conv4", options={"norm": "group"}))
        learner = scratch.Scratch.from_config(
            backbone, Task(4), scratch.Options(self_distillation=0.8, **options)
        ).train()
    learner.on_train_start(n)
    return learner


def predictions(learner: scratch.Scratch, images: torch.Tensor) -> np.ndarray:
    with torch.no_grad():
        return learner.head(learner.backbone(images)).double().softmax(1).numpy()


def test_targets_mix_the_labels_with_earlier_predictions() -> None:
    learner = recalling()
    images, labels, places = (
        torch.rand(5, 3, 32, 32),
        torch.tensor([0, 1, 2, 3, 0]),
        torch.tensor([7, 3, 29, 0, 12]),
    )
    first = predictions(learner, images)
    learner.on_step(0.5)
    loss = learner.loss(Labelled(images, labels, places))
    assert loss.item() == pytest.approx(-np.log(first[range(5), labels]).mean(), rel=1e-5)
    np.testing.assert_allclose(learner.memory.past[places].numpy(), first, rtol=1e-4)
    assert (learner.memory.past.sum(1) > 0).sum() == 5

    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.mul_(1.3)
    mirrored = images.flip(-1)
    second = predictions(learner, mirrored)
    loss = learner.loss(Labelled(mirrored, labels, places))
    expected = 0.0
    for row in range(5):
        for way in range(4):
            target = (1 - 0.4) * (way == labels[row]) + 0.4 * first[
                row, way
            ]  # half of the way to 0.8
            expected -= target * np.log(second[row, way]) / 5
    assert loss.item() == pytest.approx(float(expected), rel=1e-5)
    np.testing.assert_allclose(learner.memory.past[places].numpy(), (first + second) / 2, rtol=1e-4)


def test_images_without_earlier_predictions_have_their_soft_labels() -> None:
    labels = torch.tensor([[0.9, 0.1], [0.2, 0.8]])
    past = torch.tensor([[0.0, 0.0], [0.6, 0.4]])
    result = functional.recall_targets(labels, past, torch.tensor(0.25))
    torch.testing.assert_close(
        result, torch.tensor([[0.9, 0.1], [0.75 * 0.2 + 0.25 * 0.6, 0.75 * 0.8 + 0.25 * 0.4]])
    )


def test_only_the_selected_half_of_a_batch_is_remembered() -> None:
    learner = recalling(keep=0.5)
    images, labels = torch.rand(12, 3, 32, 32), torch.arange(12) % 4
    with torch.no_grad():
        chosen = functional.hardest(learner.proxy(images), labels, 6)
    learner.loss(Labelled(images, labels, torch.arange(12) + 10))
    noted = (learner.memory.past.sum(1) > 0).nonzero()[:, 0]
    assert noted.tolist() == sorted((chosen + 10).tolist())
    np.testing.assert_allclose(
        learner.memory.past[chosen + 10].numpy(), predictions(learner, images[chosen]), rtol=1e-4
    )


def test_an_interrupted_training_resumes_with_its_memory(tmp_path: Path) -> None:
    def train(folder: str, stop: int | None = None) -> torch.Tensor:
        learner, stream = recalling(24), easy.stream("batches")

        def interrupting(step: int) -> Labelled:
            if step == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            return stream(step)

        settings = Train(steps=9, batch_size=16, lr=0.01)
        trainer.fit(learner, interrupting, settings, 1.5, checkpoint=tmp_path / f"{folder}.pt")
        assert (learner.memory.past.sum(1) > 0).all()
        return torch.cat([value.flatten() for value in learner.state_dict().values()])

    undisturbed = train("whole")
    with pytest.raises(Interrupted):
        train("cut", stop=4)
    assert torch.equal(train("cut"), undisturbed)


def test_earlier_predictions_are_not_part_of_the_weights() -> None:
    learner = recalling()
    learner.on_train_end()
    plain = scratch.Scratch.from_config(learner.backbone, Task(4), scratch.Options())
    assert list(learner.state_dict()) == list(plain.state_dict())
    plain.on_train_start(30)
    assert not hasattr(plain, "memory")


def test_at_the_start_the_targets_are_the_labels() -> None:
    learner = recalling()
    item = Labelled(torch.rand(8, 3, 32, 32), torch.arange(8) % 4, torch.arange(8))
    learner.loss(item)
    learner.on_step(0.0)
    with torch.no_grad():
        expected = F.cross_entropy(learner.head(learner.backbone(item.images)), item.labels)
    torch.testing.assert_close(learner.loss(item).detach(), expected)
