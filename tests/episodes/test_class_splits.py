"""Oracles: set arithmetic, a binomial test over seeds, and numbers written by hand."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from episodes import class_splits
from episodes.errors import UserError
from episodes.types import ImageSet

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


def pixel_set() -> ImageSet:
    """Return 30 images of one pixel, whose value is ten times the label plus a number."""
    labels = torch.arange(30) % 3
    pixels = (10 * labels + torch.arange(30) // 3).to(torch.uint8)
    groups = {"pet": ("cat",), "insect": ("ant", "bee")}
    return ImageSet("pixels", pixels.reshape(-1, 1, 1, 1), labels, NAMES, "f" * 32, groups)


def test_no_image_of_a_class_that_is_left_out_remains_and_all_others_do():
    images = pixel_set()
    fewer = class_splits.without_classes(images, ["ant"])
    assert (fewer.classes, fewer.groups) == (("bee", "cat"), {"pet": ("cat",), "insect": ("bee",)})
    values = fewer.images.flatten().tolist()
    assert sorted(values) == [*range(10, 20), *range(20, 30)]
    for value, label in zip(values, fewer.labels.tolist(), strict=True):
        assert fewer.classes[label] == NAMES[value // 10]
    others = [class_splits.without_classes(images, [name]) for name in NAMES]
    assert len({one.fingerprint for one in (images, *others)}) == 4
    assert class_splits.without_classes(images, []) is images


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: class_splits.without_classes(pixel_set(), ["bea"]), ["'bea'", "pixels"]),
        (lambda: class_splits.without_classes(pixel_set(), ["ant", "bee"]), ["leave two"]),
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
