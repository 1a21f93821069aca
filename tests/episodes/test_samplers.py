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
    strict=True,
):
    members = by_class(labels, int(labels.max()) + 1)
    return samplers.episode(members, n_way, shots, queries, generator(0, "episodes", step), strict)


def pairs(labels: Tensor, n: int, step: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    return samplers.pairs(by_class(labels, int(labels.max()) + 1), n, generator(0, "pairs", step))


# batches


@pytest.mark.parametrize(("n", "size"), [(12, 4), (12, 12), (12, 1), (10, 4), (7, 5)])
def test_every_window_of_an_epoch_uses_each_index_once(n: int, size: int):
    laid = torch.cat([samplers.batch(n, size, step, seed=0) for step in range(3 * n)]).tolist()
    for start in range(0, len(laid), n):
        assert sorted(laid[start : start + n]) == list(range(n))


@pytest.mark.parametrize(("n", "size"), [(10, 4), (7, 5), (3, 2), (5, 100)])
def test_batches_have_one_size_and_every_index_comes_equally_often(n: int, size: int):
    found = [samplers.batch(n, size, step, seed=3) for step in range(2 * n)]
    assert {tuple(each.shape) for each in found} == {(min(size, n),)}
    assert {each.dtype for each in found} == {torch.int64}
    assert set(Counter(torch.cat(found).tolist()).values()) == {2 * min(size, n)}


def test_a_batch_depends_on_its_arguments_alone():
    forward = [samplers.batch(11, 4, step, seed=0).tolist() for step in range(30)]
    backward = [samplers.batch(11, 4, step, seed=0).tolist() for step in reversed(range(30))]
    assert backward[::-1] == forward
    assert [samplers.batch(11, 4, step, seed=1).tolist() for step in range(30)] != forward


def test_epochs_are_shuffled_anew_and_evenly():
    epochs = [samplers.batch(4, 4, step, seed=0).tolist() for step in range(800)]
    places = np.zeros((4, 4))
    for order in epochs:
        places[range(4), order] += 1
    assert stats.chi2_contingency(places).pvalue > 1e-3
    assert len({tuple(order) for order in epochs}) == 24


# episodes


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize(
    ("n_way", "shots", "queries"), [(3, 2, 4), (5, 1, 11), (1, 6, 6), (2, 12, 0)]
)
def test_an_episode_is_disjoint_counted_and_maps_back(
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
        assert {part.dtype for part in task} == {torch.int64}


def test_classes_their_order_and_their_images_are_drawn_evenly():
    first, support, query, n_tasks = Counter(), np.zeros(60), np.zeros(60), 600
    for step in range(n_tasks):
        task = episode(step)
        first[tuple(task.classes[:2].tolist())] += 1
        support[task.support.numpy()] += 1
        query[task.query.numpy()] += 1
    assert len(first) == 20  # ordered pairs of five classes
    assert stats.chisquare(list(first.values())).pvalue > 1e-3
    for times, chance in ((support, 0.6 * 2 / 12), (query, 0.6 * 4 / 12)):
        assert abs(times - n_tasks * chance).max() < 5 * (n_tasks * chance * (1 - chance)) ** 0.5


def test_an_episode_repeats_for_its_generator_and_changes_with_the_step():
    assert all(torch.equal(a, b) for a, b in zip(episode(4), episode(4), strict=True))
    assert not torch.equal(episode(4).support, episode(5).support)


@pytest.mark.parametrize(
    ("labels", "request_", "words"),
    [
        (LABELS, {"n_way": 6}, ["6-way", "6 classes of 6", "only 5"]),
        (LABELS, {"shots": 10, "queries": 3}, ["10 shots and 3 queries", "13 images", "only 0"]),
        (UNEVEN, {"n_way": 2, "shots": 3, "queries": 3}, ["only 1 are there"]),
        (UNEVEN, {"n_way": 4, "strict": False}, ["4 classes of 2", "only 3"]),
    ],
)
def test_an_impossible_episode_is_told_in_words(labels: Tensor, request_: dict, words: list[str]):
    with pytest.raises(UserError) as error:
        episode(labels=labels, **request_)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize(
    ("shots", "queries", "expected"),  # (support, query) of the classes of 20, 2 and 5 images
    [
        (8, 8, {0: (8, 8), 2: (1, 1), 3: (2, 3)}),
        (1, 15, {0: (1, 15), 2: (1, 1), 3: (1, 4)}),
        (15, 1, {0: (15, 1), 2: (1, 1), 3: (4, 1)}),
        (1, 1, {0: (1, 1), 2: (1, 1), 3: (1, 1)}),
    ],
)
def test_uneven_classes_give_what_they_have(
    shots: int, queries: int, expected: dict[int, tuple[int, int]]
):
    for step in range(10):
        task = episode(step, UNEVEN, 3, shots, queries, strict=False)
        n_support, n_query = (
            task.support_labels.bincount().tolist(),
            task.query_labels.bincount().tolist(),
        )
        found = dict(zip(task.classes.tolist(), zip(n_support, n_query, strict=True), strict=True))
        assert found == expected  # class 1, a single image, is left out
        assert not set(task.support.tolist()) & set(task.query.tolist())
        assert torch.equal(UNEVEN[task.query], task.classes[task.query_labels])


# pairs


@pytest.mark.parametrize("n", [1, 2, 9, 200])
@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0, 0, 0, 1, 1, 3, 3])])
def test_pairs_are_balanced_truthful_and_of_two_images(labels: Tensor, n: int):
    left, right, same = pairs(labels, n)
    assert left.shape == right.shape == same.shape == (n,)
    assert same.is_floating_point()
    assert same.sum() == n // 2
    assert torch.equal(same.bool(), labels[left] == labels[right])
    assert (left != right).all()


def test_a_single_image_is_paired_with_itself():
    labels = torch.tensor([0, 1, 1])
    left, right, same = pairs(labels, 400)
    alone = (same == 1) & (labels[left] == 0)
    assert alone.any()
    assert (left[alone] == 0).all()
    assert (right[alone] == 0).all()
    assert (left[~alone] != right[~alone]).all()


def test_pairs_are_even_over_classes_and_over_a_class_s_images():
    labels = torch.repeat_interleave(
        torch.arange(3), torch.tensor([3, 10, 40])
    )  # the large class gets no more
    left, right, same = pairs(labels, 12_000)
    agree = same == 1
    assert stats.chisquare(labels[left][agree].bincount().numpy()).pvalue > 1e-3
    classes = Counter(
        zip(labels[left][~agree].tolist(), labels[right][~agree].tolist(), strict=True)
    )
    assert len(classes) == 6
    assert stats.chisquare(list(classes.values())).pvalue > 1e-3
    inside = Counter(
        (a, b) for a, b in zip(left[agree].tolist(), right[agree].tolist(), strict=True) if a < 3
    )
    assert len(inside) == 6  # every ordered pair of the three images of class 0
    assert stats.chisquare(list(inside.values())).pvalue > 1e-3


def test_pairs_repeat_for_their_generator_and_need_two_classes():
    assert all(
        torch.equal(a, b) for a, b in zip(pairs(LABELS, 30, 2), pairs(LABELS, 30, 2), strict=True)
    )
    assert not torch.equal(pairs(LABELS, 30, 2)[0], pairs(LABELS, 30, 3)[0])
    with pytest.raises(UserError, match="two classes"):
        pairs(torch.zeros(5, dtype=torch.int64), 4)
