"""A folder of image files of thirty kinds, as a phone, a scanner and the web leave them."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 24  # pixels
# Kinds that cannot be read, each with a part of the reason that the note has to give.
UNREADABLE = {
    "cut.jpg": "truncated",
    "empty.png": "empty",
    "page.jpg": "a web page",
    "notes.txt": "not an image",
    "drawing.svg": "an SVG drawing",
    "paper.pdf": "a PDF document",
}


def colour(number: int) -> tuple[int, int, int]:
    """Return the colour of the images of a number: far from black, and not grey."""
    return 60 + 37 * number % 190, 60 + 61 * number % 190, 60 + 89 * number % 190


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _deep(number: int, largest: int) -> np.ndarray:
    """Return a grey ramp over the whole range, brighter on one side; the same for all numbers."""
    ramp = np.linspace(0, largest, SIDE)
    return np.tile(ramp if number % 2 else ramp[::-1], (SIDE, 1))


def _readable(number: int) -> dict[str, bytes]:
    """Return one file of each kind that can be read, all of one colour but for the deep ones."""
    rgb = Image.new("RGB", (SIDE, SIDE), colour(number))
    other = Image.new("RGB", (SIDE, SIDE), "white")
    sixteen = Image.fromarray(_deep(number, 65535).astype(np.uint16))
    fractions = Image.fromarray(_deep(number, 1).astype(np.float32))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    jpeg, png = _encoded(rgb, "JPEG", quality=95), _encoded(rgb, "PNG")
    return {
        "photo.jpg": jpeg,
        "upper.JPG": jpeg,
        "long.JPEG": jpeg,
        "old.jfif": jpeg,
        "web.jpg_large": jpeg,
        "query.jpg?width=300": jpeg,
        "nosuffix": jpeg,
        "cmyk.jpg": _encoded(rgb.convert("CMYK"), "JPEG", quality=95),
        "progressive.jpg": _encoded(rgb, "JPEG", quality=95, progressive=True),
        "rotated.jpg": _encoded(rgb, "JPEG", quality=95, exif=rotated),
        "shot.png": png,
        "really-png.jpg": png,
        "alpha.png": _encoded(rgb.convert("RGBA"), "PNG"),
        "palette.png": _encoded(rgb.quantize(8), "PNG"),
        "still.gif": _encoded(rgb, "GIF"),
        "moving.gif": _encoded(rgb, "GIF", save_all=True, append_images=[other]),
        "bitmap.bmp": _encoded(rgb, "BMP"),
        "new.webp": _encoded(rgb, "WEBP", lossless=True),
        "scan.tif": _encoded(rgb, "TIFF"),
        "pages.tiff": _encoded(rgb, "TIFF", save_all=True, append_images=[other]),
        "raw.ppm": _encoded(rgb, "PPM"),
        "game.tga": _encoded(rgb, "TGA"),
        "deep.png": _encoded(sixteen, "PNG"),
        "fractions.tif": _encoded(fractions, "TIFF"),
    }


def save(folder: Path, n_per_kind: int) -> dict[str, int]:
    """Save so many files of each of thirty kinds; return the number in the name of each readable.

    Returns:
        File name -> number of its colour (see `colour`), of the files that can be read.
    """
    folder.mkdir(parents=True)
    numbers = {}
    for number in range(n_per_kind):
        files = _readable(number)
        noise = np.random.default_rng(number).integers(0, 256, (200, 200, 3), dtype=np.uint8)
        jpeg = _encoded(Image.fromarray(noise), "JPEG")
        for name, data in files.items():
            (folder / f"{number:04}-{name}").write_bytes(data)
            numbers[f"{number:04}-{name}"] = number
        broken = {
            "cut.jpg": jpeg[: len(jpeg) // 2],
            "empty.png": b"",
            "page.jpg": b"<!DOCTYPE html><html><body>404</body></html>",
            "notes.txt": b"about these photos",
            "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
            "paper.pdf": b"%PDF-1.7 " + os.urandom(20),
        }
        for name, data in broken.items():
            (folder / f"{number:04}-{name}").write_bytes(data)
    return numbers
