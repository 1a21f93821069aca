"""Known faults: synthetic images with the listed colours, real ones, and counts of the sources."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes import datasets
from episodes.datasets import known_faults
from episodes.types import ImageSet
from tests.episodes.datasets.samples import CIFAR10, save_known_faults, uniform_quarters
from tests.episodes.datasets.test_loading import needs_real_data

LISTED = json.loads(known_faults.FILE.read_text())["images"]


def look_alike(seed: int = 0) -> tuple[ImageSet, list[int]]:
    """Return 10 x 1,000 random images with the listed ones at their ranks, and their positions."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.repeat(np.arange(10), 1000))
    images = generator.integers(0, 255, (10_000, 8, 8, 3), np.uint8)
    at = []
    for _, name, rank, _, colours in LISTED:
        at.append(int(np.flatnonzero(labels == CIFAR10.index(name))[rank]))
        images[at[-1]] = uniform_quarters(colours)
    pixels = torch.from_numpy(images).permute(0, 3, 1, 2)
    made = ImageSet("x", pixels, torch.from_numpy(labels), tuple(CIFAR10), "f", {})
    return made, sorted(at)


def located(images: ImageSet) -> list[int]:
    positions = known_faults.positions(images)
    assert positions is not None
    return list(positions.tolist())


def test_the_list_has_the_numbers_of_its_sources() -> None:
    faults = Counter(fault for *_, names, _ in LISTED for fault in names)
    assert faults == {"training duplicate": 286, "test duplicate": 39, "wrong label": 54}
    assert len(LISTED) == len({index for index, *_ in LISTED}) == 362
    assert all(0 <= rank < 1000 and 0 <= index < 10_000 for index, _, rank, *_ in LISTED)


def test_listed_images_are_recognised_at_their_ranks_and_in_any_other_order() -> None:
    images, at = look_alike()
    assert located(images) == at
    order = np.random.default_rng(1).permutation(10_000)
    shuffled = replace(images, images=images.images[order], labels=images.labels[order])
    assert sorted(order[located(shuffled)].tolist()) == at


def test_folders_of_files_in_an_order_of_their_own(tmp_path: Path) -> None:
    save_known_faults(tmp_path)
    test = datasets.load(str(tmp_path), cache=tmp_path / "cache").test
    last = [position for label in range(10) for position in (test.labels == label).nonzero()[-2:]]
    assert located(test) == sorted(set(range(382)) - set(map(int, last)))


def test_other_data_sets_have_no_known_faults() -> None:
    images, _ = look_alike()
    assert known_faults.positions(datasets.load("digits").test) is None
    assert known_faults.positions(replace(images, classes=tuple("abcdefghij"))) is None
    assert known_faults.positions(replace(images, images=255 - images.images)) is None
    few = replace(images, images=images.images[:2000], labels=images.labels[:2000])
    assert known_faults.positions(few) is None


@pytest.mark.slow
@needs_real_data("cifar10")
def test_real_images_are_recognised_by_rank_after_another_jpeg_encoding(tmp_path: Path) -> None:
    data = datasets.load("cifar10")
    labels = data.test.labels.numpy()
    by_rank = sorted(
        int(np.flatnonzero(labels == CIFAR10.index(name))[rank]) for _, name, rank, *_ in LISTED
    )
    assert known_faults.positions(data.train) is None
    assert located(data.test) == by_rank
    encoded = []
    for image in data.test.images.permute(0, 2, 3, 1).numpy():
        Image.fromarray(image).save(tmp_path / "a.jpg", quality=75)
        encoded.append(np.array(Image.open(tmp_path / "a.jpg")))
    pixels = torch.from_numpy(np.stack(encoded)).permute(0, 3, 1, 2)
    assert located(replace(data.test, images=pixels)) == by_rank
