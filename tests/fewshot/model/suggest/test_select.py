"""The choice of images to label. Oracle: properties that every method has, and counting by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fewshot.errors import UserError
from fewshot.model.suggest import select
from fewshot.model.suggest.picks import Pool


def pool(n: int = 60, n_labelled: int = 0, n_way: int = 3) -> Pool:
    """Return random features in clusters that belong to the classes."""
    generator = torch.Generator().manual_seed(n)
    labels = torch.arange(n + n_labelled) % n_way
    noise = torch.randn(n + n_labelled, 8, generator=generator)
    features = 3 * torch.eye(n_way, 8)[labels] + noise
    uncertainty = torch.rand(n, generator=generator) if n_labelled else None
    return Pool(features[n_labelled:], features[:n_labelled], labels[:n_labelled], uncertainty)


@pytest.mark.parametrize("method", select.METHODS)
@pytest.mark.parametrize("budget", [1, 7, 60])
def test_methods_pick_different_images_as_many_as_asked(method, budget):
    picks = select.pick(pool(n_labelled=6), budget, method)
    assert picks.method == method
    assert (picks.indices.dtype, picks.gains.dtype) == (torch.int64, torch.float32)
    assert len(set(picks.indices.tolist())) == len(picks.indices) == len(picks.gains) == budget
    assert set(picks.indices.tolist()) <= set(range(60))


@pytest.mark.parametrize("method", [m for m in select.METHODS if m != "margin"])
def test_methods_pick_without_labels_and_again_the_same(method):
    first, second = (select.pick(pool(), 5, method, seed=3) for _ in range(2))
    assert first.indices.tolist() == second.indices.tolist()


@pytest.mark.parametrize("method", select.METHODS)
def test_of_copies_one_image_at_most_is_picked(method):
    copies = torch.arange(60) // 3 * 3
    indices = select.pick(pool(n_labelled=6), 20, method, copies=copies).indices
    assert sorted(copies[indices].tolist()) == list(range(0, 60, 3))


def test_a_budget_beyond_the_different_images_is_refused():
    with pytest.raises(UserError, match="between 1 and 20"):
        select.pick(pool(), 21, copies=torch.arange(60) // 3)
    with pytest.raises(UserError, match="not 0"):
        select.pick(pool(), 0)


def test_margin_needs_a_classifier():
    with pytest.raises(UserError, match="needs a classifier"):
        select.pick(pool(), 5, "margin")


@pytest.mark.parametrize(
    ("labels", "expected"),
    [([], False), ([0, 0, 1], False), ([0, 0, 2, 2], False), ([0, 0], False), ([1, 0, 0, 1], True)],
)
def test_uncertainty_counts_once_every_class_has_two_labels(labels: list[int], expected: bool):
    assert select.has_enough_labels(torch.tensor(labels, dtype=torch.int64)) is expected


def test_uncertainty_steers_the_picks_only_then():
    base = pool(n_labelled=6)

    def picks(uncertainty: Tensor, labels: list[int]) -> list[int]:
        changed = base._replace(uncertainty=uncertainty, labels=torch.tensor(labels))
        return select.pick(changed, 4, "max-herding").indices.tolist()

    one_cluster = (torch.arange(60) % 3 == 0).float()
    few = [0, 0, 0, 0, 0, 1]
    assert picks(one_cluster, few) == picks(torch.ones(60), few)
    enough = [0, 1, 2, 0, 1, 2]
    assert all(index % 3 == 0 for index in picks(one_cluster, enough))
    assert picks(one_cluster, enough) != picks(torch.ones(60), enough)
