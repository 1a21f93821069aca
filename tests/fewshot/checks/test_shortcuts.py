"""Shortcuts. Oracle: properties that the test gives to the images of one class, or to none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fewshot.checks import shortcuts
from fewshot.checks.inspected import Inspected
from tests.fewshot.checks.clusters_of_features import data_set


def words(data: Inspected) -> list[str]:
    return [one.words for one in shortcuts.find(data)]


def with_files(data: Inspected, folder: Path, years: list[int], suffixes: list[str]) -> Inspected:
    """Write a small image for each row, with the year in which it was taken."""
    files = []
    for number, (year, suffix) in enumerate(zip(years, suffixes, strict=True)):
        tags = Image.Exif()
        tags[306] = f"{year}:05:{1 + number % 28:02} 10:00:00"
        files.append(folder / f"{number}{suffix}")
        Image.new("RGB", (8, 8)).save(files[-1], exif=tags)
    return data._replace(files=tuple(files))


@pytest.mark.parametrize("seed", range(3))
def test_random_properties_are_no_shortcut(seed: int, tmp_path: Path):
    data = data_set(12, seed)
    random = np.random.default_rng(seed)
    sizes = torch.from_numpy(random.integers(50, 300, (48, 2)))
    years = random.integers(2010, 2020, 48).tolist()
    suffixes = random.choice([".jpg", ".png"], 48).tolist()
    assert words(with_files(data._replace(sizes=sizes), tmp_path, years, suffixes)) == []


def test_a_size_that_one_class_alone_has_is_a_shortcut():
    data = data_set(20)
    sizes = data.sizes.clone()
    sizes[data.labels == 2] = torch.tensor([30, 40])
    (sentence,) = words(data._replace(sizes=sizes))
    assert sentence.startswith("the size of the image in pixels alone distinguishes class owl")
    assert "balanced accuracy 1.00" in sentence


def test_the_shape_is_a_shortcut_of_its_own():
    data = data_set(20)
    random = np.random.default_rng(0)
    height = random.integers(50, 300, 80)
    ratio = np.where(data.labels == 1, 2.0, 1.0)
    sizes = torch.from_numpy(np.stack([height, (height * ratio).astype(int)], 1))
    assert any(
        one.startswith("the ratio of width to height alone distinguishes class dog")
        for one in words(data._replace(sizes=sizes))
    )


def test_the_mean_colour_can_be_a_shortcut():
    data = data_set(20)
    thumbnails = data.thumbnails.clone()
    thumbnails[data.labels == 3, 0] //= 2
    (sentence,) = words(data._replace(thumbnails=thumbnails))
    assert sentence.startswith("the mean colour alone distinguishes class rat")


def test_dates_and_types_of_files_are_read_from_the_files(tmp_path: Path):
    data = data_set(12)
    years = [2019 if label == 0 else 2012 for label in data.labels.tolist()]
    suffixes = [".png" if label == 1 else ".jpg" for label in data.labels.tolist()]
    first, second = words(with_files(data, tmp_path, years, suffixes))
    assert first.startswith("the type of the file alone distinguishes class dog")
    assert second.startswith("the date on which the photo was taken alone distinguishes class cat")


def test_files_without_a_date_or_that_are_gone_have_none(tmp_path: Path):
    data = data_set(12)
    files = tuple(tmp_path / f"{number}.jpg" for number in range(48))
    for file in files[:40]:
        Image.new("RGB", (8, 8)).save(file)
    assert words(data._replace(files=files)) == []


def test_classes_of_few_images_are_left_out():
    data = data_set(4)
    sizes = data.sizes.clone()
    sizes[data.labels == 2] = torch.tensor([30, 40])
    assert words(data._replace(sizes=sizes)) == []
