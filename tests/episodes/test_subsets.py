from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from episodes import class_splits, subsets
from episodes.errors import UserError

COUNTS = (7, 12, 30)
NAMES = ("ant", "bee", "cat")
SEEDS = range(5)


def shuffled_labels(counts: tuple[int, ...] = COUNTS) -> Tensor:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]


LABELS = shuffled_labels()


def per_class(indices: Tensor, labels: Tensor = LABELS) -> list[list[int]]:
    """The indices of each class, in the order in which they were picked."""
    return [[i for i in indices.tolist() if labels[i] == label] for label in range(len(COUNTS))]


def counts(indices: Tensor) -> list[int]:
    return [len(each) for each in per_class(indices)]


def equally_often(times: np.ndarray, expected: float, chance: float, n_draws: int) -> None:
    """Each count lies within five standard deviations of a binomial's mean."""
    assert times.mean() == pytest.approx(expected)
    assert abs(times - expected).max() < 5 * (n_draws * chance * (1 - chance)) ** 0.5


def test_by_class_is_what_a_loop_finds():
    found = subsets.by_class(LABELS, 4)
    expected = [
        [i for i, label in enumerate(LABELS.tolist()) if label == each] for each in range(4)
    ]
    assert [each.tolist() for each in found] == expected
    assert expected[3] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_shots_are_exact_distinct_class_by_class_and_nested(seed: int):
    before: list[list[int]] = [[], [], []]
    for k in range(1, 8):
        indices = subsets.shots(LABELS, NAMES, k, seed)
        assert indices.dtype == torch.int64
        assert LABELS[indices].tolist() == [0] * k + [1] * k + [2] * k
        assert len(set(indices.tolist())) == 3 * k
        picked = per_class(indices)
        assert [each[: k - 1] for each in picked] == before
        before = picked


@pytest.mark.parametrize(
    ("p", "expected"),
    [
        (0.001, [1, 1, 1]),
        (0.1, [1, 1, 3]),
        (0.3, [2, 4, 9]),
        (0.5, [4, 6, 15]),
        (0.9, [6, 11, 27]),
        (1, list(COUNTS)),
    ],
)
def test_fraction_rounds_class_by_class_and_takes_one_at_least(p: float, expected: list[int]):
    assert counts(subsets.fraction(LABELS, 3, p, seed=0)) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_fractions_are_nested_and_start_as_the_shots_do(seed: int):
    whole = per_class(subsets.fraction(LABELS, 3, 1.0, seed))
    assert sorted(i for each in whole for i in each) == list(range(len(LABELS)))
    for p in (0.01, 0.2, 0.45, 0.8):
        part = per_class(subsets.fraction(LABELS, 3, p, seed))
        assert part == [each[: len(some)] for each, some in zip(whole, part, strict=True)]
    assert per_class(subsets.shots(LABELS, NAMES, 7, seed)) == [each[:7] for each in whole]


def test_subsets_repeat_for_a_seed_and_differ_between_seeds():
    def subset(seed: int) -> tuple[int, ...]:
        return tuple(subsets.shots(LABELS, NAMES, 5, seed).tolist())

    assert subset(3) == subset(3)
    assert len({subset(seed) for seed in range(20)}) == 20


def test_every_image_and_every_order_is_chosen_equally_often():
    labels, n_seeds = shuffled_labels((3, 3, 10)), 1200
    times, orders = np.zeros(16), Counter()
    for seed in range(n_seeds):
        picked = subsets.shots(labels, NAMES, 3, seed)
        times[picked.numpy()] += 1
        orders[tuple(picked[:3].tolist())] += 1
    equally_often(times[(labels == 2).numpy()], 0.3 * n_seeds, 0.3, n_seeds)
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_classes_of_one_size_do_not_share_their_permutation():
    labels = torch.arange(40) % 2
    picked = subsets.shots(labels, ("a", "b"), 20, seed=0)
    assert (picked[:20] // 2).tolist() != (picked[20:] // 2).tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: subsets.shots(LABELS, NAMES, 8, 0), ["8 shots", "'ant'", "only 7"]),
        (lambda: subsets.shots(LABELS, (*NAMES, "dog"), 1, 0), ["'dog'", "only 0"]),
        (lambda: subsets.shots(LABELS, NAMES, 0, 0), ["at least 1", "0"]),
        (lambda: subsets.fraction(LABELS, 3, 0.0, 0), ["above 0", "0.0"]),
        (lambda: subsets.fraction(LABELS, 3, 1.5, 0), ["at most 1", "1.5"]),
        (
            lambda: subsets.hold_out(torch.tensor([0, 0, 1]), 0.5, 0),
            ["two labelled images of every class"],
        ),
        (lambda: class_splits.base_novel(10, 0, 0), ["between 1 and 9", "0"]),
        (lambda: class_splits.base_novel(10, 10, 0), ["between 1 and 9", "10"]),
        (lambda: class_splits.superclasses(NAMES, {"insect": ("ant", "bee")}), ["'cat'"]),
    ],
)
def test_bad_requests_are_told_in_words(call: Callable, words: list[str]):
    with pytest.raises(UserError) as error:
        call()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.01, [1, 1, 1]), (0.2, [1, 2, 6]), (0.4, [3, 5, 12]), (0.99, [6, 11, 29])],
)
def test_hold_out_is_stratified_disjoint_and_complete(share: float, expected: list[int]):
    kept, held = subsets.hold_out(LABELS, share, split_seed=0)
    assert counts(held) == expected
    assert sorted([*kept.tolist(), *held.tolist()]) == list(range(len(LABELS)))


def test_hold_out_follows_its_own_seed_alone():
    def held(split_seed: int) -> list[int]:
        return subsets.hold_out(LABELS, 0.2, split_seed)[1].tolist()

    torch.manual_seed(0)
    first = held(0)
    torch.manual_seed(1)
    assert held(0) == first
    assert len({tuple(held(seed)) for seed in range(20)}) == 20
    times, n_seeds = np.zeros(len(LABELS)), 600
    for seed in range(n_seeds):
        times[held(seed)] += 1
    equally_often(times[(LABELS == 2).numpy()], 0.2 * n_seeds, 0.2, n_seeds)


def test_hold_out_skips_a_class_without_images():
    kept, held = subsets.hold_out(torch.tensor([0, 2, 0, 2]), 0.5, split_seed=0)
    assert (len(kept), len(held)) == (2, 2)


@pytest.mark.parametrize("n_folds", [2, 4, 5])
def test_folds_partition_and_are_stratified(n_folds: int):
    found = subsets.folds(LABELS, n_folds, split_seed=0)
    everything = list(range(len(LABELS)))
    assert sorted(i for _, held in found for i in held.tolist()) == everything
    for kept, held in found:
        assert sorted([*kept.tolist(), *held.tolist()]) == everything
    of_fold = np.array([counts(held) for _, held in found])
    assert (of_fold.max(0) - of_fold.min(0) <= 1).all()
    other = subsets.folds(LABELS, n_folds, split_seed=1)
    assert [held.tolist() for _, held in other] != [held.tolist() for _, held in found]


def test_base_and_novel_classes_are_disjoint_sorted_and_even_over_seeds():
    times, n_seeds = np.zeros(10), 500
    for seed in range(n_seeds):
        base, novel = (each.tolist() for each in class_splits.base_novel(10, 4, seed))
        assert (base, novel) == (sorted(base), sorted(novel))
        assert len(novel) == 4
        assert sorted(base + novel) == list(range(10))
        times[novel] += 1
    equally_often(times, 0.4 * n_seeds, 0.4, n_seeds)


def test_superclasses_are_numbered_in_the_order_of_the_groups():
    groups = {"pet": ("cat", "dog"), "insect": ("bee", "ant")}
    assert class_splits.superclasses(NAMES, groups).tolist() == [1, 1, 0]
