"""Images of more than 8 bits per channel: their values, and the range that becomes 0 to 255.

Cameras, X-rays and microscopes write 10, 12 or 14 bits into files of 16, and floating-point files
have no natural range. The range is therefore that of the data set, decided once for each kind of
file.
"""

from __future__ import annotations

from math import ceil, log2
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from episodes.datasets.decoding import limits
from episodes.datasets.decoding.image_formats import broken_image_errors
from episodes.datasets.decoding.limits import CannotDecode
from episodes.datasets.decoding.opening import opened
from episodes.types import Decoding, Fit

if TYPE_CHECKING:
    from PIL import Image

# Files of 16 bits per channel, of 32-bit integers, and of floating-point numbers.
Kind = Literal["16-bit", "32-bit", "floating-point"]
KINDS: tuple[Kind, ...] = ("16-bit", "32-bit", "floating-point")

_BRIGHTEST = 0.999  # quantile of the values: a few hot pixels do not decide the range
_SLACK = 1 + 1 / 16  # floating-point values may exceed 1 or 255 a little after resampling
_LARGEST_SAMPLE = 4096  # values of one image
_SHORTEST = 256  # side in pixels of the images that decide the range
_IMAGES_SAMPLED = 100  # at least, if there are as many

# Tags of a TIFF: BitsPerSample, PhotometricInterpretation, PlanarConfiguration.
_BITS, _INTERPRETATION, _PLANES = 258, 262, 284

# Channels of 16 bits: how Pillow names the bytes that it uses -> how it names the others.
_OTHER_BYTES = {
    f"{channels};16{order}": f"{channels};16{other}"
    for channels in ("RGB", "RGBA", "RGBX", "RGBa")
    for order, other in ("BL", "LB", "NB")
}
_GREY_AND_ALPHA = "LA;16B"
_OTHER_BYTES[_GREY_AND_ALPHA] = "RGBA"  # all four bytes of a pixel


class Range(NamedTuple):
    """The values that become 0 and 255."""

    black: float
    white: float


class Values(NamedTuple):
    """The pixels of a deep image.

    Attributes:
        values: float32 [h, w] or [h, w, 3].
        alpha: opacity from 0 to 1, float32 [h, w]; None if the image is opaque.
    """

    values: np.ndarray
    alpha: np.ndarray | None


def may_be_deep(data: bytes) -> bool:
    """Return whether the first bytes of an image leave open that it has more than 8 bits."""
    if data[:4] == b"\x89PNG":
        return data[24:25] == b"\x10"
    return data[:2] not in {b"", b"\xff\xd8", b"GI", b"RI", b"BM"} and data[4:8] != b"ftyp"


def kind_of(image: Image.Image) -> Kind | None:
    """Return the kind of an opened image that is not loaded yet; None for 8 bits per channel.

    Raises:
        CannotDecode: a TIFF of 16-bit channels, one after the other, which Pillow misreads.
    """
    from PIL.TiffImagePlugin import TiffImageFile

    if image.mode == "F":
        return "floating-point"
    if image.mode == "I":
        return "32-bit"
    if image.mode.startswith("I;16"):
        return "16-bit"
    if image.mode not in {"RGB", "RGBA"}:
        return None
    if isinstance(image, TiffImageFile) and 16 in image.tag_v2.get(_BITS, ()):
        if image.tag_v2.get(_PLANES, 1) == 2:
            raise CannotDecode(
                "TIFF of 16-bit channels one after the other; save it as PNG, or interleave them"
            )
        return "16-bit"
    return "16-bit" if ";16" in _raw_mode(image) else None


def is_negative(image: Image.Image) -> bool:
    """Return whether a deep image is a TIFF in which 0 is white, which Pillow does not invert."""
    from PIL.TiffImagePlugin import TiffImageFile

    return isinstance(image, TiffImageFile) and image.tag_v2.get(_INTERPRETATION) == 0


def _raw_mode(image: Image.Image) -> str:
    """Return how Pillow names the encoded pixels of an opened image."""
    tiles = getattr(image, "tile", None)  # only images from files have it
    arguments = tiles[0][3] if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def values_of(image: Image.Image, data: bytes, shortest: int) -> Values:
    """Read the values of a deep image; Pillow has half of the bits of colour images.

    Args:
        image: the opened image, not loaded yet.
        data: its bytes.
        shortest: a side, in pixels, that is long enough: larger images are averaged over blocks,
            so that the values of a hundred megapixels do not fill the memory.
    """
    block = max(1, min(image.size) // shortest)
    if image.mode not in {"RGB", "RGBA"}:
        transparent = image.info.get("transparency")
        values = np.asarray(image)
        is_opaque = values != transparent if isinstance(transparent, int) else None
        return Values(
            _averaged(values, block), None if is_opaque is None else _averaged(is_opaque, block)
        )
    raw_mode = _raw_mode(image)
    with opened(data) as again:
        other = _OTHER_BYTES.get(raw_mode, raw_mode)
        again.tile = [tile._replace(args=_replaced(tile.args, other)) for tile in again.tile]
        low = _channels(again, block)
    if raw_mode == _GREY_AND_ALPHA:
        both = low[..., 0::2] * 256 + low[..., 1::2]
        return Values(both[..., 0], both[..., 1] / 65535)
    both = _channels(image, block) * 256 + low
    return Values(both[..., :3], both[..., 3] / 65535 if image.mode == "RGBA" else None)


def _channels(image: Image.Image, block: int) -> np.ndarray:
    """Return the channels of a colour image, averaged over square blocks, float32 [h, w, c]."""
    if block == 1:
        return np.asarray(image).astype(np.float32)
    channels = [image.getchannel(name).convert("F").reduce(block) for name in image.getbands()]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def _averaged(values: np.ndarray, block: int) -> np.ndarray:
    """Return numbers averaged over square blocks, float32 [h, w]."""
    from PIL import Image

    numbers = values.astype(np.float32)
    return numbers if block == 1 else np.asarray(Image.fromarray(numbers).reduce(block))


def _replaced(
    arguments: tuple[Any, ...] | str | None, raw_mode: str
) -> tuple[Any, ...] | str | None:
    """Return the arguments of Pillow's decoder with another name of the encoded pixels."""
    return (raw_mode, *arguments[1:]) if isinstance(arguments, tuple) else raw_mode


def sample_of(values: np.ndarray) -> np.ndarray:
    """Return evenly spaced values of an image, enough to know their range."""
    return values.reshape(-1)[:: values.size // _LARGEST_SAMPLE | 1].copy()


def range_of(kind: Kind, values: np.ndarray) -> Range:
    """Return the range of values that becomes 0 to 255.

    White is the largest number of 8, 10, 12 ... bits, as cameras have them, that holds nearly all
    integers. For floating-point values it is 1 or 255 if they fit, and otherwise a power of two.
    Black is 0, or a negative power of two if there are negative values.
    """
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return Range(0, 1)
    low = float(np.quantile(finite, 1 - _BRIGHTEST, method="lower"))
    high = float(np.quantile(finite, _BRIGHTEST, method="higher"))
    if kind == "floating-point" and high <= 16:
        near_one = 1 / 16 < high <= _SLACK
        white = 1.0 if near_one or high <= 0 else float(2 ** ceil(log2(high)))
    elif kind == "floating-point" and high <= 255 * _SLACK:
        white = 255.0
    else:
        n_bits = max(8, ceil(log2(max(high, 0) + 1)))
        white = float(2 ** (n_bits + (n_bits % 2 if low >= 0 else 0)) - 1)
    is_negative = low < (-white / 16 if kind == "floating-point" else 0)
    return Range(-float(2 ** ceil(log2(-low))) if is_negative else 0.0, white)


def range_in(decoding: Decoding, kind: Kind) -> Range | None:
    """Return the range of a kind of file in a data set, or None if it had no such file."""
    black, white = {
        "16-bit": (0.0, decoding.white),
        "32-bit": (decoding.black_32, decoding.white_32),
        "floating-point": (decoding.black_float, decoding.white_float),
    }[kind]
    return None if black is None or white is None else Range(black, white)


def eight_bits(values: np.ndarray, levels: Range) -> np.ndarray:
    """Scale values to uint8 of the same shape; values that are not numbers become black."""
    scaled = (values - np.float32(levels.black)) * np.float32(255 / (levels.white - levels.black))
    scaled = np.nan_to_num(scaled, posinf=255).clip(0, 255)
    return np.asarray(np.rint(scaled), dtype=np.uint8)


class RangeFinder:
    """Collect values of the deep images of a data set, and decide their ranges.

    About 100 to 200 images of each kind are used, evenly spaced; all if there are fewer.
    """

    def __init__(self) -> None:
        self._samples: dict[Kind, list[np.ndarray]] = {}
        self._seen: dict[Kind, int] = {}
        self._stride: dict[Kind, int] = {}

    def add(self, data: bytes) -> None:
        """Use an image if it is deep; one that cannot be read is passed over."""
        try:
            with opened(data) as image, limits.alone_if_large(image.width * image.height):
                kind = kind_of(image)
                if kind is None:
                    return
                limits.check(image, data)
                number = self._seen.get(kind, 0)
                self._seen[kind] = number + 1
                if number % self._stride.setdefault(kind, 1) == 0:
                    self._use(kind, values_of(image, data, _SHORTEST).values)
        except broken_image_errors():
            return

    def _use(self, kind: Kind, values: np.ndarray) -> None:
        samples = self._samples.setdefault(kind, [])
        samples.append(sample_of(values))
        if len(samples) == 2 * _IMAGES_SAMPLED:
            self._samples[kind] = samples[::2]
            self._stride[kind] *= 2

    def decoding(self, size: int, fit: Fit) -> Decoding:
        """Return how the images of the data set are decoded."""
        ranges = {
            kind: range_of(kind, np.concatenate(samples)) for kind, samples in self._samples.items()
        }
        none = (None, None)
        _, white = ranges.get("16-bit", none)
        black_32, white_32 = ranges.get("32-bit", none)
        black_float, white_float = ranges.get("floating-point", none)
        return Decoding(size, fit, white, black_32, white_32, black_float, white_float)
