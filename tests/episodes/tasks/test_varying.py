"""Oracle: the formulas of Meta-Dataset (arXiv 1903.03096, section 3.2) in nested loops.

The loops get their random numbers from the tasks themselves: they check what follows from them.
"""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from episodes.errors import UserError
from episodes.tasks import varying
from tests.episodes.tasks.test_sampling import pool, same

SEEDED = np.random.default_rng


class Recorded:
    """A generator of random numbers that remembers what it returned."""

    def __init__(self, seed: int) -> None:
        self.source, self.returned = SEEDED(seed), []

    def __getattr__(self, name: str):
        def call(*args, **kwargs):
            value = getattr(self.source, name)(*args, **kwargs)
            self.returned.append((name, value))
            return value

        return call


def by_the_paper(sizes, ways, classes, beta, alphas, images, limits):
    """Return the number of queries, and the support and query places of each class."""
    max_queries, max_support, max_share = limits
    queries = max_queries
    for c in classes:
        queries = min(queries, math.floor(0.5 * sizes[c]))
    size = 0
    for c in classes:
        size += math.ceil(beta * min(max_share, sizes[c] - queries))
    size = min(max_support, size)
    total = 0.0
    for c, alpha in zip(classes, alphas, strict=True):
        total += math.exp(alpha) * sizes[c]
    shots = []
    for c, alpha in zip(classes, alphas, strict=True):
        share = math.exp(alpha) * sizes[c] / total
        shots.append(min(math.floor(share * (size - ways)) + 1, sizes[c] - queries))
    places = []
    for column, c in enumerate(classes):
        left = list(range(sizes[c]))
        places.append(
            [left.pop(int(images[k, column] * len(left))) for k in range(queries + shots[column])]
        )
    return queries, [row[queries:] for row in places], [row[:queries] for row in places]


def test_tasks_follow_the_formulas(monkeypatch):
    sizes = [2, 3, 9, 30, 31, 80, 150, 7, 12, 40]
    labels = pool(*sizes)
    places = [(labels == c).nonzero()[:, 0].tolist() for c in range(len(sizes))]
    recorders = []

    def recorded(seed):
        recorders.append(Recorded(seed))
        return recorders[-1]

    monkeypatch.setattr(varying.np.random, "default_rng", recorded)
    limits = (10, 60, 20)
    tasks = varying.varying(
        labels, count=50, seed=0, min_ways=2, max_ways=8, max_support=60, max_share=20
    )
    shots_seen = set()
    for task, recorder in zip(tasks, recorders, strict=True):
        names, values = zip(*recorder.returned, strict=True)
        assert names == ("integers", "choice", "random", "uniform", "random")
        ways, classes, left_of_one, alphas, images = values
        queries, support, query = by_the_paper(
            sizes, ways, classes, 1 - left_of_one, alphas, images, limits
        )
        assert task.classes.tolist() == [classes.tolist()]
        expected = [places[c][k] for c, row in zip(classes, support, strict=True) for k in row]
        assert task.support.tolist() == [expected]
        expected = [places[c][k] for c, row in zip(classes, query, strict=True) for k in row]
        assert task.query.tolist() == [expected]
        counts = np.bincount(task.support_labels[0].numpy(), minlength=ways)
        assert counts.tolist() == [len(row) for row in support]
        assert task.query_labels.tolist() == [np.repeat(np.arange(ways), queries).tolist()]
        assert counts.sum() <= 60
        shots_seen |= set(counts.tolist())
    assert len(shots_seen) > 5


def test_numbers_have_the_distributions_of_the_paper():
    n = 700
    tasks = varying.varying(pool(*[24] * 12), count=n, seed=0)
    ways = [task.n_way for task in tasks]
    assert stats.chisquare([ways.count(number) for number in range(5, 13)]).pvalue > 1e-4
    classes = torch.cat([task.classes[0] for task in tasks]).numpy()
    assert stats.chisquare(np.bincount(classes)).pvalue > 1e-4
    assert {task.query.shape[1] // task.n_way for task in tasks} == {10}
    # Equal classes: the size of the support is ways * ceil(14 b) in all but rounding down of shots.
    sizes = np.array([task.support.shape[1] / task.n_way for task in tasks])
    assert 0.5 * 15 - 1 < sizes.mean() < 0.5 * 15
    assert sizes.min() == 1
    assert sizes.max() <= 14


def test_support_and_query_of_a_task_share_no_image_and_belong_to_its_classes():
    labels = pool(2, 2, 3, 4, 5, 100, 300)
    for task in varying.varying(labels, count=100, seed=1):
        support, query = task.support[0].tolist(), task.query[0].tolist()
        assert len({*support, *query}) == len(support) + len(query)
        assert torch.equal(labels[task.support], task.classes[0][task.support_labels])
        assert torch.equal(labels[task.query], task.classes[0][task.query_labels])
        assert set(task.support_labels[0].tolist()) == set(range(task.n_way))


def test_a_task_depends_on_the_seed_and_its_number_alone():
    labels = pool(*[9] * 8)
    few, many = (varying.varying(labels, count=count, seed=0) for count in (3, 7))
    assert all(same(one, other) for one, other in zip(few, many, strict=False))
    assert not same(few[0], varying.varying(labels, count=1, seed=1)[0])


@pytest.mark.parametrize(
    ("sizes", "asked", "words"),
    [
        ((9, 9), {}, ["5 ways", "are 2"]),
        ((9, 9, 1, 9, 9), {}, ["2 images", "'c'", "has 1"]),
        ((9,) * 5, {"max_support": 4, "max_ways": 5}, ["max_support=4", "max_ways=5"]),
    ],
)
def test_a_request_that_the_pool_cannot_serve_is_an_error(sizes, asked, words):
    with pytest.raises(UserError) as error:
        varying.varying(pool(*sizes), count=1, seed=0, names="abcde", **asked)
    assert all(word in str(error.value) for word in words)
