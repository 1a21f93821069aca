"""Oracles: nearest means and softmax in NumPy, and SciPy's minimum of the log-loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from fewshot.errors import UserError
from fewshot.heads.affine import AffineHead
from fewshot.model import heads
from fewshot.model.classifier import Recipe
from fewshot.model.heads import OutOfFold

MEANS = Recipe("nearest-mean", scale=1.0, centre=False, normalise=False)


def task(*counts: int, strength: float = 2.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features of normal classes, and labels."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    noise = torch.randn(len(labels), 6, generator=torch.Generator().manual_seed(0))
    return noise + strength * torch.eye(len(counts), 6)[labels], labels


def distances(x: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return minus the squared distances to class means, without the squares of the queries."""
    means = np.stack([x[y == c].mean(0) for c in range(y.max() + 1)])
    return 2 * queries @ means.T - (means**2).sum(1)


def test_held_out_images_get_the_logits_of_the_means_of_the_others_at_the_spread_of_all() -> None:
    features, labels = task(4, 5)
    x, y = features.double().numpy(), labels.numpy()
    splits = [
        (torch.tensor([1, 2, 3, 5, 6, 7, 8]), torch.tensor([0, 4])),
        (torch.tensor([0, 1, 4, 5, 6]), torch.tensor([2, 3, 7, 8])),
    ]
    held_out = heads.on_splits(features, labels, 2, MEANS, ["a", "b"], splits)
    spread = distances(x, y, x).std(1, ddof=1).mean()
    expected = []
    for inside, outside in splits:
        i, o = inside.numpy(), outside.numpy()
        scale = spread / distances(x[i], y[i], x[i]).std(1, ddof=1).mean()
        expected.append(scale * distances(x[i], y[i], x[o]))
    np.testing.assert_allclose(held_out.logits, np.concatenate(expected), rtol=1e-4, atol=1e-4)
    assert held_out.positions.tolist() == [0, 4, 2, 3, 7, 8]
    assert held_out.labels.tolist() == [0, 1, 0, 0, 1, 1]
    assert held_out.n_folds == 2


def test_an_image_alone_in_its_class_is_not_held_out_and_copies_stay_together() -> None:
    features, labels = task(6, 6, 1)
    clusters = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6])
    held_out = heads.out_of_fold(features, labels, 3, MEANS, clusters=clusters)
    assert sorted(held_out.positions.tolist()) == list(range(12))
    # Without its copy, an image far from its class has the logits of a mean that has neither.
    far = features.clone()
    far[:2] += 100
    x, y = far[2:].double().numpy(), labels[2:].numpy()
    moved = heads.out_of_fold(far, labels, 3, MEANS, clusters=clusters)
    row = moved.logits[moved.positions == 0][0].numpy()
    expected = distances(x, y, far[:1].double().numpy())[0]
    assert np.argsort(row).tolist() == np.argsort(expected).tolist()


@pytest.mark.parametrize(
    ("prior", "expected"),
    [("training", [0.75, 0.25]), ("balanced", [0.5, 0.5]), ({"a": 1.0, "b": 4.0}, [0.2, 0.8])],
)
def test_features_that_say_nothing_leave_the_prior(prior: object, expected: list[float]) -> None:
    features, labels = torch.zeros(8, 3), torch.tensor([0] * 6 + [1] * 2)
    recipe = Recipe("logistic", prior=prior)  # type: ignore[arg-type]
    head = heads.fit_head(features, labels, 2, recipe, ("a", "b"))
    assert head(features[:1]).softmax(1)[0].tolist() == pytest.approx(expected, abs=1e-3)


def test_many_predictions_decide_the_temperature() -> None:
    features, labels = task(*[110] * 3, strength=1.0)  # no longer few labels
    head = heads.fit_head(features, labels, 3, MEANS)
    logits = 3 * torch.randn(330, 3, generator=torch.Generator().manual_seed(1))
    logits[torch.arange(330), labels] += 3
    held_out = OutOfFold(logits, labels, torch.arange(330), 10)

    def loss(log_temperature: float) -> float:
        rows = logits.double().numpy() / np.exp(log_temperature)
        shares = np.exp(rows - np.log(np.exp(rows).sum(1, keepdims=True)))
        prior = log_temperature**2 / 2  # of standard deviation 1 around a temperature of 1
        return float(-np.log(shares[np.arange(330), labels]).sum() + prior)

    best = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-8})
    value = heads.temperature(head, features, labels, held_out)
    assert value == pytest.approx(float(np.exp(best.x)), rel=1e-3)


def test_without_predictions_logits_get_the_spread_of_cosines_times_ten() -> None:
    features, labels = task(1, 1, 1)
    head = heads.fit_head(features, labels, 3, MEANS)
    empty = OutOfFold(torch.empty(0, 3), labels[:0], labels[:0], 0)
    value = heads.temperature(head, features, labels, empty)
    x = features.double().numpy() - features.double().numpy().mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    logits = head(features).double().numpy() / value
    spreads = [one.std(1, ddof=1).mean() for one in (logits, 10 * x @ x.T)]
    assert spreads[0] == pytest.approx(spreads[1], rel=1e-4)
    assert heads.temperature(head, features, labels, empty, pretrained=False) == 1.0


def test_a_head_that_was_trained_with_its_network_is_not_fitted_again() -> None:
    with pytest.raises(UserError, match="trained together with its network"):
        heads.fit_head(*task(2, 2), 2, Recipe("trained"))


@pytest.mark.parametrize("kind", ["logistic", "ridge", "nearest-mean", "cosine"])
def test_a_head_gives_the_same_bits_as_one_with_the_numbers_of_a_file(kind: str) -> None:
    features, labels = task(4, 5, 3)
    head = heads.fit_head(features, labels, 3, Recipe(kind), ["a", "b", "c"])
    numbers = [None if one is None else one.tolist() for one in head[:3]]
    read = AffineHead(*(None if one is None else torch.tensor(one) for one in numbers), head[3])
    queries = torch.randn(9, 6, generator=torch.Generator().manual_seed(1))
    assert torch.equal(head(queries), read(queries))
    assert head.weight.is_contiguous()  # small products do not show it
