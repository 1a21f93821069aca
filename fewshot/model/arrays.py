"""Arrays of images in the layouts in which users have them -> payloads that can be decoded."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fewshot.errors import UserError

CHANNELS = (1, 3, 4)  # grey; red, green and blue; the same with opacity


def batch(images: np.ndarray | Tensor) -> np.ndarray:
    """Return a batch of images as uint8 [n, h, w, c], c being 3 or 4, without copying bytes.

    The last axis holds the channels if it has 1, 3 or 4 entries and the second axis has not; the
    second axis holds them in the opposite case. If both could, an array of NumPy is read as
    [n, h, w, c] and a tensor of torch as [n, c, h, w]. Three axes are grey images [n, h, w].

    Raises:
        UserError: the shape or the values are not those of images.
    """
    channels_first = isinstance(images, Tensor)
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else images
    if array.ndim == 2:
        raise UserError(
            f"expected images, not an array of shape {array.shape}: FeatureClassifier classifies "
            "rows of features."
        )
    if array.ndim == 3 and (array.shape[0 if channels_first else 2] in CHANNELS[1:]):
        raise UserError(
            f"an array of shape {array.shape} is one image: put it into a list, or add an axis in "
            "front."
        )
    if array.ndim == 3:
        array = array[..., None]
    elif array.ndim != 4 or not {array.shape[1], array.shape[3]} & set(CHANNELS):
        raise UserError(
            "expected images as an array [n, height, width, channels], "
            f"[n, channels, height, width] or [n, height, width], not of shape {array.shape}."
        )
    elif _is_channels_first(array.shape[1:], channels_first):
        array = array.transpose(0, 2, 3, 1)
    return _coloured(as_bytes(array))


def single(image: np.ndarray | Tensor) -> np.ndarray:
    """Return one image as uint8 [h, w, c], c being 3 or 4, by the rule of `batch`."""
    shape = tuple(image.shape)
    if len(shape) not in (2, 3):
        raise UserError(
            "expected each image of a list as an array [height, width, channels], "
            f"[channels, height, width] or [height, width], not of shape {shape}."
        )
    if len(shape) == 2:
        return batch(np.asarray(image)[None, ..., None])[0]
    return batch(image[None])[0]


def _is_channels_first(shape: tuple[int, ...], is_tensor: bool) -> bool:
    first, last = (shape[axis] in CHANNELS for axis in (0, 2))
    return first and (is_tensor or not last)


def as_bytes(array: np.ndarray) -> np.ndarray:
    """Return brightness as uint8.

    Integers are brightness from 0 to 255, and floating-point numbers from 0 to 1. So an array is
    never read by the largest value that it happens to hold.

    Raises:
        UserError: values are outside their range, or are not numbers.
    """
    if array.dtype == np.uint8:
        return array
    kind = array.dtype.kind
    if kind not in "biuf":
        raise UserError(f"expected images of numbers, not of {array.dtype}.")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    top = 255.0 if kind in "iu" else 1.0
    if not (low >= 0 and high <= top):  # also false for NaN
        remedy = (
            "divide 16-bit images by 257" if kind in "iu" else "divide brightness up to 255 by 255"
        )
        numbers = "integers" if kind in "iu" else "floating-point numbers"
        raise UserError(
            f"images of {numbers} must have values from 0 to {top:g}, not from {low:g} to "
            f"{high:g}: {remedy}."
        )
    if kind in "iu":
        return array.astype(np.uint8)
    return np.rint(array.astype(np.float32) * 255).astype(np.uint8)


def _coloured(array: np.ndarray) -> np.ndarray:
    """Return [n, h, w, c] with three equal channels if it has one."""
    return np.broadcast_to(array, (*array.shape[:3], 3)) if array.shape[3] == 1 else array


def to_pixels(array: np.ndarray) -> Tensor:
    """Return uint8 [n, h, w, 3] as a tensor [n, 3, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))
