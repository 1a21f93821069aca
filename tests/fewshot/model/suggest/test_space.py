"""Features for comparisons. Oracles: NumPy's full singular value decomposition, and cosines."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fewshot.model.suggest import space
from fewshot.model.suggest.picks import Pool

GENERATOR = torch.Generator().manual_seed(0)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_short_features_are_centred_over_all_images_and_scaled():
    features, labelled = torch.rand(9, 4, generator=GENERATOR), torch.rand(3, 4)
    ours = space.prepared(Pool(features, labelled, torch.zeros(3, dtype=torch.int64)))
    mean = torch.cat([features, labelled]).numpy().mean(0)
    assert ours.features.numpy() == pytest.approx(unit(features.numpy() - mean), abs=1e-6)
    assert ours.labelled.numpy() == pytest.approx(unit(labelled.numpy() - mean), abs=1e-6)


def test_long_features_are_projected_where_they_vary_most(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(space, "DIRECTIONS", 5)
    scales = torch.tensor([9.0, 8, 7, 6, 5] + [0.5] * 15)
    mixing = torch.linalg.qr(torch.randn(20, 20, generator=GENERATOR))[0]
    rows = (torch.randn(220, 20, generator=GENERATOR) * scales) @ mixing
    labels = torch.zeros(20, dtype=torch.int64)
    ours = space.prepared(Pool(rows[:200], rows[200:], labels))
    centred = unit(rows.numpy() - rows.numpy().mean(0))
    axes = np.linalg.svd(centred[:200], full_matrices=False)[2][:5]
    expected = unit(centred @ axes.T)
    points = torch.cat([ours.features, ours.labelled]).numpy()
    assert points.shape == (220, 5)
    assert points @ points.T == pytest.approx(expected @ expected.T, abs=1e-3)


def test_the_nearest_image_is_that_of_all_pairs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(space, "BLOCK", 3)
    points = torch.from_numpy(unit(np.random.default_rng(0).normal(size=(20, 4))))
    expected = (points[:13].numpy() @ points[13:].numpy().T).max(1)
    assert space.nearest(points[:13].float(), points[13:].float()).numpy() == pytest.approx(
        expected, abs=1e-6
    )
    assert space.nearest(points, points[:0]).tolist() == [-1.0] * 20
