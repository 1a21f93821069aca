"""What an image may cost: a small file can ask for hours of work or all of the memory."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EFBIG, EINVAL
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

LARGEST_FILE = 1 << 30  # bytes
MOST_SCANS = 100  # of a JPEG, which has about ten; each costs as much time as the whole image
MOST_PIXELS_IN_PYTHON = 1 << 22  # of an image whose format Pillow decodes in Python
MANY_PIXELS = 1 << 25  # of an image that no other one is decoded beside
_SCAN = b"\xff\xda"
_ALONE = threading.Lock()


class CannotDecode(ValueError):
    """An image is not decoded, although it may be whole; the message says why."""


def content_of(path: Path, most: int | None = None) -> bytes:
    """Return the bytes of a file, or its first ones.

    A pipe or a device, at which a program could wait for ever, is not read.

    Args:
        path: the file.
        most: number of bytes to read; None for all, of which there must not be too many.

    Raises:
        OSError: it is no file, is too large or cannot be read.
    """
    if "\0" in str(path):
        raise OSError(EINVAL, "a name with a zero character is not that of a file")
    with open(path, "rb", opener=_opened_at_once) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(EINVAL, "it is a pipe or a device, not a file")
        if most is not None:
            return file.read(most)
        content = file.read(LARGEST_FILE + 1)  # the file may grow meanwhile
        if len(content) > LARGEST_FILE:
            raise OSError(EFBIG, f"it is larger than {LARGEST_FILE >> 30} GiB")
        return content


def _opened_at_once(path: str, flags: int) -> int:
    """Open a file without waiting for a program at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def check(image: Image.Image, data: bytes) -> None:
    """Raise CannotDecode if an opened image would take far longer than one of its kind.

    Args:
        image: the image, not loaded yet.
        data: its bytes.
    """
    from PIL import Image

    if image.format == "JPEG" and (n_scans := data.count(_SCAN)) > MOST_SCANS:
        raise CannotDecode(f"JPEG of {n_scans:,} scans, which would take very long")
    codecs = {tile[0] for tile in getattr(image, "tile", None) or ()}
    n_pixels = image.size[0] * image.size[1]
    if n_pixels > MOST_PIXELS_IN_PYTHON and not codecs.isdisjoint(Image.DECODERS):
        raise CannotDecode(
            f"{image.format} of more than {MOST_PIXELS_IN_PYTHON >> 20} megapixels; save it as PNG"
        )


@contextmanager
def alone_if_large(n_pixels: int) -> Iterator[None]:
    """Let one image of very many pixels be decoded at a time, so that memory is bounded."""
    if n_pixels <= MANY_PIXELS:
        yield
    else:
        with _ALONE:
            yield
