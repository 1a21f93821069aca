"""Oracles: scipy's distances, and probabilities computed in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from fewshot.heads.transductive import geometry


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_distances_are_those_of_scipy() -> None:
    a, b = random(3, 7, 5), random(3, 4, 5, seed=1)
    squares = geometry.squared_distances(a, b)
    for t in range(3):
        np.testing.assert_allclose(squares[t], cdist(a[t], b[t], "sqeuclidean"), rtol=1e-10)
    assert (geometry.squared_distances(a.float(), a.float()) >= 0).all()


def test_logarithms_of_shares() -> None:
    values = torch.tensor([[[1.0, 3.0, 0.0], [0.0, 0.0, 5.0]]])
    shares = geometry.log_probabilities(values).exp().numpy()
    np.testing.assert_allclose(shares, [[[0.25, 0.75, 0], [0, 0, 1]]], atol=1e-6)
    assert geometry.log_probabilities(torch.zeros(1, 2, 3)).isfinite().all()


@pytest.mark.parametrize("n_features", [4, 40])
def test_coordinates_have_the_inner_products_of_the_features(n_features: int) -> None:
    support, query = random(3, 2, n_features), random(3, 9, n_features, seed=1)
    short_support, short_query = geometry.coordinates(support, query)
    assert short_query.shape == (3, 9, min(n_features, 11))
    torch.testing.assert_close(short_support @ short_query.mT, support @ query.mT)
    torch.testing.assert_close(short_query @ short_query.mT, query @ query.mT)
