"""Picks that are far from all others. Oracle: scikit-activeml's CoreSet."""

from __future__ import annotations

import pytest
import torch

from fewshot.model.suggest import coreset
from tests.fewshot.model.suggest import activeml


@pytest.mark.parametrize("n_labelled", [1, 10])
def test_picks_are_those_of_scikit_activeml(n_labelled: int):
    strategies = pytest.importorskip("skactiveml.pool")
    pool = activeml.prepared_pool(300, n_labelled)
    expected, utilities = activeml.query(strategies.CoreSet(random_state=0), pool, 30)
    picks, distances = coreset.select(pool, 30, 0)
    assert picks.tolist() == expected
    assert distances.numpy() == pytest.approx(utilities, rel=1e-3)


def test_without_labels_the_first_pick_is_the_image_nearest_to_the_mean():
    pool = activeml.prepared_pool(100, 0)
    first = torch.cdist(pool.features, pool.features.mean(0, keepdim=True)).argmin()
    assert coreset.select(pool, 3, 0)[0][0] == first
