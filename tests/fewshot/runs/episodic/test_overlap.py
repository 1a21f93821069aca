"""Images in two data sets against a comparison of all pairs of images in numpy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from episodes import datasets
from episodes.types import TrainTest
from fewshot.errors import UserError
from fewshot.runs.episodic import overlap
from fewshot.runs.episodic.pool import Pool


@pytest.fixture
def pool(colours: Path) -> Pool:
    return Pool.of(datasets.load(str(colours)))


def other(pool: Pool, rows: list[int]) -> Pool:
    """Return a pool of another data set that has some of the test images among its training ones.

    Every other image differs from its original in a single pixel.
    """
    train, test = pool.data
    images = train.images.clone()
    images[:, 0, 3, 3] ^= 1
    images[-len(rows) :] = test.images[rows]
    changed = test.images.clone()
    changed[:, 0, 3, 3] ^= 1
    data = TrainTest(
        replace(train, name="other", images=images, fingerprint="other"),
        replace(test, images=changed, fingerprint="other test"),
    )
    return Pool.of(data)


def test_shared_images_are_those_of_a_comparison_of_all_pairs(pool: Pool):
    base = other(pool, [0, 7, 11])
    ours, theirs = (torch.cat([part.images for part in one.data]).numpy() for one in (pool, base))
    expected = (ours[:, None] == theirs[None]).all((2, 3, 4)).any(1)
    assert np.array_equal(overlap.shared(pool, base).numpy(), expected)
    assert expected.sum() == 3
    note = overlap.note(pool, base)
    assert note is not None
    assert note.startswith(f"3 of the {len(pool)} images of the tasks")
    overlap.check_disjoint(pool, [base])  # a few images are no class


def test_a_class_that_is_also_a_base_class_is_refused_whatever_the_data_is_called(pool: Pool):
    with pytest.raises(UserError, match=r"the base set .* has the images of the tasks"):
        overlap.check_disjoint(pool, [Pool.of(pool.data, pool.classes[:2])])
    halves = [Pool.of(pool.data, names) for names in (pool.classes[:5], pool.classes[5:])]
    overlap.check_disjoint(halves[0], [halves[1]])
    assert overlap.note(*halves) is None
