"""What suggestions would have gained.

Oracle: clusters of which a good choice is known, and scikit-learn's accuracy.
"""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from fewshot.errors import UserError
from fewshot.model.suggest import simulate
from fewshot.model.suggest.simulate import LabelledSet


def clusters(sizes: list[int], seed: int) -> LabelledSet:
    """Return well separated classes of these sizes."""
    generator = torch.Generator().manual_seed(seed)
    centres = 4 * torch.eye(len(sizes), 12)
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    noise = torch.randn(len(labels), 12, generator=generator)
    return LabelledSet(centres[labels] + 0.5 * noise, labels)


def test_rare_classes_are_suggested_before_chance_meets_them() -> None:
    train, test = clusters([120, 40, 12, 12], 0), clusters([20] * 4, 1)
    curve = simulate.curve(train, test, [4, 8], n_trials=5)
    more_classes = curve.classes_suggested.mean(0) - curve.classes_random.mean(0)
    assert (more_classes > 0.5).all()
    assert (curve.classes_suggested[:, 1] == 4).all()
    assert curve.suggested[:, 1].min() > 0.95 > curve.random[:, 1].mean()
    assert curve.gain(0).significant


def test_the_accuracy_counts_classes_without_labels() -> None:
    train, test = clusters([10] * 3, 0), clusters([10] * 3, 1)
    two = LabelledSet(train.features[:20], train.labels[:20])
    centre = two.features.mean(0)
    unit = torch.nn.functional.normalize(two.features - centre, dim=1)
    other = LogisticRegression(C=1.0).fit(unit, two.labels)
    new = torch.nn.functional.normalize(test.features - centre, dim=1)
    assert simulate.accuracy_of(two, test, 3) == pytest.approx(other.score(new, test.labels))
    one = LabelledSet(train.features[:3], train.labels[:3])
    assert simulate.accuracy_of(one, test, 3) == pytest.approx(1 / 3)


def test_no_image_is_labelled_twice_and_batches_continue_each_other() -> None:
    pool = clusters([20, 20], 0)
    first = simulate.picked(pool, [4], None, 2)
    both = simulate.picked(pool, [4, 30], None, 2)
    assert len(set(both.tolist())) == 30
    assert both[:4].tolist() == first.tolist()


def test_without_test_images_accuracy_is_measured_outside_the_pool(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train = clusters([10, 10], 0)
    seen = []
    original = simulate.accuracy_of

    def noted(known: LabelledSet, test: LabelledSet, n_way: int) -> float:
        seen.append(test)
        return original(known, test, n_way)

    monkeypatch.setattr(simulate, "accuracy_of", noted)
    simulate.curve(train, None, [2], "random", n_trials=1)
    assert all(len(test.labels) == 4 for test in seen)


def test_budgets_must_rise_and_fit() -> None:
    train = clusters([5, 5], 0)
    with pytest.raises(UserError, match="rising"):
        simulate.curve(train, train, [4, 2])
    with pytest.raises(UserError, match="more than the 8 images"):
        simulate.curve(train, train, [2, 9])
    with pytest.raises(UserError, match="too few"):
        simulate.curve(clusters([1, 1], 0), None, [2])
