"""Oracles: set arithmetic, scipy's chi-square test, moments of the Dirichlet distribution."""

import math
from collections import Counter
from itertools import combinations, permutations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from episodes.errors import UserError
from episodes.tasks import sampling
from episodes.tasks.task_set import TaskSet

P_VALUE = 1e-4  # of tests with fixed seeds


def pool(*sizes: int) -> Tensor:
    """Return mixed labels of classes with these numbers of images."""
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))]


def check(tasks: TaskSet, labels: Tensor, ways: int, shots: int) -> None:
    """Assert, image by image, that every task is a task."""
    for task in range(len(tasks)):
        classes = tasks.classes[task].tolist()
        support, query = tasks.support[task].tolist(), tasks.query[task].tolist()
        assert len(set(classes)) == ways == tasks.n_way
        assert len({*support, *query}) == len(support) + len(query)
        assert np.bincount(tasks.support_labels[task].numpy()).tolist() == [shots] * ways
        for image, label in zip(support, tasks.support_labels[task].tolist(), strict=True):
            assert labels[image] == classes[label]
        for image, label in zip(query, tasks.query_labels[task].tolist(), strict=True):
            assert labels[image] == classes[label]


def same(left: TaskSet, right: TaskSet) -> bool:
    return all(
        torch.equal(one, other) for one, other in zip(fields(left), fields(right), strict=True)
    )


def fields(tasks: TaskSet) -> list[Tensor]:
    return list(vars(tasks).values())


@pytest.mark.parametrize("balance", ["balanced", "missing"])
def test_every_task_is_a_task_whatever_the_request(balance):
    random = np.random.default_rng(0)
    for seed in range(60):
        n_classes = random.integers(1, 9)
        ways = int(random.integers(1, n_classes + 1))
        shots, queries = int(random.integers(1, 10)), int(random.integers(1, 5))
        missing = ways // 2
        present = ways - missing if balance == "missing" else ways
        need = shots + math.ceil(ways * queries / present)
        labels = pool(*(need + random.integers(0, 3, n_classes) ** 3))
        tasks = sampling.fixed(
            labels,
            ways=ways,
            shots=shots,
            queries=queries,
            count=3,
            seed=seed,
            balance=balance,
            missing=missing,
        )
        assert len(tasks) == 3
        check(tasks, labels, ways, shots)
        for counts in query_counts(tasks):
            assert counts.sum() == ways * queries
            assert (counts > 0).sum() == present
            assert counts[counts > 0].max() - counts[counts > 0].min() <= (balance == "missing")


def test_every_image_of_a_class_can_be_in_one_task():
    tasks = sampling.fixed(pool(1003, 1003), ways=2, shots=1000, queries=3, count=2, seed=0)
    check(tasks, pool(1003, 1003), 2, 1000)


def query_counts(tasks: TaskSet) -> np.ndarray:
    rows = tasks.query_labels.numpy()
    return np.stack([np.bincount(row, minlength=tasks.n_way) for row in rows])


def test_task_i_depends_neither_on_the_number_of_tasks_nor_on_the_process():
    labels = pool(*[40] * 7)
    for balance in ("balanced", "dirichlet", "missing"):
        sets = [
            sampling.fixed(labels, ways=5, shots=2, queries=4, count=count, seed=3, balance=balance)
            for count in (3, 999, 1000, 1001, 2345)
        ]
        for some in sets[:-1]:
            assert same(some, sets[-1][: len(some)])
        assert not torch.equal(sets[-1].support[:1000], sets[-1].support[1000:2000])
    other_seed = sampling.fixed(labels, ways=5, shots=2, queries=4, count=3, seed=4)
    assert not torch.equal(other_seed.support, sets[0].support)


def test_tasks_that_differ_in_their_shots_have_the_same_classes_and_nested_supports():
    labels = pool(*[40] * 7)
    one, five = (
        sampling.fixed(labels, ways=5, shots=shots, queries=4, count=50, seed=0) for shots in (1, 5)
    )
    assert torch.equal(one.classes, five.classes)
    assert torch.equal(one.support, five.support[:, ::5])


@pytest.mark.parametrize("balance", ["dirichlet", "missing"])
def test_tasks_that_differ_in_the_division_of_queries_have_the_same_supports(balance):
    labels = pool(*[60] * 8)
    shape = {"ways": 5, "shots": 2, "queries": 6, "count": 30, "seed": 3}
    balanced = sampling.fixed(labels, **shape)
    other = sampling.fixed(labels, **shape, balance=balance)
    for name in ("classes", "support", "support_labels"):
        assert getattr(balanced, name).tolist() == getattr(other, name).tolist()
    assert balanced.query_labels.tolist() != other.query_labels.tolist()


def test_classes_their_order_and_images_are_equally_likely():
    sizes = (5, 9, 6)
    labels = pool(*sizes)
    n = 6000
    tasks = sampling.fixed(labels, ways=2, shots=1, queries=1, count=n, seed=0)
    orders = [tuple(row) for row in tasks.classes.tolist()]
    assert (
        stats.chisquare([orders.count(one) for one in permutations(range(3), 2)]).pvalue > P_VALUE
    )
    for images in (tasks.support, tasks.query):
        for label, size in enumerate(sizes):
            counts = np.bincount(images.flatten().numpy(), minlength=len(labels))
            own = counts[(labels == label).numpy()]
            assert len(own) == size
            assert stats.chisquare(own).pvalue > P_VALUE


def test_every_sequence_of_distinct_places_is_equally_likely():
    n = 24_000
    numbers = torch.rand(3, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = sampling.distinct(torch.full((n,), 4), numbers)
    sequences = [tuple(row) for row in places.T.tolist()]
    counts = [sequences.count(one) for one in permutations(range(4), 3)]
    assert sum(counts) == n
    assert stats.chisquare(counts).pvalue > P_VALUE


def test_places_are_those_of_a_list_from_which_chosen_items_are_removed():
    random = np.random.default_rng(0)
    sizes, needs = random.integers(6, 40, 50), random.integers(1, 7, 50)
    numbers = random.random((6, 50))
    places = sampling.distinct(*map(torch.from_numpy, (sizes, numbers, needs)))
    for column, (size, need) in enumerate(zip(sizes, needs, strict=True)):
        left = list(range(size))
        chosen = [left.pop(int(numbers[k, column] * len(left))) for k in range(need)]
        assert places[:, column].tolist() == chosen + [0] * (6 - need)


def test_shares_of_queries_have_the_moments_of_the_dirichlet_distribution():
    ways, queries, a, n = 5, 40, 2.0, 5000
    tasks = sampling.fixed(
        pool(*[205] * 6),
        ways=ways,
        shots=1,
        queries=queries,
        count=n,
        seed=0,
        balance="dirichlet",
        concentration=a,
    )
    check(tasks[:20], pool(*[205] * 6), ways, 1)
    counts = query_counts(tasks)
    assert (counts.sum(1) == ways * queries).all()
    shares = counts / counts.sum(1, keepdims=True)
    oracle = stats.dirichlet([a] * ways)
    variance = oracle.var()[0]
    assert np.abs(shares.mean(0) - 1 / ways).max() < 5 * (variance / n) ** 0.5
    assert shares.var(0) == pytest.approx(variance, rel=0.1)
    covariance = np.cov(shares.T)[0, 1]
    assert covariance == pytest.approx(-(a**2) / ((a * ways) ** 2 * (a * ways + 1)), rel=0.15)
    # One share is Beta distributed; rounding to 200 queries moves it by 0.5 / 200 at most.
    distance = stats.kstest(shares[:, 0], stats.beta(a, a * (ways - 1)).cdf).statistic
    assert distance < 0.03


def test_largest_remainders_round_the_shares():
    for counts, exact in rounding_cases():
        order = sorted(range(len(exact)), key=lambda c: -(exact[c] % 1))
        expected = [int(value) for value in exact]
        for c in order[: round(sum(exact)) - sum(expected)]:
            expected[c] += 1
        assert counts == expected


def rounding_cases():
    random = torch.Generator().manual_seed(1)
    counts = sampling._query_counts(4, 5, "dirichlet", 2.0, 0, random)
    shares = np.random.default_rng(1).dirichlet([2.0] * 4, sampling.BLOCK)
    return zip(counts.tolist()[:200], (20 * shares).tolist(), strict=False)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"ways": 4}, ["4 ways", "are 3", "at most 3"]),
        ({"shots": 7}, ["9 images", "'bee'", "has 8", "fewer shots"]),
        ({"balance": "missing", "missing": 1}, ["9 images", "'bee'", "has 8"]),
        ({"balance": "missing", "missing": 3}, ["missing=3", "3 ways"]),
        ({"balance": "dirichlet"}, ["images of class", "fewer shots"]),
        ({"names": ()}, ["class 1", "has 8"]),
    ],
)
def test_a_request_that_the_pool_cannot_serve_is_an_error(asked, words):
    request = {"ways": 3, "shots": 6, "queries": 2, "count": 2000, "seed": 0, **asked}
    if "names" in asked:
        request["queries"] = 3
    with pytest.raises(UserError) as error:
        sampling.fixed(pool(12, 8, 12), **{"names": ("ant", "bee", "cat"), **request})
    assert all(word in str(error.value) for word in words)


def most_tasks(portions: list[int], ways: int) -> int:
    """Return the most tasks by exhaustive search over the choices of classes."""
    if sum(portion > 0 for portion in portions) < ways:
        return 0
    best = 0
    for chosen in combinations([c for c, portion in enumerate(portions) if portion], ways):
        left = [portion - (c in chosen) for c, portion in enumerate(portions)]
        best = max(best, 1 + most_tasks(sorted(left), ways))
    return best


def test_tasks_without_replacement_share_no_image_and_there_could_not_be_more():
    random = np.random.default_rng(0)
    for seed in range(40):
        ways, shots, queries = 1 + seed % 3, 1 + seed % 2, 2
        sizes = random.integers(0, 9, 5)
        sizes[:ways] = shots + queries + random.integers(0, 5, ways)
        labels = pool(*sizes)
        tasks = sampling.without_replacement(
            labels, ways=ways, shots=shots, queries=queries, seed=seed
        )
        check(tasks, labels, ways, shots)
        images = torch.cat([tasks.support, tasks.query], 1).flatten().tolist()
        assert len(set(images)) == len(images)
        assert len(tasks) == most_tasks([int(n) // (shots + queries) for n in sizes], ways)


def test_tasks_without_replacement_use_all_classes_and_images_alike():
    labels = pool(*[31] * 10)
    in_first, used = Counter(), np.zeros(len(labels))
    for seed in range(150):
        tasks = sampling.without_replacement(labels, ways=3, shots=1, queries=4, seed=seed)
        assert len(tasks) == 20
        in_first.update(tasks.classes[0].tolist())
        used[tasks.support.flatten().numpy()] += 1
    assert stats.chisquare([in_first[label] for label in range(10)]).pvalue > P_VALUE
    assert stats.chisquare(used).pvalue > P_VALUE
    again = sampling.without_replacement(labels, ways=3, shots=1, queries=4, seed=149)
    assert same(again, tasks)


def test_without_replacement_needs_enough_classes():
    with pytest.raises(UserError, match="10 images of 3 classes, but only 2"):
        sampling.without_replacement(pool(12, 8, 12), ways=3, shots=1, queries=9, seed=0)
