"""Images in every form that users have them in: a folder, paths, bytes, Pillow's, or arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from episodes.datasets.decoding import decode, image_sizes
from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.decoding.planning import planned
from episodes.datasets.source import CHUNK, LoadOptions, Part, Payload, few
from episodes.types import Decoding, Fit
from fewshot.errors import UserError
from fewshot.model import arrays, image_listing

EIGHT_BITS = {"1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "CMYK", "YCbCr"}
EIGHT_BITS |= {"LAB", "HSV"}  # modes of Pillow; the others have more bits per channel
SAMPLE = 32  # images of which the natural side is computed


@dataclass(frozen=True, eq=False)
class Images:
    """Images that are not decoded yet.

    Attributes:
        names: path or number of each image, for messages and `kneighbors`.
        payload: index -> encoded image, path or pixels of that image.
        array: all images, uint8 [n, h, w, 3], if they came as one array of this form.
    """

    names: tuple[str, ...]
    payload: Callable[[int], Payload]
    array: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.names)

    def chunks(self) -> Iterator[list[Payload]]:
        """Yield all payloads in lists."""
        for start in range(0, len(self), CHUNK):
            yield [self.payload(i) for i in range(start, min(start + CHUNK, len(self)))]


def images_of(images: Any) -> Images:
    """Return the images of one of these forms, not decoded yet.

    Args:
        images: the path of a folder, of which all images are taken, also those in folders inside
            it, by rising name; the path of one image; a list of paths, bytes of image files,
            images of Pillow and arrays; or one array, see `arrays.batch`.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(images, str | os.PathLike):
        return _of_place(Path(images))
    if isinstance(images, Image.Image | bytes | bytearray | memoryview):
        raise UserError("expected several images: put a single one into a list.")
    if isinstance(images, Tensor) or (
        isinstance(images, np.ndarray) and images.dtype.kind not in "OUST"
    ):
        return _of_array(images)
    if not isinstance(images, Iterable):
        raise UserError(
            "expected a folder, a list of images or an array of images, not "
            f"{type(images).__name__}."
        )
    items = list(images)
    for item in items:
        _check(item)
    names = tuple(
        os.fspath(item) if isinstance(item, str | os.PathLike) else str(number)
        for number, item in enumerate(items)
    )
    return Images(names, lambda i: _payload(items[i]))


def _of_place(place: Path) -> Images:
    if not place.exists():
        raise UserError(f"{place} does not exist: name a folder of images, or give a list.")
    folder, names, unreadable, _, _ = image_listing.listing([place])
    if unreadable:
        raise UserError(f"{place}: {image_listing.summary(unreadable)}; convert or remove them.")
    return Images(tuple(str(folder / name) for name in names), lambda i: folder / names[i])


def _of_array(images: np.ndarray | Tensor) -> Images:
    array = arrays.batch(images)
    names = tuple(map(str, range(len(array))))
    if array.shape[3] == 3:
        return Images(names, array.__getitem__, array)
    return Images(names, lambda i: decode.rgb(Image.fromarray(array[i])))


def _check(item: Any) -> None:
    kinds = (str, os.PathLike, bytes, bytearray, memoryview, Image.Image, np.ndarray, Tensor)
    if not isinstance(item, kinds):
        raise UserError(
            "expected each image as a path, the bytes of an image file, an image of Pillow or an "
            f"array, not as {type(item).__name__}."
        )


def _payload(item: Any) -> Payload:
    """Return an item of a list as what is decoded."""
    if isinstance(item, str | os.PathLike):
        return Path(item)
    if isinstance(item, bytes | bytearray | memoryview):
        return bytes(item)
    if isinstance(item, Image.Image) and item.mode not in EIGHT_BITS:
        stream = BytesIO()  # decoded like a file, because the range of its values is to be chosen
        item.save(stream, "TIFF")
        return stream.getvalue()
    if isinstance(item, Image.Image):
        return decode.rgb(item)
    array = arrays.single(item)
    return array if array.shape[2] == 3 else decode.rgb(Image.fromarray(array))


def natural_side(images: Images) -> int:
    """Return the median of the shorter sides of some images, in pixels."""
    positions = np.linspace(0, len(images) - 1, min(len(images), SAMPLE)).astype(int)
    with quiet_pillow():
        return image_sizes.median_side_of(images.payload(int(one)) for one in positions)


def decoding_of(images: Images, labels: Tensor, input_size: int, fit: Fit) -> tuple[Decoding, str]:
    """Choose how images are decoded, as for a data set, and hash their content.

    Args:
        images: the images.
        labels: int64 [n].
        input_size: side in pixels that the network needs.
        fit: how an image that is not square becomes square.

    Returns:
        The decoding, and a fingerprint of the decoded images and their labels.
    """
    part = Part(labels.numpy(), images.names.__getitem__, images.chunks)
    with quiet_pillow():
        decoding, plan = planned((), [part], LoadOptions(None, input_size, fit), None)
    return decoding, plan.fingerprints[0]


def pixel_chunks(images: Images, decoding: Decoding) -> Iterator[Tensor]:
    """Yield the pixels of all images in order, uint8 [m, 3, side, side], some at a time.

    Raises:
        UserError: images cannot be decoded; the message names them, with the reasons.
    """
    side, array = decoding.size, images.array
    if array is not None and array.shape[1:3] == (side, side):
        for start in range(0, len(array), CHUNK):
            yield arrays.to_pixels(array[start : start + CHUNK])
        return
    with quiet_pillow():
        start = 0
        for pixels, reasons, _ in decoded_chunks(images.chunks(), decoding):
            names = images.names[start : start + len(reasons)]
            _check_decoded(names, reasons)
            start += len(reasons)
            yield torch.from_numpy(pixels)


def _check_decoded(names: Sequence[str], reasons: Sequence[str | None]) -> None:
    broken = [
        f"{f'image {name}' if name.isdigit() else name} ({reason})"
        for name, reason in zip(names, reasons, strict=True)
        if reason is not None
    ]
    if broken:
        raise UserError(f"not all images can be read: {few(broken)}; remove or repair them.")
