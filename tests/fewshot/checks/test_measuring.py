"""Measures of how images look. Oracles: Pillow's entropy, SciPy's Laplacian, NumPy."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from fewshot.checks import measuring
from tests.fewshot.checks.photos import scene

PICTURES = [
    scene(1),
    scene(2, (50, 30)),
    scene(3, (200, 120)),
    scene(4).convert("L").convert("RGB"),
]


def encoded(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def measured() -> measuring.Measured:
    payloads = [encoded(image) for image in PICTURES]
    return measuring.measure(payloads, np.zeros((4, 3, 8, 8), dtype=np.uint8), 64)


def test_brightness_is_a_percentile_over_the_pixels(measured: measuring.Measured) -> None:
    for row, image in enumerate(PICTURES):
        red, green, blue = np.asarray(image, dtype=float).reshape(-1, 3).T
        light = np.sqrt(0.241 * red**2 + 0.691 * green**2 + 0.068 * blue**2) / 255
        np.testing.assert_allclose(measured.looks[row, 0], np.percentile(light, 5), atol=1e-5)
        np.testing.assert_allclose(measured.looks[row, 1], np.percentile(light, 99), atol=1e-5)


def test_entropy_is_that_of_pillow_where_channels_of_a_grey_image_count_once(
    measured: measuring.Measured,
) -> None:
    for row, image in enumerate(PICTURES[:3]):
        assert measured.looks[row, 2] == pytest.approx(image.entropy(), abs=1e-5)
    assert measured.looks[3, 2] == pytest.approx(PICTURES[3].convert("L").entropy(), abs=1e-5)
    assert measured.looks[:, 5].tolist() == [0, 0, 0, 1]


def test_detail_is_the_spread_of_the_laplacian_of_scipy(measured: measuring.Measured) -> None:
    for row, image in enumerate(PICTURES):
        ratio = max(image.size) / 128
        size = (int(image.width // ratio), int(image.height // ratio))
        grey = np.asarray((image.resize(size) if ratio > 1 else image).convert("L"), dtype=float)
        inside = ndimage.laplace(grey)[1:-1, 1:-1]
        assert measured.looks[row, 3] == pytest.approx(inside.std() / grey.std(), abs=1e-5)
        assert measured.looks[row, 4] == pytest.approx(grey.std(), abs=1e-4)


def test_sizes_thumbnails_and_digests(measured: measuring.Measured) -> None:
    assert measured.sizes.tolist() == [[96, 96], [30, 50], [120, 200], [96, 96]]
    whole = np.asarray(PICTURES[2].resize((64, 64), Image.Resampling.BICUBIC, reducing_gap=3.0))
    assert (measured.thumbnails[2].transpose(1, 2, 0) == whole).all()
    again = measuring.measure(
        [np.asarray(PICTURES[0]), encoded(PICTURES[0].transpose(Image.Transpose.FLIP_LEFT_RIGHT))],
        np.zeros((2, 3, 8, 8), dtype=np.uint8),
        64,
    )
    assert (again.digests[0] == measured.digests[0]).all()  # pixels, however they are encoded
    assert (again.digests[1] != measured.digests[0]).any()


def test_an_image_that_cannot_be_decoded_again_is_measured_from_its_pixels() -> None:
    fallback = np.full((1, 3, 8, 8), 128, dtype=np.uint8)
    measured = measuring.measure([b"damaged since"], fallback, 8)
    assert measured.sizes.tolist() == [[8, 8]]
    assert (measured.thumbnails == 128).all()


def test_no_images_are_measured_as_none() -> None:
    measured = measuring.measure([], np.empty(0), 64)
    assert measured.thumbnails.shape == (0, 3, 64, 64)
