"""Several networks in one training.

Oracle: networks that are trained alone, and the mean of their class probabilities.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from episodes import datasets
from episodes.rng import seeded
from episodes.types import Labelled
from fewshot import backbones, functional
from fewshot.config import BackboneSettings
from fewshot.learners import finetune, scratch
from fewshot.learners.base import Task
from fewshot.model import predictor
from fewshot.runs import experiment, resolve

SMALL = BackboneSettings(name="speed-cnn", options={"widths": [8, 12, 16]})


def made(members: int, **options: object) -> scratch.Scratch:
    with seeded(0, "test"):
        return scratch.Scratch.from_config(
            backbones.build(SMALL), Task(4), scratch.Options(ensemble_size=members, **options)
        ).train()


def alone(learner: scratch.Scratch, number: int) -> scratch.Scratch:
    """One member of it, as a learner."""
    single = made(1)
    single.backbone.body.load_state_dict(learner.backbone.body.bodies[number].state_dict())
    single.head.load_state_dict(learner.head.parts[number].state_dict())
    return single


def same_gradients(learner: torch.nn.Module, number: int, single: torch.nn.Module) -> None:
    """Of one member and of a learner that is it alone."""
    parts = [
        (learner.backbone.body.bodies[number], single.backbone.body),
        (learner.head.parts[number], single.head),
    ]
    for ours, theirs in parts:
        for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad, msg=name, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_members_probabilities_is_the_answer() -> None:
    learner = made(3).eval()
    images = torch.rand(5, 3, 32, 32)
    with torch.no_grad():
        result = learner.adapt(Labelled(images, torch.zeros(5)))(images)
        member_logits = [
            alone(learner, number).eval().adapt(Labelled(images, torch.zeros(5)))(images)
            for number in range(3)
        ]
    expected = np.mean([logits.double().softmax(1).numpy() for logits in member_logits], 0)
    np.testing.assert_allclose(result.double().exp().numpy(), expected, rtol=1e-4)
    assert not torch.allclose(member_logits[0], member_logits[1], atol=1e-3)


def test_each_member_learns_as_if_alone() -> None:
    learner = made(2)
    batch = Labelled(torch.rand(16, 3, 32, 32), torch.arange(16) % 4, torch.arange(16))
    loss = learner.loss(batch)
    loss.backward()
    losses = []
    for number in range(2):
        single = alone(learner, number)
        own = single.loss(batch)
        own.backward()
        losses.append(own.item())
        same_gradients(learner, number, single)
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_earlier_predictions_of_all_members_are_recalled() -> None:
    learner = made(2, self_distillation=0.5)
    learner.on_train_start(20)
    images, places = torch.rand(8, 3, 32, 32), torch.arange(8) + 3
    with torch.no_grad():
        logits = learner.head(learner.backbone(images))
    learner.loss(Labelled(images, torch.arange(8) % 4, places))
    np.testing.assert_allclose(
        learner.memory.past[places].numpy(), logits.softmax(2).mean(1).numpy(), rtol=1e-4
    )
    assert (learner.memory.past.sum(1) > 0).sum() == 8


def test_soft_labels_and_the_logarithm_of_the_mean() -> None:
    logits = torch.randn(3, 2, 4, dtype=torch.float64)
    labels = torch.rand(3, 4, dtype=torch.float64).softmax(1)
    expected = -(labels[:, None] * logits.log_softmax(2)).sum(2).mean()
    torch.testing.assert_close(functional.ensemble_cross_entropy(logits, labels), expected)
    torch.testing.assert_close(
        functional.ensemble_log_probabilities(logits).exp(), logits.softmax(2).mean(1)
    )
    own = torch.rand(7, 4, dtype=torch.float64).softmax(
        1
    )  # three images for each member, and one that none saw
    value = [
        -(own[3 * m : 3 * m + 3] * logits[:, m].log_softmax(1)).sum(1).mean() for m in range(2)
    ]
    torch.testing.assert_close(functional.ensemble_cross_entropy(logits, own), sum(value) / 2)


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (
            "scratch",
            {
                "ensemble_size": 2,
                "selected_share": 0.5,
                "selected_until": 0.5,
                "self_distillation": 0.5,
            },
        ),
        ("finetune", {"ensemble_size": 2, "head": "unit", "probe_share": 0.3}),
    ],
)
def test_a_saved_run_of_several_members_predicts_the_same(
    method: str, options: dict[str, object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    values = {
        "method": method,
        "data": "digits",
        "shots": 8,
        "backbone": {"name": "speed-cnn", "options": {"widths": [8, 12, 16]}},
        "learner": options,
        "train": {"epochs": 4, "batch_size": 40, "lr": 0.1},
        "select": "last",
    }
    record = experiment.run(values, [0], out=tmp_path)
    run = tmp_path / record.run_id
    saved = np.load(run / "trial-0" / "predictions.npz")["test_logits"]
    evaluated = predictor.load(run)
    again = evaluated.logits(datasets.load("digits").test.images.numpy())
    np.testing.assert_allclose(again.numpy(), saved.astype(np.float32), atol=2e-2)
    assert record.cost.parameters > 2 * sum(map(torch.numel, backbones.build(SMALL).parameters()))


def test_every_member_begins_from_the_training_images() -> None:
    learner = made(2)
    images = torch.rand(40, 3, 32, 32)
    learner.backbone.initialise(images)
    single = made(1)
    single.backbone.initialise(images)
    for body in learner.backbone.body.bodies:
        torch.testing.assert_close(
            body.stages[0][0].weight, single.backbone.body.stages[0][0].weight
        )


def test_what_members_exclude() -> None:
    for more in ({"rotation": 1.0}, {"teachers": ("a.safetensors",)}):
        with pytest.raises(
            ValueError, match="ensemble_size above 1 excludes rotation and teachers"
        ):
            scratch.Options(ensemble_size=2, **more)
    settings = resolve.configure(
        {"method": "scratch", "shots": 4, "learner": {"ensemble_size": 2}}, "few"
    )
    wide, single = (
        resolve.build_learner(settings, Task(3), seed=0).backbone,
        backbones.build(settings.backbone),
    )
    assert wide.n_features == 2 * single.n_features


def test_what_both_say_without_views_is_measured() -> None:
    with seeded(0, "test"):
        viewed = backbones.build(SMALL.model_copy(update={"views": "flip"}))
        learner = scratch.Scratch.from_config(
            viewed, Task(4), scratch.Options(ensemble_size=2)
        ).eval()
    images, labels = torch.rand(64, 3, 32, 32), torch.arange(64) % 4
    right = learner.extra_metrics(Labelled(images, labels))["accuracy_without_views"]
    learner.backbone.views = "none"
    with torch.no_grad():
        expected = learner.adapt(Labelled(images, labels))(images).argmax(1) == labels
    assert torch.equal(right, expected)
    assert 0 < right.sum() < 64


def tuned(members: int) -> finetune.FineTune:
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name="conv4"))
        options = finetune.Options(ensemble_size=members, head="unit", start="prototypes")
        learner = finetune.FineTune.from_config(backbone, Task(4), options)
        learner.eval().prepare(Labelled(torch.rand(12, 3, 32, 32), torch.arange(12) % 4))
    return learner


def test_tuned_members_begin_as_one_network() -> None:
    images = torch.rand(6, 3, 32, 32)
    support = Labelled(images, torch.zeros(6))
    with torch.no_grad():
        both, single = (tuned(members).eval().adapt(support)(images) for members in (3, 1))
    torch.testing.assert_close(both.softmax(1), single.softmax(1))


def test_each_tuned_member_learns_as_if_alone_from_its_part_of_the_batch() -> None:
    """17 images for two: eight each, and one that neither sees."""
    images, labels = torch.rand(17, 3, 32, 32), torch.randint(4, (17,))
    learner = tuned(2).train()
    loss = learner.loss(Labelled(images, labels))
    loss.backward()
    losses = []
    for number in range(2):
        single, own = tuned(1).train(), slice(8 * number, 8 * number + 8)
        alone = single.loss(Labelled(images[own], labels[own]))
        alone.backward()
        losses.append(alone.item())
        same_gradients(learner, number, single)
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_batch_of_fewer_images_than_members_is_for_all() -> None:
    images, labels = torch.rand(2, 3, 32, 32), torch.tensor([0, 2])
    several, single = (
        tuned(members).train().loss(Labelled(images, labels)).item() for members in (3, 1)
    )
    assert several == pytest.approx(single, rel=1e-5)


def test_several_members_answer_by_their_trained_heads() -> None:
    with pytest.raises(ValueError, match="remove readout, or ensemble_size"):
        finetune.Options(ensemble_size=2, readout="logistic")
