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
from fewshot.learners import scratch
from fewshot.learners.base import Task
from fewshot.model import predictor
from fewshot.runs import experiment, run_settings

SMALL = BackboneSettings(name="speed-cnn", options={"widths": [8, 12, 16]})


def build(size: int, **options: object) -> scratch.Scratch:
    with seeded(0, "test"):
        return scratch.Scratch.from_config(
            backbones.build(SMALL), Task(4), scratch.Options(ensemble_size=size, **options)
        ).train()


def alone(learner: scratch.Scratch, number: int) -> scratch.Scratch:
    """Return a supervised learner with the weights of one network of an ensemble."""
    single = build(1)
    single.backbone.body.load_state_dict(learner.backbone.body.bodies[number].state_dict())
    single.head.load_state_dict(learner.head.parts[number].state_dict())
    return single


def assert_same_gradients(learner: torch.nn.Module, number: int, single: torch.nn.Module) -> None:
    """Assert that one network has the gradients of a learner that trained alone."""
    parts = [
        (learner.backbone.body.bodies[number], single.backbone.body),
        (learner.head.parts[number], single.head),
    ]
    for ours, theirs in parts:
        for (name, mine), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(mine.grad, other.grad, msg=name, rtol=1e-4, atol=1e-6)


def test_the_prediction_is_the_mean_of_the_class_probabilities() -> None:
    learner = build(3).eval()
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


def test_every_network_learns_as_if_it_were_alone() -> None:
    learner = build(2)
    batch = Labelled(torch.rand(16, 3, 32, 32), torch.arange(16) % 4, torch.arange(16))
    loss = learner.loss(batch)
    loss.backward()
    losses = []
    for number in range(2):
        single = alone(learner, number)
        own = single.loss(batch)
        own.backward()
        losses.append(own.item())
        assert_same_gradients(learner, number, single)
    assert loss.item() == pytest.approx(sum(losses) / 2, rel=1e-5)


def test_self_distillation_remembers_the_mean_prediction() -> None:
    learner = build(2, self_distillation=0.5)
    learner.on_train_start(20)
    images, indices = torch.rand(8, 3, 32, 32), torch.arange(8) + 3
    with torch.no_grad():
        logits = learner.head(learner.backbone(images))
    learner.loss(Labelled(images, torch.arange(8) % 4, indices))
    np.testing.assert_allclose(
        learner.memory.past[indices].numpy(), logits.softmax(2).mean(1).numpy(), rtol=1e-4
    )
    assert (learner.memory.past.sum(1) > 0).sum() == 8


def test_the_functions_agree_with_sums_over_single_networks() -> None:
    logits = torch.randn(3, 2, 4, dtype=torch.float64)
    labels = torch.rand(3, 4, dtype=torch.float64).softmax(1)
    expected = -(labels[:, None] * logits.log_softmax(2)).sum(2).mean()
    torch.testing.assert_close(functional.ensemble_cross_entropy(logits, labels), expected)
    torch.testing.assert_close(
        functional.ensemble_log_probabilities(logits).exp(), logits.softmax(2).mean(1)
    )
    own = torch.rand(7, 4, dtype=torch.float64).softmax(
        1
    )  # three images for each network, and one that none of them saw
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
def test_a_saved_run_of_an_ensemble_predicts_the_same(
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
    arrays = np.load(run / "trial-0" / "predictions.npz")
    saved = arrays["test_logits"] / arrays["temperature"]
    evaluated = predictor.load(run)
    again = evaluated.logits(datasets.load("digits").test.images.numpy())
    np.testing.assert_allclose(again.numpy(), saved, atol=1e-4)
    assert record.cost.parameters > 2 * sum(map(torch.numel, backbones.build(SMALL).parameters()))


def test_every_network_is_initialised_from_the_training_images() -> None:
    learner = build(2)
    images = torch.rand(40, 3, 32, 32)
    learner.backbone.initialise(images)
    single = build(1)
    single.backbone.initialise(images)
    for body in learner.backbone.body.bodies:
        torch.testing.assert_close(
            body.stages[0][0].weight, single.backbone.body.stages[0][0].weight
        )


def test_an_ensemble_excludes_rotation_and_has_the_features_of_all_its_networks() -> None:
    for more in ({"rotation": 1.0}, {"teachers": ("a.safetensors",)}):
        with pytest.raises(
            ValueError, match="ensemble_size above 1 excludes rotation and teachers"
        ):
            scratch.Options(ensemble_size=2, **more)
    settings = run_settings.configure(
        {"method": "scratch", "shots": 4, "learner": {"ensemble_size": 2}}, "few"
    )
    wide, single = (
        run_settings.build_learner(settings, Task(3), seed=0).backbone,
        backbones.build(settings.backbone),
    )
    assert wide.n_features == 2 * single.n_features


def test_the_accuracy_without_views_is_that_of_the_mean_prediction() -> None:
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
