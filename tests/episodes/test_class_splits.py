"""Oracles: set arithmetic, a binomial test over seeds, and numbers written by hand."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from episodes import class_splits
from episodes.errors import UserError
from episodes.types import ImageSet

NAMES = ("ant", "bee", "cat")


def test_a_seed_gives_parts_of_the_asked_sizes_that_share_no_class():
    names = [f"c{number}" for number in range(10)]
    for seed in range(20):
        split = class_splits.by_seed(names, seed, 4, 2, 3, "data")
        parts = (split.base, split.val, split.novel)
        assert [len(part) for part in parts] == [4, 2, 3]
        assert len(set().union(*parts)) == 9
        assert all(list(part) == sorted(part) for part in parts)
        # The order of the data set's classes changes the order within the parts alone.
        turned = class_splits.by_seed(names[::-1], seed, 4, 2, 3, "data")
        assert turned.novel == split.novel[::-1]


def test_every_class_is_novel_equally_often():
    names = [f"c{number}" for number in range(10)]
    n_seeds, p = 500, 0.4
    counts = Counter(
        name
        for seed in range(n_seeds)
        for name in class_splits.by_seed(names, seed, 5, 1, 4, "data").novel
    )
    deviations = [abs(counts[name] - p * n_seeds) for name in names]
    assert max(deviations) < 5 * (n_seeds * p * (1 - p)) ** 0.5


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


def test_parts_have_the_images_of_their_classes():
    images = pixel_set()
    base, novel = (class_splits.of_classes(images, some) for some in (("cat",), ("bee", "ant")))
    for part, labels in ((base, {2}), (novel, {0, 1})):
        assert {value // 10 for value in part.images.flatten().tolist()} == labels
        assert len(part) == 10 * len(labels)
        for value, label in zip(part.images.flatten().tolist(), part.labels.tolist(), strict=True):
            assert part.classes[label] == NAMES[value // 10]
    assert (novel.classes, novel.groups) == (("ant", "bee"), {"insect": ("ant", "bee")})
    assert len({images.fingerprint, base.fingerprint, novel.fingerprint}) == 3
    assert class_splits.of_classes(images, NAMES) is images


def test_images_that_lie_together_are_not_copied():
    images = pixel_set()
    by_class = torch.argsort(images.labels, stable=True)
    images = replace(images, images=images.images[by_class], labels=images.labels[by_class])
    part = class_splits.of_classes(images, ["bee", "cat"])
    assert part.images.data_ptr() == images.images[10:].data_ptr()
    assert part.images.flatten().tolist() == [*range(10, 20), *range(20, 30)]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: class_splits.without_classes(pixel_set(), ["bea"]), ["'bea'", "pixels"]),
        (
            lambda: class_splits.without_classes(pixel_set(), ["ant", "bee"]),
            ["at least two are needed"],
        ),
        (lambda: class_splits.of_classes(pixel_set(), ["bea"]), ["'bea'", "pixels"]),
        (lambda: class_splits.Split(("ant",), (), ("ant",)), ["'ant'", "two parts"]),
        (lambda: class_splits.by_seed(NAMES, 0, 2, 1, 1, "pixels"), ["2/1/1", "pixels has 3"]),
        (lambda: class_splits.superclasses(NAMES, {"insect": ("ant", "bee")}), ["'cat'"]),
    ],
)
def test_bad_requests_raise_an_error_that_names_the_value(
    call: Callable[[], object], words: list[str]
):
    with pytest.raises(UserError) as error:
        call()
    assert all(word in str(error.value) for word in words)


def test_turned_images_are_further_classes_and_superclasses() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 5, 5), dtype=np.uint8)
    labels, groups = torch.tensor([0, 1, 2, 0, 1, 2]), {"x": ("a", "c"), "y": ("b",)}
    original = ImageSet("letters", torch.from_numpy(pixels), labels, ("a", "b", "c"), "0", groups)
    turned = class_splits.with_turned_classes(original)
    assert len(turned) == 24
    assert len(set(turned.classes)) == 12
    assert turned.fingerprint != original.fingerprint
    for i in range(24):
        turn, before = divmod(i, 6)
        expected = np.stack([np.rot90(channel, turn) for channel in pixels[before]])
        np.testing.assert_array_equal(turned.images[i].numpy(), expected)
        name = turned.classes[turned.labels[i]]
        assert name.split(" ")[0] == original.classes[labels[before]]
        assert name.endswith(f"turned by {90 * turn}") == (turn > 0)
        superclass = next(group for group, members in turned.groups.items() if name in members)
        assert superclass.split(" ")[0] == ("y" if name[0] == "b" else "x")
        assert superclass.endswith(f"turned by {90 * turn}") == (turn > 0)
    assert len(turned.groups) == 8
