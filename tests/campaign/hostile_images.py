"""Images that claim or cost far more than their size, and odd metadata: made by hand."""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from io import BytesIO

from PIL import Image

from tests.campaign.mutated_images import picture, png_repaired


def png(
    width: int, height: int, depth: int = 8, colour: int = 2, rows: bytes | None = None
) -> bytes:
    """Return a PNG of zeros, or one with other compressed rows."""
    if rows is None:
        n_channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
        row = bytes(1 + (width * n_channels * depth + 7) // 8)
        packer = zlib.compressobj(1)
        rows = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, content) for kind, content in chunks)


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return a chunk of a PNG."""
    total = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", total)


def written(format_: str, mode: str = "RGB", **options: object) -> bytes:
    """Return a picture as Pillow writes it."""
    stream = BytesIO()
    with warnings.catch_warnings(action="ignore"):  # Pillow reads the odd metadata once more
        picture(mode).save(stream, format_, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def huge_headers() -> Iterator[tuple[str, bytes]]:
    """Yield small files whose headers name the largest sizes that their format has."""
    yield "PNG of 60,000 x 60,000", png(60_000, 60_000, rows=zlib.compress(b""))
    yield "PNG of 2^31 pixels", png(2**31 - 1, 1, rows=zlib.compress(b""))
    yield "PPM of 60,000 x 60,000", b"P6 60000 60000 255\n" + bytes(99)
    yield "PPM of many digits", b"P6 " + b"9" * 5000 + b" 1 255\n"
    yield "plain PPM", b"P3 60000 60000 255\n" + b"1 " * 999
    patches = (
        ("GIF", 6, "<HH"),
        ("BMP", 18, "<ii"),
        ("TGA", 12, "<HH"),
        ("PCX", 8, "<HH"),
        ("SGI", 6, ">HH"),
        ("DDS", 12, "<II"),
        ("QOI", 4, ">II"),
        ("IM", 600, "<HH"),
    )
    for format_, place, shape in patches:
        content = bytearray(written(format_, "RGB" if format_ != "GIF" else "P"))
        content[place : place + struct.calcsize(shape)] = struct.pack(shape, 60_000, 60_000)
        yield f"{format_} of 60,000 x 60,000", bytes(content)
    for format_, marker, after, shape in (
        ("JPEG", b"\xff\xc0", 5, ">HH"),
        ("JPEG2000", b"ihdr", 4, ">II"),
        ("JPEG2000", b"\xff\x51", 6, ">II"),
        ("AVIF", b"ispe", 8, ">II"),
        ("WEBP", b"VP8 ", 14, "<HH"),
        ("TIFF", b"\x00\x01\x03\x00\x01\x00\x00\x00", 8, "<I"),
        ("TIFF", b"\x01\x01\x03\x00\x01\x00\x00\x00", 8, "<I"),
    ):
        content = bytearray(written(format_))
        place = content.find(marker) + after
        numbers = [60_000] * (len(shape) - 1)
        content[place : place + struct.calcsize(shape)] = struct.pack(shape, *numbers)
        yield f"{format_} with 60,000 at {marker!r}", bytes(content)


def bombs() -> Iterator[tuple[str, bytes]]:
    """Yield files of less than a few megabytes that unpack to as much as is allowed, or more."""
    yield "PNG of 169 megapixels", png(13_000, 13_000)
    yield "PNG of 121 megapixels, transparent", png(11_000, 11_000, colour=6)
    yield "PNG of 121 megapixels of 16 bits", png(11_000, 11_000, depth=16)
    yield "PNG of 1 x 100,000,000", png(100_000_000, 1, colour=0)
    for compression in ("tiff_deflate", "group4", "packbits"):
        stream = BytesIO()
        image = Image.new("1" if compression == "group4" else "L", (12_000, 12_000))
        image.save(stream, "TIFF", compression=compression)
        yield f"TIFF of 144 megapixels, {compression}", stream.getvalue()
    for format_ in ("GIF", "WEBP"):
        stream = BytesIO()
        Image.new("L", (12_000, 12_000)).save(stream, format_, lossless=True)
        yield f"{format_} of 144 megapixels", stream.getvalue()
    big = png(13_000, 13_000)
    yield (
        "ICO of a PNG bomb",
        struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(big), 22) + big,
    )
    text = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(200 << 20)))
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(200 << 20)))
    for name, bomb in (("text", text), ("profile", profile)):
        small = written("PNG")
        yield f"PNG with a {name} of 200 MB", small[:33] + bomb + small[33:]
    scan = written("JPEG", progressive=True)
    last, end = scan.rfind(b"\xff\xda"), scan.rfind(b"\xff\xd9")
    yield "JPEG of 20,000 scans", scan[:end] + scan[last:end] * 20_000 + b"\xff\xd9"


def odd() -> Iterator[tuple[str, bytes]]:
    """Yield animations of many frames, cycles, and rubbish where metadata are."""
    frames = [Image.new("P", (8, 8), number % 256) for number in range(10_000)]
    for format_ in ("GIF", "PNG", "WEBP"):
        few = frames[: 1000 if format_ == "WEBP" else 10_000]
        stream = BytesIO()
        few[0].save(stream, format_, save_all=True, append_images=few[1:], duration=1)
        yield f"{format_} of {len(few):,} frames", stream.getvalue()
    tiff = bytearray(written("TIFF"))
    first = struct.unpack_from("<I", tiff, 4)[0]
    n_tags = struct.unpack_from("<H", tiff, first)[0]
    struct.pack_into("<I", tiff, first + 2 + 12 * n_tags, first)  # the next directory is this one
    yield "TIFF whose directories are a circle", bytes(tiff)
    many = bytearray(written("TIFF"))
    struct.pack_into("<H", many, first, 65_535)
    yield "TIFF of 65,535 tags", bytes(many)
    rubbish = {
        "zeros": bytes(60_000),
        "ones": b"\xff" * 60_000,
        "a circle": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "odd types": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x63\0\xff\xff\xff\xff\xff\xff\xff\x7f",
        "text": b"Exif\0\0" + b"\x1b[2J\n<script>" * 99,
    }
    for name, exif in rubbish.items():
        for format_ in ("JPEG", "PNG", "WEBP", "TIFF"):
            try:
                yield f"{format_} with EXIF of {name}", written(format_, exif=exif)
            except (OSError, ValueError, TypeError, SyntaxError, struct.error):
                continue
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
    xmp = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "x">{entities}]><x>&a11;</x>'.encode()
    for format_ in ("JPEG", "PNG", "WEBP"):
        yield f"{format_} with XMP that grows", written(format_, xmp=xmp)
        yield f"{format_} with a wrong profile", written(format_, icc_profile=b"\xff" * 5000)
    yield (
        "PNG with a palette of nothing",
        png_repaired(written("PNG", "P").replace(b"PLTE", b"PLTF")),
    )


def all_hostile() -> Iterator[tuple[str, bytes]]:
    """Yield every image of this module with its name."""
    yield from huge_headers()
    yield from bombs()
    yield from odd()
