"""Oracles: the sizes of photos that the test makes, and Pillow's own resizing of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fewshot.config import RunConfig
from fewshot.runs import images

RESNET: dict[str, Any] = {"name": "resnet18"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of three photos of 320 to 328 pixels, with horizontal stripes of 6 pixels."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    for number in range(9):
        rows = np.arange(320) // 3 % 2 * 200 + number
        pixels = np.repeat(rows[:, None, None], 320 + number, 1).repeat(3, 2).astype(np.uint8)
        place = folder / "abc"[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")
    return folder


def config(photos: Path, **settings: Any) -> RunConfig:
    values = {"method": "probe", "data": str(photos), "full": True, "backbone": RESNET}
    return RunConfig.model_validate({**values, **settings})


@pytest.mark.parametrize(
    ("settings", "side"),
    [
        ({}, 224),
        ({"backbone": {"name": "mini-resnet"}}, 64),
        ({"backbone": {**RESNET, "views": "flip-crops"}}, 256),
        ({"backbone": {**RESNET, "crop": 0.875}}, 256),
        ({"backbone": {**RESNET, "input_size": 96}}, 96),
        ({"backbone": {"name": "vit_tiny_patch16_224", "input_size": 128}}, 128),
        ({"image_size": 48}, 48),
    ],
)
def test_photos_are_decoded_for_the_network(
    photos: Path, settings: dict[str, Any], side: int
) -> None:
    data = images.load(config(photos, **settings))
    assert data.train.images.shape[2:] == (side, side)
    assert data.is_whole


def test_the_details_of_a_photo_reach_the_network(photos: Path) -> None:
    """Stripes of 6 pixels are grey at 64 pixels, and stay stripes at 224."""
    contrast = {}
    for name in ("resnet18", "mini-resnet"):
        data = images.load(config(photos, backbone={"name": name}))
        contrast[name] = float(data.train.images[0].float().std())
    assert contrast["resnet18"] > 50
    assert contrast["mini-resnet"] < 20
    with Image.open(photos / "a" / "0.png") as photo:
        expected = np.asarray(photo.resize((224, 224), Image.Resampling.BICUBIC))
    first = images.load(config(photos)).train.images[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(first.astype(int), expected.astype(int), atol=2)


def test_excluded_classes_and_a_test_part_that_was_set_aside(photos: Path) -> None:
    data = images.load(config(photos, exclude_classes=["b"], test=0.34))
    assert data.train.classes == data.test.classes == ("a", "c")
    assert (len(data.train), len(data.test)) == (4, 2)
    whole = images.load(config(photos, exclude_classes=["b"]))
    assert whole.is_whole
    assert len(whole.train) == 6
