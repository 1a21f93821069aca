"""Coverage. Oracles: scikit-activeml's MaxHerding at the same kernel, and the sums by hand."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from fewshot.model.suggest import max_herding
from fewshot.model.suggest.picks import Pool
from tests.fewshot.model.suggest import activeml


@pytest.mark.parametrize("n_labelled", [0, 1, 12])
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_picks_are_those_of_scikit_activeml(n_labelled: int, bandwidth: float):
    strategies = pytest.importorskip("skactiveml.pool")
    pool = activeml.prepared_pool(300, n_labelled)
    strategy = strategies.MaxHerding(metric_dict={"gamma": 1 / (2 * bandwidth**2)}, random_state=0)
    expected, utilities = activeml.query(strategy, pool, 25)
    picks, gains = max_herding.select(pool, 25, 0, bandwidth)
    assert picks.tolist() == expected
    assert gains.numpy() == pytest.approx(utilities, rel=1e-4)


def exhaustive(pool: Pool, budget: int, bandwidth: float) -> tuple[list[int], list[float]]:
    """Return the greedy picks, with every gain computed anew for every pick."""
    points = torch.cat([pool.features, pool.labelled]).double()
    similar = (-(torch.cdist(points, points) ** 2) / (2 * bandwidth**2)).exp()
    n = len(pool.features)
    weights = torch.ones(n).double() if pool.uncertainty is None else pool.uncertainty.double()
    chosen, gains = list(range(n, len(points))), []

    def coverage(some: list[int]) -> float:
        best = similar[:n, some].amax(1) if some else torch.zeros(n).double()
        return float((weights * best).sum() / n)

    for _ in range(budget):
        after = [coverage([*chosen, i]) if i not in chosen else -1.0 for i in range(n)]
        gains.append(max(after) - coverage(chosen))
        chosen.append(after.index(max(after)))
    return chosen[len(points) - n :], gains


@pytest.mark.parametrize("n_labelled", [0, 5])
@pytest.mark.parametrize("weighted", [False, True])
def test_picks_are_those_of_an_exhaustive_search(n_labelled: int, weighted: bool):
    pool = activeml.prepared_pool(40, n_labelled, seed=1)
    if weighted:
        pool = pool._replace(uncertainty=torch.rand(40, generator=torch.Generator().manual_seed(2)))
    expected, values = exhaustive(pool, 40, 0.6)
    picks, gains = max_herding.select(pool, 40, 0, 0.6)
    assert gains.tolist() == pytest.approx(values, abs=1e-6)
    assert sorted(picks.tolist()) == list(range(40))
    if weighted:  # otherwise two images that cover each other are equally good
        assert picks.tolist() == expected


def test_a_sample_of_a_large_pool_measures_coverage(monkeypatch: pytest.MonkeyPatch):
    pool = activeml.prepared_pool(400, 0, seed=3)
    exact = max_herding.select(pool, 5, 0, 0.7)[1].sum()
    monkeypatch.setattr(max_herding, "REFERENCES", 100)
    picks = [max_herding.select(pool, 5, seed, 0.7)[0] for seed in (0, 1)]
    assert picks[0].tolist() != picks[1].tolist()
    for some in picks:
        cosines = (pool.features @ pool.features[some].T).amax(1)
        assert max_herding.kernel(cosines, 0.7).mean() > 0.9 * exact


def test_the_search_ends_when_no_image_adds_anything():
    picks: list[int] = []

    def search() -> None:
        features = torch.nn.functional.normalize(torch.ones(80, 8), dim=1)
        pool = Pool(features, features[:1], torch.zeros(1, dtype=torch.int64))
        picks.extend(max_herding.select(pool, 40, 0)[0].tolist())

    thread = Thread(target=search, daemon=True)
    thread.start()
    thread.join(10)
    assert len(set(picks)) == 40
