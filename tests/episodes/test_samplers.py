"""Oracles: counting by hand, set arithmetic on the indices, and chi-square tests of uniformity."""

from collections import Counter

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from episodes import samplers
from episodes.errors import UserError
from episodes.rng import generator
from episodes.subsets import by_class

LABELS = (torch.arange(60) * 7) % 5  # five classes of twelve, interleaved
UNEVEN = torch.repeat_interleave(torch.arange(4), torch.tensor([20, 1, 2, 5]))


def episode(
    step: int = 0,
    labels: Tensor = LABELS,
    n_way: int = 3,
    shots: int = 2,
    queries: int = 4,
    strict: bool = True,
) -> samplers.EpisodeIndices:
    indices_by_class = by_class(labels, int(labels.max()) + 1)
    return samplers.episode(
        indices_by_class, n_way, shots, queries, generator(0, "episodes", step), strict
    )


def pairs(labels: Tensor, n: int, step: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    return samplers.pairs(by_class(labels, int(labels.max()) + 1), n, generator(0, "pairs", step))


# batches


@pytest.mark.parametrize(("n", "size"), [(12, 4), (12, 12), (12, 1), (10, 4), (7, 5)])
def test_every_window_of_an_epoch_uses_each_index_once(n: int, size: int):
    indices = torch.cat([samplers.batch(n, size, step, seed=0) for step in range(3 * n)]).tolist()
    for start in range(0, len(indices), n):
        assert sorted(indices[start : start + n]) == list(range(n))


@pytest.mark.parametrize(("n", "size"), [(10, 4), (7, 5), (3, 2), (5, 100)])
def test_batches_have_one_size_and_every_index_occurs_equally_often(n: int, size: int):
    batches = [samplers.batch(n, size, step, seed=3) for step in range(2 * n)]
    assert {tuple(batch.shape) for batch in batches} == {(min(size, n),)}
    assert {batch.dtype for batch in batches} == {torch.int64}
    assert set(Counter(torch.cat(batches).tolist()).values()) == {2 * min(size, n)}


def test_a_batch_does_not_depend_on_earlier_batches():
    forward = [samplers.batch(11, 4, step, seed=0).tolist() for step in range(30)]
    backward = [samplers.batch(11, 4, step, seed=0).tolist() for step in reversed(range(30))]
    assert backward[::-1] == forward
    assert [samplers.batch(11, 4, step, seed=1).tolist() for step in range(30)] != forward


def test_every_epoch_has_a_new_uniform_order():
    epochs = [samplers.batch(4, 4, step, seed=0).tolist() for step in range(800)]
    counts = np.zeros((4, 4))  # position x index
    for order in epochs:
        counts[range(4), order] += 1
    assert stats.chi2_contingency(counts).pvalue > 1e-3
    assert len({tuple(order) for order in epochs}) == 24


# episodes


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("n_way", "shots", "queries"), [(3, 2, 4), (5, 1, 11), (1, 6, 6), (2, 12, 0)]
)
def test_an_episode_has_the_right_counts_and_labels_and_no_image_twice(
    n_way: int, shots: int, queries: int, strict: bool
):
    for step in range(20):
        task = episode(step, LABELS, n_way, shots, queries, strict)
        assert len(set(task.classes.tolist())) == n_way
        assert task.support_labels.bincount(minlength=n_way).tolist() == [shots] * n_way
        assert task.query_labels.bincount(minlength=n_way).tolist() == [queries] * n_way
        assert torch.equal(LABELS[task.support], task.classes[task.support_labels])
        assert torch.equal(LABELS[task.query], task.classes[task.query_labels])
        assert len({*task.support.tolist(), *task.query.tolist()}) == n_way * (shots + queries)
        assert {value.dtype for value in task} == {torch.int64}


def test_classes_their_order_and_their_images_are_chosen_uniformly():
    n_tasks = 600
    first_two_classes, support, query = Counter(), np.zeros(60), np.zeros(60)
    for step in range(n_tasks):
        task = episode(step)
        first_two_classes[tuple(task.classes[:2].tolist())] += 1
        support[task.support.numpy()] += 1
        query[task.query.numpy()] += 1
    assert len(first_two_classes) == 20  # ordered pairs of five classes
    assert stats.chisquare(list(first_two_classes.values())).pvalue > 1e-3
    for counts, p in ((support, 0.6 * 2 / 12), (query, 0.6 * 4 / 12)):
        assert abs(counts - n_tasks * p).max() < 5 * (n_tasks * p * (1 - p)) ** 0.5


def test_equal_generators_give_equal_episodes_and_other_steps_give_others():
    assert all(torch.equal(a, b) for a, b in zip(episode(4), episode(4), strict=True))
    assert not torch.equal(episode(4).support, episode(5).support)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        (LABELS, {"n_way": 6}, ["6-way", "6 classes of at least 6", "only 5"]),
        (LABELS, {"shots": 10, "queries": 3}, ["10 shots and 3 queries", "13 images", "only 0"]),
        (UNEVEN, {"n_way": 2, "shots": 3, "queries": 3}, ["only 1 classes"]),
        (UNEVEN, {"n_way": 4, "strict": False}, ["4 classes of at least 2", "only 3"]),
    ],
)
def test_an_impossible_episode_raises_an_error_with_the_numbers(
    labels: Tensor, options: dict, words: list[str]
):
    with pytest.raises(UserError) as error:
        episode(labels=labels, **options)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    # expected: (support, query) images of the classes of 20, 2 and 5 images
    ("shots", "queries", "expected"),
    [
        (8, 8, {0: (8, 8), 2: (1, 1), 3: (2, 3)}),
        (1, 15, {0: (1, 15), 2: (1, 1), 3: (1, 4)}),
        (15, 1, {0: (15, 1), 2: (1, 1), 3: (4, 1)}),
        (1, 1, {0: (1, 1), 2: (1, 1), 3: (1, 1)}),
    ],
)
def test_small_classes_contribute_all_their_images_in_proportion(
    shots: int, queries: int, expected: dict[int, tuple[int, int]]
):
    for step in range(10):
        task = episode(step, UNEVEN, 3, shots, queries, strict=False)
        n_support = task.support_labels.bincount().tolist()
        n_query = task.query_labels.bincount().tolist()
        sizes = zip(n_support, n_query, strict=True)
        # Class 1, which has a single image, does not take part.
        assert dict(zip(task.classes.tolist(), sizes, strict=True)) == expected
        assert not set(task.support.tolist()) & set(task.query.tolist())
        assert torch.equal(UNEVEN[task.query], task.classes[task.query_labels])


# pairs


@pytest.mark.parametrize("n", [1, 2, 9, 200])
@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0, 0, 0, 1, 1, 3, 3])])
def test_half_of_the_pairs_agree_in_class_and_none_repeats_an_image(labels: Tensor, n: int):
    left, right, same = pairs(labels, n)
    assert left.shape == right.shape == same.shape == (n,)
    assert same.is_floating_point()
    assert same.sum() == n // 2
    assert torch.equal(same.bool(), labels[left] == labels[right])
    assert (left != right).all()


def test_the_only_image_of_a_class_is_paired_with_itself():
    labels = torch.tensor([0, 1, 1])
    left, right, same = pairs(labels, 400)
    is_single = (same == 1) & (labels[left] == 0)
    assert is_single.any()
    assert (left[is_single] == 0).all()
    assert (right[is_single] == 0).all()
    assert (left[~is_single] != right[~is_single]).all()


def test_pairs_are_uniform_over_classes_of_any_size_and_over_their_images():
    labels = torch.repeat_interleave(torch.arange(3), torch.tensor([3, 10, 40]))
    left, right, same = pairs(labels, 12_000)
    is_same = same == 1
    assert stats.chisquare(labels[left][is_same].bincount().numpy()).pvalue > 1e-3
    classes = Counter(
        zip(labels[left][~is_same].tolist(), labels[right][~is_same].tolist(), strict=True)
    )
    assert len(classes) == 6
    assert stats.chisquare(list(classes.values())).pvalue > 1e-3
    same_pairs = zip(left[is_same].tolist(), right[is_same].tolist(), strict=True)
    class_0_pairs = Counter(pair for pair in same_pairs if pair[0] < 3)
    assert len(class_0_pairs) == 6  # every ordered pair of the three images of class 0
    assert stats.chisquare(list(class_0_pairs.values())).pvalue > 1e-3


def test_equal_generators_give_equal_pairs_and_one_class_is_an_error():
    assert all(
        torch.equal(a, b) for a, b in zip(pairs(LABELS, 30, 2), pairs(LABELS, 30, 2), strict=True)
    )
    assert not torch.equal(pairs(LABELS, 30, 2)[0], pairs(LABELS, 30, 3)[0])
    with pytest.raises(UserError, match="two classes"):
        pairs(torch.zeros(5, dtype=torch.int64), 4)
