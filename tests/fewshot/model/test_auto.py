"""Oracle: tasks whose best way to learn is known by construction, or by published runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from fewshot.config.fitting import FitConfig
from fewshot.model import auto, candidates, training, training_folds
from fewshot.model.classifier import Recipe
from fewshot.model.comparing import Score
from tests.fewshot.model.test_fit import SMALL, digits


def network(features: torch.Tensor) -> candidates.Network:
    """Return a network that is never called, because its features are known."""
    return candidates.Network(SMALL, torch.nn.Identity(), features, 0.001)


def comparison(features: torch.Tensor, **settings: object) -> auto.Comparison:
    images = digits(*[8] * 4)
    return auto.Comparison(images, torch.arange(32), FitConfig(**settings), "cpu")


def informative(strength: float, seed: int = 0) -> torch.Tensor:
    labels = torch.arange(4).repeat_interleave(8)
    noise = torch.randn(32, 20, generator=torch.Generator().manual_seed(seed))
    return noise + strength * torch.eye(4, 20)[labels]


def test_the_better_network_is_chosen_and_named() -> None:
    ours = comparison(informative(1.0))
    ours.add_heads(network(informative(1.0)))
    weak = ours.best
    ours.add_heads(network(informative(6.0)))
    assert ours.best is not weak
    assert ours.best.score.loss == min(one.score.loss for one in ours.compared)
    assert ours.best.candidate.name in ours.sentence()
    assert "the next is" in ours.sentence()


def test_a_slower_network_without_a_gain_is_not_chosen() -> None:
    ours = comparison(informative(3.0))
    ours.add_heads(network(informative(3.0)))
    first = ours.best
    ours.add_heads(network(informative(3.0)))
    assert ours.best is first


def test_small_coordinates_give_the_same_predictions() -> None:
    features = torch.randn(32, 200, generator=torch.Generator().manual_seed(0)) + 2
    small = candidates.with_small_coordinates(features)
    assert small.shape == (32, 32)
    ours = comparison(features)
    splits = [(torch.arange(0, 32, 2), torch.arange(1, 32, 2))]
    for recipe in candidates.RECIPES:
        candidate = candidates.on_frozen(network(features), recipe)
        expected = ours.predict(candidate, features, splits).logits
        torch.testing.assert_close(
            ours.predict(candidate, small, splits).logits, expected, atol=2e-3, rtol=1e-3
        )


def test_what_would_take_too_long_is_left_out_with_a_reason() -> None:
    ours = comparison(informative(3.0), seconds=5.0)
    ours.add_heads(network(informative(3.0)))
    made = training.configured("scratch", ours.images, None, auto.SHORT)
    candidate = candidates.by_training(training.Training(made, "cpu", 0), Recipe("logistic"))
    ours.add_training(candidate, 100.0)
    assert ours.best.candidate.training is None
    assert "training conv4 from random weights, 100 steps (no time: about 7 min)" in ours.sentence()


def test_a_margin_is_needed_only_by_what_is_slower() -> None:
    ours = comparison(informative(3.0), least_gain=0.1)
    losses = torch.zeros(1, dtype=torch.float64)
    recipe = Recipe("logistic")
    fast, slower, better = (
        auto.Compared(
            candidates.on_frozen(network(informative(1.0)), recipe), Score(loss, 0.5, losses)
        )
        for loss in (1.0, 0.95, 0.85)
    )
    for one in (fast, slower, better):
        ours._take(one)
    assert ours.best is better
    ours._take(fast)
    assert ours.best is better


def test_most_classes_need_a_second_image() -> None:
    assert not auto.can_compare(digits(1, 1, 1, 5))
    assert auto.can_compare(digits(1, 2, 2))
    assert not auto.can_compare(digits(1, 3))


def test_of_many_images_a_part_of_each_class_is_compared_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(auto, "COMPARED_IMAGES", 12)
    images = digits(20, 10, 2, 1)
    rows = auto.compared_rows(images)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert images.labels[rows].bincount().tolist() == [7, 4, 2, 1]


def test_of_many_classes_two_images_are_compared_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "COMPARED_IMAGES", 4)
    images = digits(3, 3, 3, 1)
    rows = auto.compared_rows(images)
    assert images.labels[rows].bincount().tolist() == [2, 2, 2, 1]
    ours = auto.Comparison(images, rows, FitConfig(), "cpu")
    ours.add_heads(network(torch.randn(10, 5)))
    assert ours.best is not None


@pytest.mark.slow  # trains a small network four times
def test_training_is_found_to_beat_natural_images_on_digits() -> None:
    from fewshot.model.fit import fit

    images = digits(*[16] * 10)
    classifier = fit(images, FitConfig(backbone=SMALL, seconds=200.0), device="cpu")
    assert classifier.card.method == "scratch"
    assert classifier.recipe.kind == "trained"
    assert classifier.card.quality.accuracy > 0.93
    assert len(classifier.fold_scores) == 160
    same = replace(images)
    torch.testing.assert_close(classifier.features(same.images), classifier.support.features)


def test_a_later_training_is_compared_with_an_earlier_one_on_the_same_folds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = comparison(informative(0.0), least_gain=0.0)
    ours.add_heads(network(informative(0.0)))
    made = training.configured("scratch", ours.images, None, auto.SHORT)
    one = training.Training(made, "cpu", 0)
    first, second, worse = (
        candidates.by_training(one, Recipe("logistic"))._replace(name=name)
        for name in ("first", "second", "worse")
    )
    strengths = {"first": 2.0, "second": 4.0, "worse": -4.0}

    def logits(candidate: candidates.Candidate, images: object, splits: list, device: str):
        noise = torch.randn(32, 4, generator=torch.Generator().manual_seed(1))
        known = noise + strengths[candidate.name] * torch.eye(4)[ours.labels]
        return (known[outside] for _, outside in splits)

    monkeypatch.setattr(training_folds, "logits", logits)
    for candidate in (first, second, worse):
        ours.add_training(candidate, 0.0)
    assert ours.best.candidate is second
    assert [one.candidate.name for one in ours.compared[-2:]] == ["first", "second"]
    assert ours.left_out == ["worse (worse on its first fold)"]
