"""Draw suggested images with their numbers, on one sheet."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence

from PIL import Image, ImageDraw

from episodes.datasets.decoding import decode
from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.names import readable_line
from episodes.datasets.source import Payload
from episodes.types import Decoding

MOST = 200  # images on a sheet
COLUMNS = 6

# Sizes in pixels.
CELL = 150
MARGIN = 10
CAPTION = 22
FONT_SIZE = 13


def png(payloads: Sequence[Payload], names: Sequence[str]) -> bytes:
    """Return the sheet as a PNG file.

    Args:
        payloads: the encoded images, of which the first 200 are drawn.
        names: their names.
    """
    buffer = io.BytesIO()
    draw(payloads[:MOST], names[:MOST]).save(buffer, "PNG")
    return buffer.getvalue()


def draw(payloads: Sequence[Payload], names: Sequence[str]) -> Image.Image:
    """Draw images as a whole, each above its number and the end of its name."""
    columns = min(COLUMNS, len(payloads))
    n_rows = -(-len(payloads) // columns)
    step, height = CELL + MARGIN, CELL + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * step + MARGIN, n_rows * height + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    with quiet_pillow():
        for position, (payload, name) in enumerate(zip(payloads, names, strict=True)):
            row, column = divmod(position, columns)
            corner = (MARGIN + column * step, MARGIN + row * height)
            pixels = decode.decode(payload, Decoding(CELL, "pad"))
            sheet.paste(Image.fromarray(pixels), corner)
            caption = _caption(pen, position + 1, name)
            pen.text((corner[0], corner[1] + CELL + 3), caption, fill="black", font_size=FONT_SIZE)
    return sheet


def _caption(pen: ImageDraw.ImageDraw, number: int, name: str) -> str:
    """Return a number and as much of the end of a name as fits below an image."""
    text = unicodedata.normalize("NFC", readable_line(name)).rsplit("/", 1)[-1]
    short, start = f"{number}  {text}", 0
    while start < len(text) and pen.textlength(short, font_size=FONT_SIZE) > CELL:
        start += 1
        short = f"{number}  …{text[start:]}"
    return short
