"""Oracles: pixels computed by hand, one at a time, and Pillow's composition on white."""

import numpy as np
import pytest
from PIL import Image

from episodes.datasets.arrays.pixels import Range, Unfit, channels_last, rgb_chunks, value_range

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((5, 784), (5, 28, 28, 1)),
        ((5, 28, 30), (5, 28, 30, 1)),
        ((5, 28, 30, 1), (5, 28, 30, 1)),
        ((5, 28, 30, 3), (5, 28, 30, 3)),
        ((5, 4, 28, 30), (5, 28, 30, 4)),
        ((5, 3, 8, 3), (5, 3, 8, 3)),
        ((5, 3, 4, 4), (5, 4, 4, 3)),
        ((5, 4, 4, 3), (5, 4, 4, 3)),
    ],
)
def test_layouts_become_channels_last(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert channels_last(np.zeros(shape)).shape == expected


def test_channels_first_moves_every_pixel() -> None:
    images = RNG.random((2, 3, 5, 6))
    changed = channels_last(images)
    for n, c, h, w in np.ndindex(2, 3, 5, 6):
        assert changed[n, h, w, c] == images[n, c, h, w]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 255], (0, 255)),
        ([0, 17], (0, 255)),
        ([0, 1], (0, 1)),
        ([0, 16], (0, 16)),
        ([False, True], (0, 1)),
        ([0, 0.5, 1], (0, 1)),
        ([0, 0.25], (0, 1)),
        ([-1, 0.5, 1], (-1, 1)),
        ([-1, 1], (-1, 1)),
        ([0, 0.5, 200], (0, 255)),
        ([0, 256], (0, 1023)),
        ([0, 4095], (0, 4095)),
        ([0, 4096], (0, 16383)),
        ([0, 65535], (0, 65535)),
        ([0, 0], (0, 255)),
    ],
)
def test_one_range_is_chosen(values: list[float], expected: tuple[float, float]) -> None:
    assert value_range([np.array(values)])[:2] == expected


@pytest.mark.parametrize(
    "values", [[0, 65536], [-3, 3], [-0.01, 1.01], [0, 0.5, 2], [0, np.inf], [np.nan], [-5, 5]]
)
def test_ranges_that_could_be_several_are_refused(values: list[float]) -> None:
    with pytest.raises(Unfit):
        value_range([np.array(values)])


def test_transparent_pixels_are_laid_on_white_as_pillow_does() -> None:
    rgba = RNG.integers(0, 256, (3, 9, 9, 4), dtype=np.uint8)
    chunks = list(rgb_chunks(rgba, Range(0, 255)))
    for image, own in zip(rgba, chunks[0], strict=True):
        white = Image.new("RGBA", (9, 9), "white")
        theirs = Image.alpha_composite(white, Image.fromarray(image)).convert("RGB")
        assert np.abs(np.asarray(own).astype(int) - np.asarray(theirs).astype(int)).max() <= 1


def test_images_come_in_chunks_and_in_order() -> None:
    images = RNG.random((600, 2, 2, 1))
    chunks = list(rgb_chunks(images, Range(0, 1)))
    assert [len(chunk) for chunk in chunks] == [256, 256, 88]
    last = np.asarray(chunks[-1][-1])
    for h, w, c in np.ndindex(2, 2, 3):
        assert last[h, w, c] == int(images[-1, h, w, 0] * 255 + 0.5)
