"""Oracle: losses of probabilities that numpy computes on a grid, and splits checked by hand."""

from __future__ import annotations

import numpy as np
import torch

from fewshot.model import comparing


def test_a_score_is_the_loss_at_the_best_temperature_and_ignores_the_scale() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat(20)
    logits = torch.randn(60, 3, generator=random) + torch.eye(3)[labels]
    score = comparing.score(logits, labels)
    losses = []
    for temperature in 2.0 ** np.linspace(-5, 5, 81):
        rows = np.exp(logits.numpy() / temperature)
        shares = rows[np.arange(60), labels] / rows.sum(1)
        losses.append(-np.log(shares).mean())
    assert abs(score.loss - min(losses)) < 1e-6
    assert score.accuracy == (logits.argmax(1) == labels).double().mean()
    larger = comparing.score(4 * logits, labels)  # 4 is a step of the grid
    assert abs(larger.loss - score.loss) < 1e-6


def test_weights_decide_as_repeats_of_the_images_would() -> None:
    logits, labels = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]), torch.tensor([0, 1, 1])
    weighted = comparing.score(logits, labels, torch.tensor([2.0, 1.0, 1.0]))
    repeated = comparing.score(logits[[0, 0, 1, 2]], labels[[0, 0, 1, 2]])
    assert abs(weighted.loss - repeated.loss) < 1e-12
    assert weighted.accuracy == repeated.accuracy


def test_splits_hold_out_every_image_once_a_repeat_and_stop_when_there_are_enough() -> None:
    labels = torch.arange(4).repeat(6)
    splits = comparing.splits(labels, None, seed=0)
    held_out = torch.cat([outside for _, outside in splits]).bincount()
    assert held_out.tolist() == [comparing.REPEATS] * 24
    many = torch.arange(4).repeat(5000)
    assert len(comparing.splits(many, None, seed=0)) == 1


def test_copies_are_never_on_both_sides_of_a_split() -> None:
    labels, clusters = torch.arange(4).repeat_interleave(6), torch.arange(12).repeat_interleave(2)
    for inside, outside in comparing.splits(labels, clusters, seed=0):
        assert not set(clusters[inside].tolist()) & set(clusters[outside].tolist())


def test_what_is_worse_by_more_than_chance_is_hopeless() -> None:
    labels = torch.zeros(50, dtype=torch.int64)
    good = torch.tensor([[2.0, 0.0]]).repeat(50, 1)
    mixed = torch.tensor([[2.0, 0.0], [0.0, 2.0]]).repeat(25, 1)
    good, mixed = (comparing.score(logits, labels) for logits in (good, mixed))
    assert comparing.is_hopeless(mixed, good)
    assert not comparing.is_hopeless(good, mixed)
    assert not comparing.is_hopeless(good, good)
