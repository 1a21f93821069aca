"""Images of every format that Pillow writes, and damage that is done to them."""

from __future__ import annotations

import random
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
from PIL import Image

MODES = (
    *("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F"),
    *("I;16", "I;16B", "La", "RGBa"),
)
NOT_IMAGES = {"PDF", "MPO", "EPS", "PALM", "BUFR", "GRIB", "HDF5", "WMF"}
ANIMATED = ("GIF", "WEBP", "PNG", "TIFF", "AVIF", "MPO")
# Pillow crashes when it writes modes that a compression does not have.
TIFF_COMPRESSIONS = {
    **dict.fromkeys(
        ("tiff_lzw", "tiff_deflate", "tiff_adobe_deflate", "packbits", "lzma", "zstd"),
        ("1", "L", "RGB", "I;16"),
    ),
    **dict.fromkeys(("group3", "group4"), ("1",)),
    "jpeg": ("L", "RGB"),
}
EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 60_000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

Damage = Callable[[bytes, random.Random], bytes]


def picture(mode: str, side: tuple[int, int] = (37, 29)) -> Image.Image:
    """Return a picture with edges and gradients."""
    x, y = np.meshgrid(np.arange(side[0]), np.arange(side[1]))
    channels = [x * 6 % 256, y * 8 % 256, (x + y) * 3 % 256]
    image = Image.fromarray(np.stack(channels, 2).astype(np.uint8))
    if mode in {"I;16", "I;16B"}:
        return Image.fromarray((x * 1000 % 65536).astype(np.uint16)).convert(mode)
    if mode in {"LA", "PA", "La"}:
        image = image.convert("LA")
        return image if mode == "LA" else image.convert(mode)
    if mode in {"RGBA", "RGBa"}:
        image.putalpha(image.getchannel(0))
        return image.convert(mode)
    return image.convert(mode) if mode != "LAB" else _lab(image)


def _lab(image: Image.Image) -> Image.Image:
    return Image.merge("LAB", image.split())


def originals() -> Iterator[tuple[str, bytes]]:
    """Yield (name, content) of whole images: all formats and modes that Pillow writes."""
    Image.init()
    for format_ in sorted(set(Image.SAVE) - NOT_IMAGES):
        for mode in MODES:
            yield from _saved(f"{format_} {mode}", mode, format=format_)
    for format_ in ANIMATED:
        frames = [picture("RGB").rotate(90 * turn) for turn in range(3)]
        options = {"format": format_, "save_all": True, "append_images": frames}
        yield from _saved(f"{format_} animated", "RGB", **options)
    for compression, modes in TIFF_COMPRESSIONS.items():
        for mode in modes:
            options = {"format": "TIFF", "compression": compression}
            yield from _saved(f"TIFF {mode} {compression}", mode, **options)
    yield from _saved("JPEG progressive", "RGB", format="JPEG", progressive=True)
    yield from _saved("JPEG with EXIF", "RGB", format="JPEG", exif=_exif())
    yield from _saved("PNG with EXIF", "RGB", format="PNG", exif=_exif())
    yield from _saved("WEBP lossless", "RGBA", format="WEBP", lossless=True)


def _exif() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "A description " * 20
    exif.get_ifd(0x8769)[0x9003] = "2026:11:28 12:00:00"
    return exif.tobytes()


def _saved(name: str, mode: str, **options: object) -> Iterator[tuple[str, bytes]]:
    stream = BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some modes will no longer be written
            picture(mode).save(stream, **options)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError, RuntimeError):
        return  # the format has no such mode
    yield name, stream.getvalue()


def _flipped(data: bytes, chance: random.Random) -> bytes:
    content = bytearray(data)
    for _ in range(chance.choice((1, 4, 1 + len(data) // 100))):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    return bytes(content)


def _flipped_header(data: bytes, chance: random.Random) -> bytes:
    end = min(len(data), chance.choice((16, 64, 256)))
    return _flipped(data[:end], chance) + data[end:]


def _truncated(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data))]


def _inserted(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + chance.randbytes(chance.choice((1, 4, 64))) + data[place:]


def _removed(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data))
    return data[:place] + data[place + chance.choice((1, 4, 64)) :]


def _repeated(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.choices(range(len(data) + 1), k=2))
    return data[:end] + data[start:end] * chance.choice((1, 3, 50)) + data[end:]


def _swapped(data: bytes, chance: random.Random) -> bytes:
    first, second, third = sorted(chance.choices(range(len(data) + 1), k=3))
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _overwritten(data: bytes, chance: random.Random) -> bytes:
    """Write extreme numbers at some places, mostly in the header, where sizes are."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        order = chance.choice("<>")
        number = struct.pack(f"{order}I", chance.choice(EXTREMES))[: chance.choice((2, 4))]
        place = chance.randrange(min(len(content), chance.choice((32, 128, len(content)))))
        content[place : place + len(number)] = number
    return bytes(content)


def _filled(data: bytes, chance: random.Random) -> bytes:
    start, end = sorted(chance.choices(range(len(data) + 1), k=2))
    return data[:start] + chance.choice((b"\0", b"\xff")) * (end - start) + data[end:]


DAMAGES: dict[str, Damage] = {
    "flipped bits": _flipped,
    "flipped bits in the header": _flipped_header,
    "cut off": _truncated,
    "inserted bytes": _inserted,
    "removed bytes": _removed,
    "repeated bytes": _repeated,
    "swapped blocks": _swapped,
    "extreme numbers": _overwritten,
    "a block of zeros or ones": _filled,
}


def png_repaired(data: bytes) -> bytes:
    """Return a damaged PNG with right checksums, so that the damage reaches the decoder."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    content, place = bytearray(data), 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        end = place + 8 + length
        if end + 4 > len(content):
            break
        content[end : end + 4] = zlib.crc32(content[place + 4 : end]).to_bytes(4, "big")
        place = end + 4
    return bytes(content)


def mutated(originals_: list[tuple[str, bytes]], n: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield n damaged images: (what was done to which format, content)."""
    chance = random.Random(seed)
    for number in range(n):
        name, content = originals_[number % len(originals_)]
        kind = chance.choice(list(DAMAGES))
        for _ in range(chance.choice((1, 1, 2))):
            content = DAMAGES[kind](content, chance) or b"\0"
        yield f"{name}, {kind}", png_repaired(content)
