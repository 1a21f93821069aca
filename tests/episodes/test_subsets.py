"""Oracles: plain loops over the labels, set arithmetic, and tests of uniformity over seeds."""

import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from episodes import subsets
from episodes.errors import UserError

COUNTS = (7, 12, 30)
NAMES = ("ant", "bee", "cat")
SEEDS = range(5)


def shuffled_labels(counts: tuple[int, ...] = COUNTS) -> Tensor:
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))]


LABELS = shuffled_labels()


def grouped(indices: Tensor, labels: Tensor = LABELS) -> list[list[int]]:
    """The indices of each class, in the order in which they were selected."""
    return [[i for i in indices.tolist() if labels[i] == label] for label in range(len(COUNTS))]


def counts(indices: Tensor) -> list[int]:
    return [len(group) for group in grouped(indices)]


def assert_equally_often(times: np.ndarray, p: float, n_trials: int) -> None:
    """Each count lies within five standard deviations of the binomial's mean."""
    assert times.mean() == pytest.approx(p * n_trials)
    assert abs(times - p * n_trials).max() < 5 * (n_trials * p * (1 - p)) ** 0.5


def test_by_class_agrees_with_a_loop():
    expected = [
        [i for i, label in enumerate(LABELS.tolist()) if label == own_label]
        for own_label in range(4)
    ]
    assert [indices.tolist() for indices in subsets.by_class(LABELS, 4)] == expected
    assert expected[3] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_shots_gives_k_distinct_images_per_class_and_is_nested_in_k(seed: int):
    smaller: list[list[int]] = [[], [], []]
    for k in range(1, 8):
        indices = subsets.shots(LABELS, NAMES, k, seed)
        assert indices.dtype == torch.int64
        assert LABELS[indices].tolist() == [0] * k + [1] * k + [2] * k
        assert len(set(indices.tolist())) == 3 * k
        groups = grouped(indices)
        assert [group[: k - 1] for group in groups] == smaller
        smaller = groups


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
def test_fraction_rounds_per_class_and_selects_at_least_one_image(p: float, expected: list[int]):
    assert counts(subsets.fraction(LABELS, 3, p, seed=0)) == expected


@pytest.mark.parametrize("seed", SEEDS)
def test_fractions_are_nested_and_begin_with_the_images_of_shots(seed: int):
    whole = grouped(subsets.fraction(LABELS, 3, 1.0, seed))
    assert sorted(i for group in whole for i in group) == list(range(len(LABELS)))
    for p in (0.01, 0.2, 0.45, 0.8):
        part = grouped(subsets.fraction(LABELS, 3, p, seed))
        assert part == [group[: len(own)] for group, own in zip(whole, part, strict=True)]
    assert grouped(subsets.shots(LABELS, NAMES, 7, seed)) == [group[:7] for group in whole]


def test_equal_seeds_give_equal_subsets_and_different_seeds_different_ones():
    def subset(seed: int) -> tuple[int, ...]:
        return tuple(subsets.shots(LABELS, NAMES, 5, seed).tolist())

    assert subset(3) == subset(3)
    assert len({subset(seed) for seed in range(20)}) == 20


def test_every_image_and_every_order_is_selected_equally_often():
    labels, n_seeds = shuffled_labels((3, 3, 10)), 1200
    times, orders = np.zeros(16), Counter()
    for seed in range(n_seeds):
        indices = subsets.shots(labels, NAMES, 3, seed)
        times[indices.numpy()] += 1
        orders[tuple(indices[:3].tolist())] += 1
    assert_equally_often(times[(labels == 2).numpy()], 0.3, n_seeds)
    assert len(orders) == 6
    assert stats.chisquare(list(orders.values())).pvalue > 1e-3


def test_classes_of_equal_size_have_different_permutations():
    labels = torch.arange(40) % 2
    indices = subsets.shots(labels, ("a", "b"), 20, seed=0)
    assert (indices[:20] // 2).tolist() != (indices[20:] // 2).tolist()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: subsets.shots(LABELS, NAMES, 8, 0), ["shots=8", "'ant'", "only 7"]),
        (lambda: subsets.shots(LABELS, (*NAMES, "dog"), 1, 0), ["'dog'", "only 0"]),
        (lambda: subsets.shots(LABELS, NAMES, 0, 0), ["at least 1", "0"]),
        (lambda: subsets.fraction(LABELS, 3, 0.0, 0), ["above 0", "0.0"]),
        (lambda: subsets.fraction(LABELS, 3, 1.5, 0), ["at most 1", "1.5"]),
        (
            lambda: subsets.hold_out(torch.tensor([0, 0, 1]), 0.5, 0),
            ["two labelled images of every class", "more shots"],
        ),
    ],
)
def test_bad_requests_raise_an_error_that_names_the_value(
    call: Callable[[], Tensor], words: list[str]
):
    with pytest.raises(UserError) as error:
        call()
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.01, [1, 1, 1]), (0.2, [1, 2, 6]), (0.4, [3, 5, 12]), (0.99, [6, 11, 29])],
)
def test_a_hold_out_is_stratified_disjoint_and_complete(share: float, expected: list[int]):
    train, validation = subsets.hold_out(LABELS, share, split_seed=0)
    assert counts(validation) == expected
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(len(LABELS)))


def test_a_hold_out_depends_on_its_seed_alone_and_is_uniform():
    def validation(split_seed: int) -> list[int]:
        return subsets.hold_out(LABELS, 0.2, split_seed)[1].tolist()

    torch.manual_seed(0)
    first = validation(0)
    torch.manual_seed(1)
    assert validation(0) == first
    assert len({tuple(validation(seed)) for seed in range(20)}) == 20
    times, n_seeds = np.zeros(len(LABELS)), 600
    for seed in range(n_seeds):
        times[validation(seed)] += 1
    assert_equally_often(times[(LABELS == 2).numpy()], 0.2, n_seeds)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [2, 4, 7])
def test_a_pair_of_copies_leaves_every_other_class_its_validation_images(seed: int, n: int):
    labels = torch.arange(10).repeat_interleave(n)
    clusters = torch.arange(10 * n)
    clusters[1] = 0
    inside, outside = subsets.hold_out(labels, 0.2, seed, clusters)
    by_class = labels[outside].bincount(minlength=10).tolist()
    assert by_class == [0 if n == 2 else 1] + [1] * 9  # two copies are a class of one image
    assert len({0, 1} & set(outside.tolist())) != 1
    assert sorted([*inside.tolist(), *outside.tolist()]) == list(range(10 * n))


def test_a_class_of_large_groups_is_held_out_by_the_smallest_excess():
    labels = torch.tensor([0] * 6 + [1] * 10)
    clusters = torch.tensor([0, 0, 0, 1, 1, 1, *range(2, 12)])
    _, outside = subsets.hold_out(labels, 0.2, 0, clusters)
    assert labels[outside].bincount().tolist() == [3, 2]
    mixed = torch.tensor([0, 0, 1, 1, 1, 1, *range(2, 12)])  # of both classes
    mixed[7] = 0
    _, outside = subsets.hold_out(labels, 0.2, 1, mixed)
    assert (0 in outside.tolist()) == (7 in outside.tolist())
    with pytest.raises(UserError, match="at least two labelled images"):
        subsets.hold_out(torch.tensor([0, 0, 1]), 0.2, 0, torch.tensor([0, 0, 2]))


def test_a_hold_out_ignores_classes_without_images():
    train, validation = subsets.hold_out(torch.tensor([0, 2, 0, 2]), 0.5, split_seed=0)
    assert (len(train), len(validation)) == (2, 2)


@pytest.mark.parametrize("n_folds", [2, 4, 5])
def test_folds_are_stratified_and_hold_every_image_out_once(n_folds: int):
    folds = subsets.folds(LABELS, n_folds, split_seed=0)
    everything = list(range(len(LABELS)))
    assert sorted(i for _, held_out in folds for i in held_out.tolist()) == everything
    for train, held_out in folds:
        assert sorted([*train.tolist(), *held_out.tolist()]) == everything
    counts_by_fold = np.array([counts(held_out) for _, held_out in folds])
    assert (counts_by_fold.max(0) - counts_by_fold.min(0) <= 1).all()
    other_folds = subsets.folds(LABELS, n_folds, split_seed=1)
    assert [held_out.tolist() for _, held_out in other_folds] != [
        held_out.tolist() for _, held_out in folds
    ]


def test_single_classes_may_have_other_numbers():
    selected = subsets.shots(LABELS, NAMES, 3, 0, {"cat": 20, "ant": 1})
    assert counts(selected) == [1, 3, 20]
    three = grouped(subsets.shots(LABELS, NAMES, 3, 0))
    ours = grouped(selected)
    assert ours[1] == three[1]
    assert ours[2][:3] == three[2]  # nested


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"dog": 2}, "the class 'dog', which the data does not have: its classes are ant, bee"),
        ({"ant": 8}, "asks for 8 images of class 'ant', which has only 7: ask for at most 7"),
    ],
)
def test_wrong_numbers_of_single_classes_are_explained(numbers: dict, message: str):
    with pytest.raises(UserError, match=message):
        subsets.shots(LABELS, NAMES, 3, 0, numbers)


def test_a_small_class_may_have_its_own_number():
    with pytest.raises(UserError, match=r"'ant' has only 7.*its own number in class_shots"):
        subsets.shots(LABELS, NAMES, 9, 0)
    assert counts(subsets.shots(LABELS, NAMES, 9, 0, {"ant": 7})) == [7, 9, 9]


@pytest.mark.parametrize("clusters", [None, torch.arange(len(LABELS)) // 2])
def test_parts_are_what_the_folds_hold_out(clusters: torch.Tensor | None) -> None:
    folds = subsets.folds(LABELS, 3, 1, clusters)
    parts = list(subsets.parts(LABELS, 3, 1, clusters))
    assert [part.tolist() for part in parts] == [outside.tolist() for _, outside in folds]
    assert torch.equal(torch.cat(parts).sort().values, torch.arange(len(LABELS)))


def in_folds(labels: torch.Tensor, fold_of_index: torch.Tensor, n_folds: int) -> np.ndarray:
    """Return the images of each class in each fold [n_folds, n_classes], counted one by one."""
    table = np.zeros((n_folds, int(labels.max()) + 1), dtype=int)
    for label, fold in zip(labels.tolist(), fold_of_index.tolist(), strict=True):
        table[fold, label] += fold >= 0
    return table


@pytest.mark.parametrize("n_folds", [2, 3, 5, 10])
@pytest.mark.parametrize("sizes", [(14,) * 6, (3, 3, 3, 3, 3), (2, 7, 40), (100, 3)])
def test_each_fold_has_its_share_of_every_class_and_of_all_images(n_folds, sizes):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]
    for seed in range(5):
        folds = subsets.fold_of_each(labels, n_folds, seed)
        assert set(folds.tolist()) == set(range(n_folds))
        table = in_folds(labels, folds, n_folds)
        assert table.sum() == len(labels)
        assert (table.max(0) - table.min(0) <= 1).all()
        assert np.ptp(table.sum(1)) <= 1
        assert (table.sum(0) > table).all()  # every class has an image outside each fold


def test_a_split_depends_on_its_seed_alone():
    labels = torch.arange(4).repeat(15)
    first, again, other = (subsets.fold_of_each(labels, 5, seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert (first != other).float().mean() > 0.5


def test_the_only_image_or_cluster_of_a_class_is_never_tested():
    labels = torch.tensor([0, 0, 0, 0, 1, 2, 2, 2])
    clusters = torch.tensor([9, 9, 4, 5, 6, 7, 7, 7])
    alone = [True, True, True, True, False, True, True, True]
    assert subsets.can_be_tested(labels).tolist() == alone
    grouped = [True, True, True, True, False, False, False, False]
    assert subsets.can_be_tested(labels, clusters).tolist() == grouped
    folds = subsets.fold_of_each(labels, 3, 0, clusters)
    assert (folds >= 0).tolist() == grouped
    assert folds[0] == folds[1]
    # A cluster that holds all images of one class and some of another is never tested as a whole.
    mixed = subsets.fold_of_each(torch.tensor([0, 0, 0, 1, 1]), 2, 0, torch.tensor([1, 2, 3, 3, 3]))
    assert (mixed >= 0).tolist() == [True, True, False, False, False]


@pytest.mark.parametrize("seed", range(4))
def test_clusters_stay_together_and_classes_are_still_spread(seed: int):
    random = np.random.default_rng(seed)
    sizes = random.integers(1, 6, 80)
    clusters = np.repeat(np.arange(80) * 7 - 100, sizes)  # numbers with gaps, some negative
    labels = np.repeat(random.integers(0, 3, 80), sizes)
    mixed = random.random(len(labels)) < 0.05
    labels[mixed] = random.integers(0, 3, mixed.sum())
    folds = subsets.fold_of_each(torch.from_numpy(labels), 5, seed, torch.from_numpy(clusters))
    for cluster in np.unique(clusters):
        assert len(set(folds[clusters == cluster].tolist())) == 1
    table = in_folds(torch.from_numpy(labels), folds, 5)
    assert table.sum() == len(labels)
    shares = table / table.sum(0)
    assert shares.min() > 0.1
    assert shares.max() < 0.32


def test_folds_of_many_images_take_moments():
    labels = torch.arange(10).repeat(6000)
    clusters = torch.arange(60000)
    clusters[:4000] = clusters[:4000] // 4
    started = time.perf_counter()
    subsets.fold_of_each(labels, 5, 0, clusters)
    assert time.perf_counter() - started < 2


def test_clusters_are_whole_in_folds_and_hold_outs() -> None:
    labels = torch.arange(4).repeat_interleave(12)
    clusters = torch.arange(24).repeat_interleave(2)  # pairs of copies
    held_out: list[int] = []
    for inside, outside in subsets.folds(labels, 5, 0, clusters):
        assert not set(clusters[inside].tolist()) & set(clusters[outside].tolist())
        held_out += outside.tolist()
    assert sorted(held_out) == list(range(48))
    inside, outside = subsets.hold_out(labels, 0.2, 0, clusters)
    assert not set(clusters[inside].tolist()) & set(clusters[outside].tolist())
    assert labels[outside].bincount(minlength=4).tolist() == [2] * 4
    assert sorted([*inside.tolist(), *outside.tolist()]) == list(range(48))
    own = torch.arange(48)
    for with_own, without in zip(
        subsets.folds(labels, 5, 0, own), subsets.folds(labels, 5, 0), strict=True
    ):
        assert with_own[1].tolist() == without[1].tolist()
    each_class = subsets.folds(labels, 5, 0, labels)  # no fold could keep a class together
    assert [outside.tolist() for _, outside in each_class] == [
        outside.tolist() for _, outside in subsets.folds(labels, 5, 0)
    ]
