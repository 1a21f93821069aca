"""Whole images become squares within an ONNX graph.

Oracle: Pillow, through the decoding of data sets, pixel for pixel.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from episodes.datasets.decoding.decode import decode
from episodes.types import Decoding, Fit

ort = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

from fewshot.model import onnx_decoding  # noqa: E402

# Height and width: equal ones, a single pixel, extreme shapes, and photos that are averaged first.
SIZES = [
    (32, 32),
    (1, 1),
    (1, 90),
    (300, 17),
    (17, 300),
    (31, 33),
    (375, 500),
    (400, 61),
    (997, 641),
    (1900, 18),
]


@cache
def session_of(decoding: Decoding) -> ort.InferenceSession:
    """Return the graph of a decoding, ready to run."""
    model = onnx_decoding.model_of(decoding).SerializeToString()
    return ort.InferenceSession(model, providers=["CPUExecutionProvider"])


def squares(images: np.ndarray, decoding: Decoding) -> np.ndarray:
    """Return the squares of images [n, h, w, 3] by the graph, [n, size, size, 3] in 0 to 255."""
    (pixels,) = session_of(decoding).run(None, {"images": images})
    assert pixels.dtype == np.float32
    return pixels.transpose(0, 2, 3, 1) * np.float32(255)


@pytest.mark.parametrize(("fit", "size"), [("crop", 32), ("squeeze", 75), ("pad", 32)])
def test_pixels_are_those_of_pillow(fit: Fit, size: int):
    generator = np.random.default_rng(0)
    decoding = Decoding(size, fit)
    for shape in SIZES:
        images = generator.integers(0, 256, (2, *shape, 3), dtype=np.uint8)
        expected = [decode(image, decoding) for image in images]
        assert np.array_equal(squares(images, decoding).round(), expected), shape


def test_the_order_of_the_axes_is_that_of_the_release() -> None:
    versions = {"11.1.0": 11.0, "12.1.1": 11.0, "12.2.0": 12.0, "12.10.0": 12.0, "13.0.0": 13.0}
    assert {name: onnx_decoding.order_of(name) for name in versions} == versions


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["crop", "squeeze", "pad"])
@pytest.mark.parametrize("shape", [(3000, 4000), (4000, 3000), (2500, 9)])
def test_large_images(fit: Fit, shape: tuple[int, int]):
    image = np.random.default_rng(1).integers(0, 256, (1, *shape, 3), dtype=np.uint8)
    for size in (28, 224):
        decoding = Decoding(size, fit)
        assert np.array_equal(squares(image, decoding).round(), [decode(image[0], decoding)])
