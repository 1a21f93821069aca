"""Any image file to uint8 RGB pixels of one square size, the same for folders and Parquet files."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from episodes.datasets.source import Payload

if TYPE_CHECKING:
    from PIL import Image

LARGEST_DEFAULT = 224
MIXED_DEFAULT = 64
_ORIENTATION = 0x0112
_UNKNOWN_TO_PILLOW = {".heic", ".heif", ".avif", ".jxl", ".dng", ".svg"}


def broken_image_errors() -> tuple[type[Exception], ...]:
    """What Pillow is seen to raise on damaged, hostile or unsupported files."""
    from PIL import Image

    pillow = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    damaged = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, RuntimeError)
    return (*pillow, *damaged, struct.error, zlib.error)


def raw(payload: Payload) -> bytes:
    """The bytes that a payload stands for; none where a file cannot be read or is no image by its name."""
    if isinstance(payload, np.ndarray):
        return payload.tobytes()
    if isinstance(payload, Path):
        try:
            return payload.read_bytes() if named_as_image(payload) else b""
        except OSError:
            return b""
    return payload


def size_of(payload: Payload, data: bytes) -> tuple[int, int] | None:
    """Width and height from the header alone; None where there is no image."""
    from PIL import Image

    if isinstance(payload, np.ndarray):
        return payload.shape[1], payload.shape[0]
    try:
        with Image.open(BytesIO(data)) as image:
            return image.size
    except broken_image_errors():
        return None


def working_size(sizes: set[tuple[int, int]]) -> int:
    """The side of the square images that learners see, where the user names none.

    One square size is kept, up to 224; sizes that differ, or are not square, become 64.
    """
    if len(sizes) == 1:
        width, height = next(iter(sizes))
        if width == height:
            return min(width, LARGEST_DEFAULT)
    return MIXED_DEFAULT


def why_skipped(payload: Payload) -> str:
    """The reason that something which does not decode is left out."""
    if not isinstance(payload, Path) or (payload.suffix and named_as_image(payload)):
        return "cannot be decoded"
    known = payload.suffix.lower() in _UNKNOWN_TO_PILLOW
    return "a format that cannot be read; save it as JPEG or PNG" if known else "not an image"


def named_as_image(path: Path) -> bool:
    """Whether a file's name is that of an image, or says nothing; other files are never read."""
    from PIL import Image

    return not path.suffix or path.suffix.lower() in Image.registered_extensions()


def decode(payload: Payload, size: int) -> np.ndarray:
    """One image, upright, on white, its shorter side scaled to `size` and the middle kept.

    Returns uint8 [size, size, 3]. Raises one of `broken_image_errors` where the image cannot be decoded.
    """
    from PIL import Image

    if isinstance(payload, np.ndarray):
        return np.asarray(_square(Image.fromarray(payload), size))
    with Image.open(BytesIO(raw(payload))) as image:
        # JPEG alone: decodes at a half, quarter or eighth where that still leaves twice the size wanted.
        image.draft(None, (2 * size, 2 * size))
        return np.asarray(_square(_rgb(_upright(image)), size))


def _upright(image: Image.Image) -> Image.Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()  # Pillow turns TIFF by itself here, and forgets the orientation
    try:
        turn = turns.get(image.getexif().get(_ORIENTATION, 1))
    except broken_image_errors():
        turn = None  # a damaged EXIF block does not spoil the pixels
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        raise ValueError("floating-point pixels have no fixed range")
    if image.has_transparency_data:
        seen = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image, size: int) -> Image.Image:
    from PIL import Image

    if image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
