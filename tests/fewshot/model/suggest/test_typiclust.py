"""Typical images of clusters. Oracle: scikit-activeml's TypiClust with the same clusters."""

from __future__ import annotations

import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.neighbors import NearestNeighbors

from fewshot.model.suggest import clusters, typiclust
from tests.fewshot.model.suggest import activeml


@pytest.mark.parametrize("n_labelled", [0, 10])
def test_picks_are_those_of_scikit_activeml(n_labelled: int):
    strategies = pytest.importorskip("skactiveml.pool")
    pool = activeml.prepared_pool(400, n_labelled)
    strategy = strategies.TypiClust(
        cluster_algo=KMeans,
        cluster_algo_dict={"n_init": clusters.N_STARTS, "random_state": 5},
        k=typiclust.NEIGHBOURS,
        random_state=0,
    )
    expected, _ = activeml.query(strategy, pool, 8)
    assert set(typiclust.select(pool, 8, 5)[0].tolist()) == set(expected)


def test_typicality_is_one_over_the_mean_distance_to_the_neighbours():
    features = activeml.prepared_pool(50, 0).features
    neighbours = NearestNeighbors(n_neighbors=typiclust.NEIGHBOURS + 1).fit(features)
    distances = neighbours.kneighbors(features)[0][:, 1:]
    result = typiclust.typicalities(features)
    assert result.numpy() == pytest.approx(1 / distances.mean(1), rel=1e-3)
    assert typiclust.typicalities(features[:1]).tolist() == [1.0]


def test_large_clusters_are_compared_in_part(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(typiclust, "MOST_COMPARED", 10)
    picks = typiclust.select(activeml.prepared_pool(200, 0), 4, 0)[0]
    assert len(set(picks.tolist())) == 4
    assert torch.equal(picks, typiclust.select(activeml.prepared_pool(200, 0), 4, 0)[0])
