"""Oracles: numpy loops over classes, and an exhaustive search with scikit-learn's log loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from episodes import subsets
from episodes.rng import generator
from episodes.types import Labelled
from fewshot.heads import names
from tests.fewshot.heads.points import clusters


def test_probabilities_are_sums_over_the_classes_of_a_group() -> None:
    log_p = torch.randn(7, 6, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    groups = [[0, 4], [], [2]]
    p = np.exp(log_p.double().numpy())
    expected = np.empty((7, 3))
    for row in range(7):
        sums = [p[row, 0] + p[row, 4], (p[row, 1] + p[row, 3] + p[row, 5]) / 3, p[row, 2]]
        expected[row] = np.array(sums) / sum(sums)
    ours = names.log_probabilities(log_p, groups).exp()
    np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_a_class_without_a_match_gets_a_probability_also_if_every_class_is_used() -> None:
    log_p = torch.tensor([[0.2, 0.8]]).log()
    p = names.log_probabilities(log_p, [[0], [1], []]).exp()
    np.testing.assert_allclose(p[0], np.array([0.2, 0.8, 0.5]) / 1.5, rtol=1e-5)


def nearest(part: Labelled) -> names.Logits:
    """Fit a classifier by hand: minus the squared distance to each class's mean."""
    means = torch.stack([part.images[part.labels == label].mean(0) for label in range(3)])
    return lambda features: -0.1 * torch.cdist(features, means) ** 2


def by_names(features: torch.Tensor) -> torch.Tensor:
    return (features[:, :3] / 3).log_softmax(1)


@pytest.mark.parametrize("per_class", [2, 5, 8])
def test_the_weights_have_the_lowest_loss_of_held_out_images(per_class: int) -> None:
    features, labels = clusters(3, per_class=per_class)
    features = features + 4 * torch.randn(features.shape, generator=generator(0, "noise"))
    support = Labelled(features, labels)
    chosen = names.choose_weights(support, nearest, by_names)
    fitted = np.zeros((len(labels), 3))
    for inside, outside in subsets.folds(labels, min(5, per_class), 0):
        classify = nearest(Labelled(features[inside], labels[inside]))
        fitted[outside] = classify(features[outside]).numpy()
    log_p = log_softmax(features[:, :3].numpy() / 3, axis=1)
    losses = {}
    for a in (1, 2, 4, 8, 16, 32, 64):
        for b in (0, 0.25, 0.5, 0.75, 1, 1.5):
            losses[a, b] = log_loss(labels, softmax(a * fitted + b * log_p, axis=1))
    assert losses[chosen] == pytest.approx(min(losses.values()), rel=1e-6)
    assert len({round(loss, 6) for loss in losses.values()}) > 10


def test_the_mixture_is_a_weighted_sum_and_names_alone_without_labels() -> None:
    features, labels = clusters(3, per_class=1)
    queries, _ = clusters(3, per_class=4, seed=1)
    one_label = names.mix(Labelled(features, labels), nearest, by_names)
    fitted = nearest(Labelled(features, labels))(queries)
    weights = names.ONE_LABEL
    expected = weights.fitted * fitted + weights.names * by_names(queries)
    torch.testing.assert_close(one_label(queries), expected)
    nothing = Labelled(features[:0], labels[:0])
    torch.testing.assert_close(names.mix(nothing, nearest, by_names)(queries), by_names(queries))
