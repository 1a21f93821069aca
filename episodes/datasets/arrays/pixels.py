"""Turn arrays of images, whatever their layout and range of values, into uint8 RGB pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from episodes.datasets.source import CHUNK, Payload

CHANNELS = (1, 3, 4)  # grey, RGB and RGBA
FEW_LEVELS = 16  # whole numbers up to here have a white of their own, such as the digits of sklearn
DEPTHS = (10, 12, 14, 16)  # bits of images that have more than 8


class Unfit(Exception):
    """What is wrong with an array, after its name; with the remedy."""


class Range(NamedTuple):
    """Which values of an array are black and white.

    Attributes:
        black: value that becomes 0.
        white: value that becomes 255.
        note: sentence for the user; empty if the range is a usual one.
    """

    black: float
    white: float
    note: str = ""


def channels_last(images: np.ndarray) -> np.ndarray:
    """Return a view [n, h, w, c] of images of any usual layout.

    These are [n, h, w], [n, h, w, c] and [n, c, h, w] with 1, 3 or 4 channels, and [n, h * w] for
    square grey images.

    Raises:
        Unfit: the layout is another one.
    """
    shape = images.shape
    expected = "expected [images, height, width] or [images, height, width, 1, 3 or 4 channels]"
    if images.ndim == 2:
        side = math.isqrt(shape[1])
        if side * side != shape[1] or not side:
            raise Unfit(f"has the shape {list(shape)}, {expected}: reshape it")
        return images.reshape(-1, side, side, 1)
    if images.ndim == 3:
        return images[..., None]
    if images.ndim != 4:
        raise Unfit(f"has the shape {list(shape)}, {expected}: choose single slices or frames")
    first, last = shape[1] in CHANNELS, shape[3] in CHANNELS
    if first and last:  # a tiny image: a square one is meant
        last = shape[2] != shape[3] or shape[1] == shape[2]
    if last:
        return images
    if first:
        return np.moveaxis(images, 1, 3)
    raise Unfit(f"has the shape {list(shape)}, {expected}: choose channels or single slices")


def value_range(arrays: list[np.ndarray]) -> Range:
    """Choose one range for all images of a data set.

    Args:
        arrays: the images of its parts.

    Raises:
        Unfit: the values are not pixels, or of a range that could be several.
    """
    arrays = [array for array in arrays if array.size]
    for array in arrays:
        if array.dtype.kind not in "buif":
            raise Unfit(f"holds values of type {array.dtype}, expected numbers: save it as uint8")
    if not arrays:
        return Range(0, 255)
    low = min(float(array.min()) for array in arrays)
    high = max(float(array.max()) for array in arrays)
    if not (math.isfinite(low) and math.isfinite(high)):
        raise Unfit("has values that are infinite or not numbers: replace them and save it again")
    note = f"pixel values from {low:,.6g} to {high:,.6g} were scaled, so that {{}} is white"
    if -1 <= low < -0.5 and high <= 1:
        return Range(-1, 1, note.format("1") + " and -1 black")
    if low >= 0 and high > 0:
        is_whole = all(map(_is_whole, arrays))
        if not is_whole and any(
            array.max() <= 1 < high and not _is_whole(array) for array in arrays
        ):
            raise Unfit(
                f"has a part with pixel values up to 1 and another with values up to {high:,.6g}: "
                "save all parts with one range"
            )
        if not is_whole and high <= 1:
            return Range(0, 1)
        if is_whole and high <= FEW_LEVELS:
            return Range(0, high, note.format(f"{high:g}"))
        if FEW_LEVELS < high <= 255:
            return Range(0, 255)
        white = next((2**bits - 1 for bits in DEPTHS if high < 2**bits), None)
        if is_whole and white:
            return Range(0, white, note.format(f"{white:,}"))
    elif low == high == 0:
        return Range(0, 255)
    raise Unfit(
        f"has pixel values from {low:,.6g} to {high:,.6g}, expected 0 to 1, -1 to 1, 0 to 255 or 0 "
        "to 65,535: undo their normalisation and save them as uint8"
    )


def _is_whole(array: np.ndarray) -> bool:
    """Return whether all values are whole numbers."""
    if array.dtype.kind != "f":
        return True
    return all(bool((chunk == np.rint(chunk)).all()) for chunk in _chunks(array))


def _chunks(images: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(images), CHUNK):
        yield images[start : start + CHUNK]


def rgb_chunks(images: np.ndarray, values: Range) -> Iterator[list[Payload]]:
    """Yield images as lists of pixels, uint8 [h, w, 3]; transparent ones are laid on white.

    Args:
        images: [n, h, w, c] of any type.
        values: the range of their values.
    """
    for chunk in _chunks(images):
        pixels = np.asarray(chunk)
        if pixels.dtype != np.uint8 or (values.black, values.white) != (0, 255):
            scaled = (pixels.astype(np.float64) - values.black) / (values.white - values.black)
            pixels = np.floor(scaled.clip(0, 1) * 255 + 0.5).astype(np.uint8)
        if pixels.shape[3] == 4:
            opacity = pixels[..., 3:] / 255
            on_white = pixels[..., :3] * opacity + 255 * (1 - opacity)
            pixels = np.floor(on_white + 0.5).astype(np.uint8)
        yield list(np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3))))
