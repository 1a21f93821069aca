"""Decode some images at their own size, and measure how each looks.

Brightness and entropy are those of cleanvision (Apache-2.0), so that its thresholds apply. Large
photographs are measured at a fraction of their size.

Source: cleanvision 0.3, `issue_managers/image_property.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from episodes.datasets.decoding.decode import decode_upright, size_of
from episodes.datasets.decoding.image_formats import broken_image_errors, raw
from episodes.datasets.source import Payload
from episodes.types import Decoding

FULL = Decoding(256)  # a JPEG of four times this side is read at a fraction of its size
LARGEST = 512  # pixels of the longer side at which images are measured
DETAIL_SIDE = 128  # pixels of the longer side at which details are measured
RED, GREEN, BLUE = 0.241, 0.691, 0.068  # shares of the brightness (Finley's HSP colour model)
DIGEST_BYTES = 16


class Measured(NamedTuple):
    """What was measured of some images, of m images in all.

    Attributes:
        thumbnails: uint8 [m, 3, side, side].
        sizes: height and width in pixels, int64 [m, 2].
        digests: hash of the pixels, uint8 [m, 16].
        looks: fields of `Appearance` in their order, float32 [m, 6].
    """

    thumbnails: np.ndarray
    sizes: np.ndarray
    digests: np.ndarray
    looks: np.ndarray


def measure(payloads: Sequence[Payload], fallbacks: np.ndarray, side: int) -> Measured:
    """Measure some images.

    Args:
        payloads: encoded images, paths or pixels.
        fallbacks: pixels of each image, uint8 [m, 3, h, w], for one that cannot be decoded again
            because its file has changed since.
        side: of the thumbnails, in pixels.
    """
    m = len(payloads)
    result = Measured(
        np.empty((m, 3, side, side), dtype=np.uint8),
        np.empty((m, 2), dtype=np.int64),
        np.empty((m, DIGEST_BYTES), dtype=np.uint8),
        np.empty((m, 6), dtype=np.float32),
    )
    whole: list[np.ndarray] = []
    small: list[np.ndarray] = []
    for row, (payload, fallback) in enumerate(zip(payloads, fallbacks, strict=True)):
        pixels, result.sizes[row] = _decoded(payload, fallback)
        result.digests[row] = np.frombuffer(_digest(pixels, result.sizes[row]), dtype=np.uint8)
        reduced = _resized(pixels, LARGEST)
        result.thumbnails[row] = _squeezed(reduced, side).transpose(2, 0, 1)
        whole.append(reduced)
        small.append(_resized(reduced, DETAIL_SIDE))
    for rows in _groups(whole):
        result.looks[rows, :3] = _light(np.stack([whole[row] for row in rows]))
        result.looks[rows, 5] = [_is_grey(whole[row]) for row in rows]
    for rows in _groups(small):
        result.looks[rows, 3:5] = _details(np.stack([small[row] for row in rows]))
    return result


def _decoded(payload: Payload, fallback: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the upright pixels of an image, uint8 [h, w, 3], and its height and width."""
    if isinstance(payload, np.ndarray):
        return payload, (payload.shape[0], payload.shape[1])
    data = raw(payload)
    try:
        width, height = size_of(payload, data) or (0, 0)
        return decode_upright(data, FULL), (height, width)
    except broken_image_errors():
        pixels = fallback.transpose(1, 2, 0)
        return pixels, (pixels.shape[0], pixels.shape[1])


def _digest(pixels: np.ndarray, size: np.ndarray) -> bytes:
    digest = hashlib.blake2b(pixels.tobytes(), digest_size=DIGEST_BYTES)
    digest.update(size.tobytes())
    return digest.digest()


def _resized(pixels: np.ndarray, longest: int) -> np.ndarray:
    """Return an image whose longer side has at most so many pixels."""
    from PIL import Image

    height, width = pixels.shape[:2]
    ratio = max(height, width) / longest
    if ratio <= 1:
        return pixels
    size = max(1, int(width // ratio)), max(1, int(height // ratio))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def _squeezed(pixels: np.ndarray, side: int) -> np.ndarray:
    from PIL import Image

    if pixels.shape[:2] == (side, side):
        return pixels
    bicubic = Image.Resampling.BICUBIC
    image = Image.fromarray(pixels).resize((side, side), bicubic, reducing_gap=3.0)
    return np.asarray(image)


def _groups(images: Sequence[np.ndarray]) -> list[list[int]]:
    """Return the positions of images of equal shape, for each shape."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for position, image in enumerate(images):
        groups.setdefault(image.shape, []).append(position)
    return list(groups.values())


def _light(images: np.ndarray) -> np.ndarray:
    """Return two percentiles of the brightness and the entropy of images [m, h, w, 3], [m, 3]."""
    colours = images.astype(np.float32)
    squares = np.square(colours) @ np.array([RED, GREEN, BLUE], dtype=np.float32)
    brightness = np.sqrt(squares).reshape(len(images), -1) / 255
    dark, bright = np.percentile(brightness, [5, 99], axis=1)
    return np.stack([dark, bright, [_entropy(image) for image in images]], 1)


def _entropy(image: np.ndarray) -> float:
    """Return the entropy of the values of an image in bits, each channel counted apart.

    The channels of a grey image count once.
    """
    channels = image.reshape(-1, 3).T
    if _is_grey(image):
        channels = channels[:1]
    counts = np.concatenate([np.bincount(channel, minlength=256) for channel in channels])
    shares = counts[counts > 0] / counts.sum()
    return float((shares * -np.log2(shares)).sum()) + 0.0  # not -0.0


def _is_grey(image: np.ndarray) -> bool:
    return bool((image[..., :1] == image[..., 1:]).all())


def _details(images: np.ndarray) -> np.ndarray:
    """Return how much detail images [m, h, w, 3] have, and their contrast, [m, 2].

    The first is the standard deviation of the Laplacian divided by the contrast, which is the
    standard deviation of the grey values.
    """
    red, green, blue = np.moveaxis(images.astype(np.int64), -1, 0)
    grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16  # as Pillow's mode L
    contrast = grey.std((1, 2))
    if min(grey.shape[1:]) < 3:
        return np.stack([np.ones(len(grey)), contrast], 1)
    middle = grey[:, 1:-1, 1:-1]
    laplacian = 4 * middle - grey[:, :-2, 1:-1] - grey[:, 2:, 1:-1]
    laplacian = laplacian - grey[:, 1:-1, :-2] - grey[:, 1:-1, 2:]
    return np.stack([laplacian.std((1, 2)) / contrast.clip(1e-9), contrast], 1)
