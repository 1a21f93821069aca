"""Decode one image to uint8 RGB pixels of one square size, whatever its format."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from episodes.datasets.decoding import deep_pixels, limits
from episodes.datasets.decoding.deep_pixels import Kind
from episodes.datasets.decoding.image_formats import broken_image_errors, raw
from episodes.datasets.decoding.opening import opened
from episodes.datasets.source import Payload
from episodes.types import Decoding

if TYPE_CHECKING:
    from PIL import Image

LARGEST_DEFAULT = 224  # pixels
MIXED_DEFAULT = 64  # pixels
_ORIENTATION = 0x0112  # EXIF tag
# Where Pillow stores what may hold an orientation.
_METADATA = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}
# Formats whose further pages are pictures of their own; the second image of a phone's JPEG is not.
_PAGED = {"TIFF", "GIF", "PNG", "WEBP", "AVIF", "HEIF"}


class Traits(NamedTuple):
    """What a user may want to know about how an image was decoded.

    Attributes:
        cut_off: share of the area that is cut off.
        kind: kind of an image of more than 8 bits per channel; None for others.
        is_dim: whether a deep image fills less than a sixteenth of the range of the data set.
        is_clipped: whether values of a deep image are outside that range.
        has_more_pages: whether there are further pages or frames, which are not used.
    """

    cut_off: float = 0.0
    kind: Kind | None = None
    is_dim: bool = False
    is_clipped: bool = False
    has_more_pages: bool = False


_ORDINARY = Traits()


def size_of(payload: Payload, data: bytes) -> tuple[int, int] | None:
    """Read the width and height of an image from its header.

    Args:
        payload: the image.
        data: its bytes, as `raw` returns them.

    Returns:
        Width and height in pixels; None if the payload is not an image.
    """
    if isinstance(payload, np.ndarray):
        return payload.shape[1], payload.shape[0]
    try:
        with opened(data) as image:
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


def decode(payload: Payload, decoding: Decoding) -> np.ndarray:
    """Decode an image: upright (EXIF), on white where it is transparent, square, and resized.

    Args:
        payload: the image.
        decoding: size and shape of the result, and the range of deep images.

    Returns:
        uint8 [size, size, 3].

    Raises:
        Exception: one of `broken_image_errors`, if the image cannot be decoded.
    """
    return decode_with_traits(payload, decoding)[0]


def decode_with_traits(payload: Payload, decoding: Decoding) -> tuple[np.ndarray, Traits]:
    """Decode an image, and say how: see `decode` and `Traits`."""
    from PIL import Image

    if isinstance(payload, np.ndarray):
        square = _square(Image.fromarray(payload), decoding)
        return np.asarray(square), _ORDINARY
    data = raw(payload)
    with opened(data) as image, _bounded(image, data, decoding):
        colours, traits = _colours(image, data, decoding)
        pixels = np.asarray(_square(colours, decoding))
        if image.format in _PAGED and _has_more_pages(image):
            traits = traits._replace(has_more_pages=True)
        return pixels, traits


def decode_upright(payload: Path | bytes, decoding: Decoding) -> np.ndarray:
    """Decode an image at its own size: upright (EXIF), on white where it is transparent.

    A JPEG that is far larger than the decoding asks for is read at a fraction of its size.

    Args:
        payload: the encoded image.
        decoding: how the image would become a square.

    Returns:
        uint8 [h, w, 3], of which `decode` makes the square.

    Raises:
        Exception: one of `broken_image_errors`, if the image cannot be decoded.
    """
    data = raw(payload)
    with opened(data) as image, _bounded(image, data, decoding):
        return np.asarray(_colours(image, data, decoding)[0])


def rgb(image: Image.Image) -> np.ndarray:
    """Return the pixels of an opened image of 8 bits, upright and on white, uint8 [h, w, 3]."""
    return np.asarray(_rgb(_upright(image, image)))


@contextmanager
def _bounded(image: Image.Image, data: bytes, decoding: Decoding) -> Iterator[None]:
    """Bound the time and the memory that an opened image takes inside the block."""
    limits.check(image, data)
    n_pixels = image.width * image.height
    # This affects JPEG alone: it is decoded at a half, a quarter or an eighth of its size if that
    # is still at least twice the size of the result.
    if min(image.size) >= 4 * decoding.size:
        image.draft(None, (2 * decoding.size, 2 * decoding.size))
    if "progressive" not in image.info:  # such a JPEG is whole in memory all the same
        n_pixels = image.width * image.height
    with limits.alone_if_large(n_pixels):
        yield


def _colours(image: Image.Image, data: bytes, decoding: Decoding) -> tuple[Image.Image, Traits]:
    """Return an opened image as upright RGB pixels that are not square yet."""
    width, height = image.size
    traits = _ORDINARY
    kind = deep_pixels.kind_of(image) if deep_pixels.may_be_deep(data) else None
    if kind is None:
        colours = _rgb(_upright(image, image))
    else:
        shallow, traits = _shallow(image, kind, data, decoding)
        colours = _rgb(_upright(shallow, image))
    if width != height and decoding.fit == "crop":
        traits = traits._replace(cut_off=1 - min(width, height) / max(width, height))
    return colours, traits


def _has_more_pages(image: Image.Image) -> bool:
    try:
        return bool(getattr(image, "is_animated", False))  # not every class of Pillow has it
    except broken_image_errors():
        return False  # the first page is whole although the second is damaged


def _shallow(
    image: Image.Image, kind: Kind, data: bytes, decoding: Decoding
) -> tuple[Image.Image, Traits]:
    """Convert a deep image to 8 bits per channel, by the range of the data set."""
    from PIL import Image

    values, alpha = deep_pixels.values_of(image, data, 4 * decoding.size)
    own = deep_pixels.range_of(kind, deep_pixels.sample_of(values))
    levels = deep_pixels.range_in(decoding, kind) or own
    pixels = deep_pixels.eight_bits(values, levels)
    if deep_pixels.is_negative(image):
        pixels = 255 - pixels
    if alpha is not None:
        colours = pixels if pixels.ndim == 3 else pixels[..., None].repeat(3, axis=2)
        opacity = np.rint(alpha * 255).astype(np.uint8)[..., None]
        pixels = np.concatenate([colours, opacity], axis=2)
    is_dim = own.white - own.black < (levels.white - levels.black) / 16
    is_clipped = own.white > levels.white or own.black < levels.black
    return Image.fromarray(pixels), Traits(0.0, kind, is_dim, is_clipped)


def _upright(image: Image.Image, source: Image.Image) -> Image.Image:
    """Undo the rotation and reflection that the EXIF orientation describes.

    Args:
        image: the image to turn.
        source: the image with the metadata; it is loaded.
    """
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
    source.load()  # this turns TIFF images upright, and removes their orientation
    if not source.info.keys() & _METADATA:
        return image
    try:
        operation = operations.get(source.getexif().get(_ORIENTATION, 1))
    except broken_image_errors():
        operation = None  # the pixels are usable although the EXIF block is damaged
    return image if operation is None else image.transpose(operation)


def _rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode of 8 bits to RGB, on white where it is transparent."""
    from PIL import Image

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def _square(image: Image.Image, decoding: Decoding) -> Image.Image:
    """Make an image square and resize it."""
    from PIL import Image

    size = decoding.size
    if image.size == (size, size):
        return image
    width, height = image.size
    bicubic = Image.Resampling.BICUBIC
    if decoding.fit == "squeeze":
        return image.resize((size, size), bicubic, reducing_gap=3.0)
    if decoding.fit == "pad":
        scale = size / max(width, height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = Image.new("RGB", (size, size), "white")
        corner = (size - inner[0]) // 2, (size - inner[1]) // 2
        canvas.paste(image.resize(inner, bicubic, reducing_gap=3.0), corner)
        return canvas
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return image.resize((size, size), bicubic, box=box, reducing_gap=3.0)
