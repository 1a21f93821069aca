"""Decode one image file to uint8 RGB pixels of one square size, whatever its format."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from episodes.datasets.source import Payload
from episodes.types import Decoding

if TYPE_CHECKING:
    from PIL import Image

LARGEST_DEFAULT = 224  # pixels
MIXED_DEFAULT = 64  # pixels
_ORIENTATION = 0x0112  # EXIF tag
_UNKNOWN_TO_PILLOW = {".heic", ".heif", ".avif", ".jxl", ".dng", ".svg"}


def broken_image_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that Pillow raises for damaged, hostile or unsupported files."""
    from PIL import Image

    pillow = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    damaged = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, RuntimeError)
    return (*pillow, *damaged, struct.error, zlib.error)


def raw(payload: Payload) -> bytes:
    """Return the bytes of a payload; empty if its file is unreadable or not named as an image."""
    if isinstance(payload, np.ndarray):
        return payload.tobytes()
    if isinstance(payload, Path):
        try:
            return payload.read_bytes() if named_as_image(payload) else b""
        except OSError:
            return b""
    return payload


def size_of(payload: Payload, data: bytes) -> tuple[int, int] | None:
    """Read the width and height of an image from its header.

    Args:
        payload: the image.
        data: its bytes, as `raw` returns them.

    Returns:
        Width and height in pixels; None if the payload is not an image.
    """
    from PIL import Image

    if isinstance(payload, np.ndarray):
        return payload.shape[1], payload.shape[0]
    try:
        with Image.open(BytesIO(data)) as image:
            return image.size
    except broken_image_errors():
        return None


def working_size(sizes: set[tuple[int, int]], input_size: int = 0) -> int:
    """Return the default side of the images that learners receive, in pixels.

    If all images have one square size, it is that size, at most 224 or what the backbone needs.
    Otherwise it is what the backbone needs, and at least 64.

    Args:
        sizes: widths and heights that occur in the data set.
        input_size: side in pixels that the backbone needs; 0 without one.
    """
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width == height:
            return min(width, max(LARGEST_DEFAULT, input_size))
    return max(MIXED_DEFAULT, input_size)


def why_skipped(payload: Payload) -> str:
    """Return the reason why a payload that cannot be decoded is skipped, for a message."""
    if not isinstance(payload, Path) or (payload.suffix and named_as_image(payload)):
        return "cannot be decoded"
    if payload.suffix.lower() in _UNKNOWN_TO_PILLOW:
        return "a format that cannot be read; save it as JPEG or PNG"
    return "not an image"


def named_as_image(path: Path) -> bool:
    """Return whether a file has the suffix of an image or none; other files are never read."""
    from PIL import Image

    return not path.suffix or path.suffix.lower() in Image.registered_extensions()


def decode(payload: Payload, decoding: Decoding) -> np.ndarray:
    """Decode the central square of an image.

    The image is turned upright (EXIF), laid on white if it is transparent, and resized so that its
    shorter side is `size`.

    Args:
        payload: the image.
        decoding: size and shape of the result.

    Returns:
        uint8 [size, size, 3].

    Raises:
        Exception: one of `broken_image_errors`, if the image cannot be decoded.
    """
    from PIL import Image

    size = decoding.size
    if isinstance(payload, np.ndarray):
        return np.asarray(_square(Image.fromarray(payload), size))
    with Image.open(BytesIO(raw(payload))) as image:
        # This affects JPEG alone: it is decoded at a half, a quarter or an eighth of its size if
        # that is still at least twice the size of the result.
        image.draft(None, (2 * size, 2 * size))
        return np.asarray(_square(_rgb(_upright(image)), size))


def _upright(image: Image.Image) -> Image.Image:
    """Undo the rotation and reflection that the EXIF orientation describes."""
    from PIL.Image import Transpose

    operations = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()  # this turns TIFF images upright, and removes their orientation
    try:
        operation = operations.get(image.getexif().get(_ORIENTATION, 1))
    except broken_image_errors():
        operation = None  # the pixels are usable although the EXIF block is damaged
    return image if operation is None else image.transpose(operation)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB, on white where it is transparent."""
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((values + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image, size: int) -> Image.Image:
    """Resize the central square of an image."""
    from PIL import Image

    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
