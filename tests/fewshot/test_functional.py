"""The mathematics against scikit-learn, scipy, numpy, loops and finite differences."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestCentroid
from torch import Tensor

from fewshot import functional

N_WAY = 4


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def support() -> tuple[Tensor, Tensor]:
    """Features [23, 6] of four classes of different sizes, not in the order of the labels."""
    labels = torch.tensor([2, 0, 1, 3, 3, 2, 1, 1, 1, 0, 2, 2, 3, 1, 1, 2, 2, 0, 1, 1, 2, 1, 2])
    return normal(23, 6) + labels[:, None], labels


def test_prototypes_and_distances_are_a_nearest_centroid_classifier() -> None:
    features, labels = support()
    queries = normal(200, 6, seed=1) + 1.5
    prototypes = functional.prototypes(features, labels, N_WAY)
    oracle = NearestCentroid().fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(prototypes, oracle.centroids_, rtol=1e-12)
    nearest = functional.squared_distances(queries, prototypes).argmin(1)
    assert nearest.tolist() == oracle.predict(queries.numpy()).tolist()
    assert len(set(nearest.tolist())) == N_WAY


def test_one_hot_is_that_of_torch() -> None:
    labels = torch.tensor([[0, 2, 1, 1], [2, 0, 0, 1]])
    vectors = functional.one_hot(labels, 4, torch.zeros(1, dtype=torch.float64))
    assert torch.equal(vectors, torch.nn.functional.one_hot(labels, 4).double())


def test_prototypes_of_several_support_sets_are_those_of_each() -> None:
    features, labels = torch.randn(3, 6, 4), torch.tensor([[0, 1, 1, 2, 2, 2]]).repeat(3, 1)
    together = functional.prototypes(features, labels, 3)
    for t in range(3):
        alone = functional.prototypes(features[t], labels[t], 3)
        torch.testing.assert_close(together[t], alone)


def test_prototypes_do_not_depend_on_order_and_are_zero_without_support() -> None:
    features, labels = support()
    prototypes = functional.prototypes(features, labels, N_WAY + 1)
    assert prototypes[N_WAY].tolist() == [0.0] * 6
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        functional.prototypes(features[order], labels[order], N_WAY + 1), prototypes
    )


def test_prototype_of_a_single_image_is_that_image() -> None:
    features = normal(3, 5).float()
    prototypes = functional.prototypes(features, torch.tensor([2, 0, 1]), 3)
    assert prototypes.dtype == torch.float32
    assert torch.equal(prototypes, features[[1, 2, 0]])


def test_squared_distances_against_scipy() -> None:
    a, b = normal(9, 5), normal(4, 5, seed=1)
    np.testing.assert_allclose(
        functional.squared_distances(a, b), cdist(a, b, "sqeuclidean"), rtol=1e-12
    )


def test_squared_distances_are_exact_where_they_are_small() -> None:
    # Here |a|^2 + |b|^2 - 2ab would consist of rounding errors.
    a = (1000 + 1e-3 * normal(40, 64)).float()
    exact = cdist(a.double(), a.double(), "sqeuclidean")
    np.testing.assert_allclose(functional.squared_distances(a, a), exact, rtol=1e-5)


def test_cosine_similarities_against_scikit_learn() -> None:
    a, b = normal(9, 5), 100 * normal(4, 5, seed=1)
    a[3] = 0
    np.testing.assert_allclose(
        functional.cosine_similarities(a, b), cosine_similarity(a, b), atol=1e-12
    )


def slow_cross_entropy(logits: list[list[float]], targets: list[list[float]]) -> float:
    """-sum_c y_c log softmax(z)_c, averaged over the rows, in loops."""
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        log_sum = math.log(sum(math.exp(logit) for logit in row))
        for logit, share in zip(row, target, strict=True):
            total -= share * (logit - log_sum)
    return total / len(logits)


@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_against_loops(soft: bool) -> None:
    logits, labels = 3 * normal(11, N_WAY), torch.arange(11) % N_WAY
    targets = (
        torch.softmax(normal(11, N_WAY, seed=1), 1)
        if soft
        else torch.eye(N_WAY, dtype=torch.float64)[labels]
    )
    loss = functional.cross_entropy(logits, targets if soft else labels)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(
        slow_cross_entropy(logits.tolist(), targets.tolist()), rel=1e-12
    )


GRADIENTS = {
    "prototypes": (lambda x: functional.prototypes(x, support()[1], N_WAY), [(23, 6)]),
    "squared distances": (functional.squared_distances, [(5, 3), (4, 3)]),
    "cosines": (functional.cosine_similarities, [(5, 3), (4, 3)]),
    "cross-entropy, hard": (lambda z: functional.cross_entropy(z, torch.arange(5) % 3), [(5, 3)]),
    "cross-entropy, soft": (
        lambda z, y: functional.cross_entropy(z, torch.softmax(y, 1)),
        [(5, 3), (5, 3)],
    ),
}


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_against_finite_differences(name: str) -> None:
    function, shapes = GRADIENTS[name]
    inputs = [normal(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("quarter", range(4))
def test_quarter_turns_are_numpy_s(quarter: int) -> None:
    images = normal(10, 3, 5, 5)
    turned, turns = functional.quarter_turns(images)
    assert turns.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    np.testing.assert_array_equal(
        turned[quarter], np.rot90(images[quarter].numpy(), quarter, (1, 2))
    )
    assert not torch.equal(turned[1:4], images[1:4])


def test_distillation_is_the_divergence_at_a_temperature_and_its_gradient_keeps_its_size() -> None:
    """Against scipy, image by image; there is no gradient if the logits agree with the teacher."""
    from scipy.special import rel_entr, softmax

    logits, teacher = normal(7, N_WAY).requires_grad_(), (normal(7, N_WAY, seed=1) / 3).softmax(1)
    expected = [
        9 * rel_entr(target, softmax(row / 3)).sum()
        for row, target in zip(logits.detach().numpy(), teacher.numpy(), strict=True)
    ]
    loss = functional.distillation(logits, teacher, 3.0)
    np.testing.assert_allclose(loss.item(), np.mean(expected), rtol=1e-10)
    slopes = []
    # At a high temperature it is the squared difference of centred logits over twice their number.
    for temperature in (1.0, 100.0):
        other = (normal(7, N_WAY, seed=2) / temperature).softmax(1)
        slopes.append(
            torch.autograd.grad(functional.distillation(logits, other, temperature), logits)[
                0
            ].norm()
        )
    assert 0.1 < slopes[1] / slopes[0] < 10
    agreed = functional.distillation(logits, (logits / 3).softmax(1).detach(), 3.0)
    torch.testing.assert_close(torch.autograd.grad(agreed, logits)[0], torch.zeros_like(logits))


def test_decorrelation_is_a_power_of_the_scatter_within_the_classes() -> None:
    """Against scipy's fractional matrix power of the mean covariance within the classes."""
    from scipy.linalg import fractional_matrix_power

    labels = torch.arange(200) % N_WAY
    features = normal(200, 6) @ normal(6, 6, seed=1) + 5 * normal(N_WAY, 6, seed=2)[labels]
    scatter = np.zeros((6, 6))
    for label in range(N_WAY):
        rows = features[labels == label].numpy()
        scatter += np.cov(rows.T, bias=True) * len(rows) / 200
    scatter /= np.trace(scatter) / 6
    expected = fractional_matrix_power(scatter + 0.1 * np.eye(6), -0.25)
    expected /= np.sqrt((((features - features.mean(0)).numpy() @ expected) ** 2).mean())
    shift, mix = functional.decorrelation(features, labels, N_WAY)
    np.testing.assert_allclose(mix, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(shift, features.numpy().mean(0), rtol=1e-12)
    single, _ = functional.decorrelation(features.float(), labels, N_WAY)
    assert single.dtype == torch.float32


def test_roots_keep_sign_and_order_and_have_a_bounded_slope() -> None:
    features = torch.tensor(
        [-4.0, -1.0, -0.01, 0.0, 0.01, 0.5, 1.0, 9.0], dtype=torch.float64, requires_grad=True
    )
    roots = functional.signed_root(features)
    expected = [
        math.copysign(math.sqrt(abs(value) + 0.01) - 0.1, value) for value in features.tolist()
    ]
    torch.testing.assert_close(roots.tolist(), expected)
    assert bool((roots.diff() > 0).all())
    slopes = torch.autograd.grad(roots.sum(), features)[0]
    assert bool(slopes.isfinite().all())
    assert slopes.max() < 5 + 1e-9  # 1 / (2 sqrt(0.01))
    assert torch.autograd.gradcheck(functional.signed_root, features[features != 0])


def test_decorrelation_is_the_identity_if_nothing_varies_within_the_classes() -> None:
    features = normal(4, 5).float()
    shift, mix = functional.decorrelation(features, torch.arange(4), 4)  # one image a class
    assert torch.equal(mix, torch.eye(5))
    torch.testing.assert_close(shift, features.mean(0))


def test_decorrelation_of_constant_features_is_finite() -> None:
    features = normal(40, 4)
    features[:, 2] = 0
    _, mix = functional.decorrelation(features, torch.arange(40) % N_WAY, N_WAY)
    assert bool(mix.isfinite().all())


def test_hardest_are_the_images_of_greatest_loss() -> None:
    logits, labels = 3 * normal(11, N_WAY), torch.arange(11) % N_WAY
    targets = torch.eye(N_WAY, dtype=torch.float64)[labels]
    losses = [
        slow_cross_entropy([row], [target])
        for row, target in zip(logits.tolist(), targets.tolist(), strict=True)
    ]
    expected = sorted(range(11), key=lambda index: -losses[index])[:4]
    assert functional.hardest(logits, labels, 4).tolist() == expected


def test_recalled_targets_are_a_mixture_of_labels_and_earlier_predictions() -> None:
    past = torch.tensor([[0.25, 0.75], [0.0, 0.0]])
    targets = functional.recall_targets(torch.tensor([0, 1]), past, torch.tensor(0.4))
    expected = [[0.6 + 0.4 * 0.25, 0.4 * 0.75], [0.0, 1.0]]  # nothing is known of the second image
    torch.testing.assert_close(targets, torch.tensor(expected))


def test_the_contrastive_loss_against_loops() -> None:
    left, right, same = normal(6, 3), normal(6, 3, seed=1), torch.tensor([1.0, 0, 0, 1, 0, 1])
    expected = 0.0
    for a, b, is_same in zip(left.tolist(), right.tolist(), same.tolist(), strict=True):
        distance = math.dist(a, b)
        expected += distance**2 if is_same else max(0.0, 2.0 - distance) ** 2
    loss = functional.contrastive(left, right, same.double(), margin=2.0)
    assert loss.item() == pytest.approx(expected / 6, rel=1e-9)


def test_the_supervised_contrastive_loss_against_loops() -> None:
    features = torch.nn.functional.normalize(normal(6, 3), dim=1)
    labels = [0, 1, 0, 1, 0, 2]  # the last image is alone and does not count
    similarities = (features @ features.T / 0.2).exp().tolist()
    losses = []
    for i in range(5):
        others = sum(similarities[i][j] for j in range(6) if j != i)
        positives = [j for j in range(6) if j != i and labels[j] == labels[i]]
        terms = [-math.log(similarities[i][j] / others) for j in positives]
        losses.append(sum(terms) / len(terms))
    loss = functional.supervised_contrastive(features, torch.tensor(labels), 0.2)
    assert loss.item() == pytest.approx(sum(losses) / 5, rel=1e-9)


def test_a_mixture_over_groups_sums_the_probabilities_of_its_parts() -> None:
    logits, groups = normal(5, N_WAY), torch.tensor([1, 0, 1, 0])
    gate = functional.group_logits(logits, groups, 2)
    probabilities = logits.softmax(1)
    sums = [probabilities[:, groups == group].sum(1) for group in (0, 1)]
    torch.testing.assert_close(gate.softmax(1), torch.stack(sums, 1))
    within = functional.log_softmax_within(logits, groups, 2)
    torch.testing.assert_close(functional.mixture(gate, within, groups), logits.log_softmax(1))
    soft = functional.group_labels(probabilities, groups, 2)
    torch.testing.assert_close(soft, gate.softmax(1))
    assert functional.group_labels(torch.tensor([0, 1, 3]), groups, 2).tolist() == [1, 0, 0]


def test_the_negative_log_likelihood_of_hard_and_of_soft_labels() -> None:
    log_probabilities = normal(4, 3)
    hard = functional.negative_log_likelihood(log_probabilities, torch.tensor([2, 0, 1, 1]))
    expected = -sum(log_probabilities[i, label] for i, label in enumerate([2, 0, 1, 1])) / 4
    torch.testing.assert_close(hard, expected)
    one_hot = torch.eye(3, dtype=torch.float64)[[2, 0, 1, 1]]
    torch.testing.assert_close(
        functional.negative_log_likelihood(log_probabilities, one_hot), expected
    )


def test_members_of_an_ensemble_learn_as_if_alone() -> None:
    logits = normal(5, 3, N_WAY).requires_grad_()
    labels = torch.arange(5) % N_WAY
    loss = functional.ensemble_cross_entropy(logits, labels)
    alone = [functional.cross_entropy(logits[:, member], labels) for member in range(3)]
    torch.testing.assert_close(loss, sum(alone) / 3)
    gradient = torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(gradient, torch.autograd.grad(sum(alone), logits)[0])
    own_labels = torch.arange(17) % N_WAY  # five of each member, and two that none saw
    parts = [
        functional.cross_entropy(logits[:, member], own_labels[5 * member : 5 * member + 5])
        for member in range(3)
    ]
    loss = functional.ensemble_cross_entropy(logits, own_labels)
    torch.testing.assert_close(loss, sum(parts) / 3)
    mean = functional.ensemble_log_probabilities(logits).exp()
    torch.testing.assert_close(mean, logits.softmax(2).mean(1))
