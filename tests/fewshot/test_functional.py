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


def test_prototypes_and_distances_are_a_nearest_centroid_classifier():
    features, labels = support()
    queries = normal(200, 6, seed=1) + 1.5
    prototypes = functional.prototypes(features, labels, N_WAY)
    oracle = NearestCentroid().fit(features.numpy(), labels.numpy())
    np.testing.assert_allclose(prototypes, oracle.centroids_, rtol=1e-12)
    nearest = functional.squared_distances(queries, prototypes).argmin(1)
    assert nearest.tolist() == oracle.predict(queries.numpy()).tolist()
    assert len(set(nearest.tolist())) == N_WAY


def test_prototypes_do_not_depend_on_order_and_are_zero_without_support():
    features, labels = support()
    found = functional.prototypes(features, labels, N_WAY + 1)
    assert found[N_WAY].tolist() == [0.0] * 6
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        functional.prototypes(features[order], labels[order], N_WAY + 1), found
    )


def test_prototype_of_a_single_image_is_that_image():
    features = normal(3, 5).float()
    found = functional.prototypes(features, torch.tensor([2, 0, 1]), 3)
    assert found.dtype == torch.float32
    assert torch.equal(found, features[[1, 2, 0]])


def test_squared_distances_against_scipy():
    a, b = normal(9, 5), normal(4, 5, seed=1)
    np.testing.assert_allclose(
        functional.squared_distances(a, b), cdist(a, b, "sqeuclidean"), rtol=1e-12
    )


def test_squared_distances_are_exact_where_they_are_small():
    a = (
        1000 + 1e-3 * normal(40, 64)
    ).float()  # |a|^2 + |b|^2 - 2ab would give nothing but rounding here
    exact = cdist(a.double(), a.double(), "sqeuclidean")
    np.testing.assert_allclose(functional.squared_distances(a, a), exact, rtol=1e-5)


def test_cosine_similarities_against_scikit_learn():
    a, b = normal(9, 5), 100 * normal(4, 5, seed=1)
    a[3] = 0
    np.testing.assert_allclose(
        functional.cosine_similarities(a, b), cosine_similarity(a, b), atol=1e-12
    )


def slow_cross_entropy(logits: list[list[float]], targets: list[list[float]]) -> float:
    """-sum_c y_c log softmax(z)_c, averaged over the rows, in loops."""
    total = 0.0
    for row, target in zip(logits, targets, strict=True):
        log_sum = math.log(sum(math.exp(each) for each in row))
        for logit, share in zip(row, target, strict=True):
            total -= share * (logit - log_sum)
    return total / len(logits)


@pytest.mark.parametrize("soft", [False, True])
def test_cross_entropy_against_loops(soft: bool):
    logits, labels = 3 * normal(11, N_WAY), torch.arange(11) % N_WAY
    targets = (
        torch.softmax(normal(11, N_WAY, seed=1), 1)
        if soft
        else torch.eye(N_WAY, dtype=torch.float64)[labels]
    )
    found = functional.cross_entropy(logits, targets if soft else labels)
    assert found.shape == ()
    assert found.item() == pytest.approx(
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
def test_gradients_against_finite_differences(name: str):
    function, shapes = GRADIENTS[name]
    inputs = [normal(*shape, seed=seed).requires_grad_() for seed, shape in enumerate(shapes)]
    assert torch.autograd.gradcheck(function, inputs)


@pytest.mark.parametrize("quarter", range(4))
def test_quarter_turns_are_numpy_s(quarter: int):
    images = normal(10, 3, 5, 5)
    turned, turns = functional.quarter_turns(images)
    assert turns.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]
    np.testing.assert_array_equal(
        turned[quarter], np.rot90(images[quarter].numpy(), quarter, (1, 2))
    )
    assert not torch.equal(turned[1:4], images[1:4])


def test_distillation_is_the_divergence_at_a_temperature_and_its_gradient_keeps_its_size() -> None:
    """Against scipy, an image at a time; and no gradient where logits agree with what is taught."""
    from scipy.special import rel_entr, softmax

    logits, taught = normal(7, N_WAY).requires_grad_(), (normal(7, N_WAY, seed=1) / 3).softmax(1)
    expected = [
        9 * rel_entr(target, softmax(row / 3)).sum()
        for row, target in zip(logits.detach().numpy(), taught.numpy(), strict=True)
    ]
    loss = functional.distillation(logits, taught, 3.0)
    np.testing.assert_allclose(loss.item(), np.mean(expected), rtol=1e-10)
    slopes = []
    for temperature in (
        1.0,
        100.0,
    ):  # hot, it is the squared difference of centred logits over twice their number
        other = (normal(7, N_WAY, seed=2) / temperature).softmax(1)
        slopes.append(
            torch.autograd.grad(functional.distillation(logits, other, temperature), logits)[
                0
            ].norm()
        )
    assert 0.1 < slopes[1] / slopes[0] < 10
    agreed = functional.distillation(logits, (logits / 3).softmax(1).detach(), 3.0)
    torch.testing.assert_close(torch.autograd.grad(agreed, logits)[0], torch.zeros_like(logits))


def test_decorrelation_is_a_power_of_the_scatter_within_the_classes():
    """Against scipy's fractional matrix power of the mean of the classes' covariances, written as loops."""
    from scipy.linalg import fractional_matrix_power

    labels = torch.arange(200) % N_WAY
    features = normal(200, 6) @ normal(6, 6, seed=1) + 5 * normal(N_WAY, 6, seed=2)[labels]
    scatter = np.zeros((6, 6))
    for label in range(N_WAY):
        members = features[labels == label].numpy()
        scatter += np.cov(members.T, bias=True) * len(members) / 200
    scatter /= np.trace(scatter) / 6
    expected = fractional_matrix_power(scatter + 0.1 * np.eye(6), -0.25)
    expected /= np.sqrt((((features - features.mean(0)).numpy() @ expected) ** 2).mean())
    shift, mix = functional.decorrelation(features, labels, N_WAY)
    np.testing.assert_allclose(mix, expected, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(shift, features.numpy().mean(0), rtol=1e-12)
    single, _ = functional.decorrelation(features.float(), labels, N_WAY)
    assert single.dtype == torch.float32


def test_roots_keep_sign_and_order_and_have_a_bounded_slope():
    features = torch.tensor(
        [-4.0, -1.0, -0.01, 0.0, 0.01, 0.5, 1.0, 9.0], dtype=torch.float64, requires_grad=True
    )
    found = functional.signed_root(features)
    expected = [
        math.copysign(math.sqrt(abs(each) + 0.01) - 0.1, each) for each in features.tolist()
    ]
    torch.testing.assert_close(found.tolist(), expected)
    assert bool((found.diff() > 0).all())
    slopes = torch.autograd.grad(found.sum(), features)[0]
    assert bool(slopes.isfinite().all())
    assert slopes.max() < 5 + 1e-9  # 1 / (2 sqrt(0.01))
    assert torch.autograd.gradcheck(functional.signed_root, features[features != 0])


def test_nothing_is_decorrelated_where_nothing_varies_within_the_classes():
    features = normal(4, 5).float()
    shift, mix = functional.decorrelation(features, torch.arange(4), 4)  # one image a class
    assert torch.equal(mix, torch.eye(5))
    torch.testing.assert_close(shift, features.mean(0))


def test_decorrelation_bears_features_that_are_constant():
    features = normal(40, 4)
    features[:, 2] = 0
    _, mix = functional.decorrelation(features, torch.arange(40) % N_WAY, N_WAY)
    assert bool(mix.isfinite().all())
