"""Oracles: set arithmetic, a binomial test over seeds, and numbers written by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from torch import Tensor

from episodes import class_splits
from episodes.errors import UserError

NAMES = ("ant", "bee", "cat")


def test_base_and_novel_classes_are_sorted_disjoint_and_complete():
    for seed in range(20):
        base, novel = (labels.tolist() for labels in class_splits.base_novel(10, 4, seed))
        assert (base, novel) == (sorted(base), sorted(novel))
        assert len(novel) == 4
        assert sorted(base + novel) == list(range(10))


def test_every_class_is_novel_equally_often():
    counts, n_seeds, p = np.zeros(10), 500, 0.4
    for seed in range(n_seeds):
        counts[class_splits.base_novel(10, 4, seed)[1].numpy()] += 1
    assert abs(counts - p * n_seeds).max() < 5 * (n_seeds * p * (1 - p)) ** 0.5


def test_superclasses_are_numbered_in_the_order_of_the_groups():
    groups = {"pet": ("cat", "dog"), "insect": ("bee", "ant")}
    assert class_splits.superclasses(NAMES, groups).tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: class_splits.base_novel(10, 0, 0), ["between 1 and 9", "0"]),
        (lambda: class_splits.base_novel(10, 10, 0), ["between 1 and 9", "10"]),
        (lambda: class_splits.superclasses(NAMES, {"insect": ("ant", "bee")}), ["'cat'"]),
    ],
)
def test_bad_requests_raise_an_error_that_names_the_value(
    call: Callable[[], Tensor], words: list[str]
):
    with pytest.raises(UserError) as error:
        call()
    assert all(word in str(error.value) for word in words)
