"""Open encoded images, of the formats that are decoded within Pillow and its plug-ins."""

from __future__ import annotations

from functools import cache
from io import BytesIO
from typing import TYPE_CHECKING

from episodes.datasets.decoding.image_formats import NOT_DECODED, can_read

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG"}


def opened(data: bytes) -> ImageFile:
    """Open an encoded image; the pixels are read later."""
    from PIL import Image

    if data[4:8] == b"ftyp":
        can_read("HEIC"), can_read("AVIF")  # this registers the plug-ins
    # Pillow asks the plug-ins one after the other; the two most frequent formats are known here.
    names = [name for start, name in _STARTS.items() if data.startswith(start)]
    return Image.open(BytesIO(data), formats=names or _formats(len(Image.ID)))


@cache
def _formats(n_registered: int) -> list[str]:
    """Return the formats to ask for; the number of those registered may grow."""
    from PIL import Image

    Image.init()
    return [name for name in Image.ID if name not in NOT_DECODED]
