"""PNG and TIFF files of 16 bits and of floating-point numbers, written byte by byte."""

from __future__ import annotations

import struct
import zlib

import numpy as np


def png16(values: np.ndarray) -> bytes:
    """Encode uint16 [h, w, c]: grey, grey and alpha, RGB or RGBA (the PNG specification)."""
    height, width, n_channels = values.shape
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[n_channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, content) for name, content in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def tiff(
    values: np.ndarray, order: str = "<", planar: bool = False, zero_is_white: bool = False
) -> bytes:
    """Encode [h, w, c] of any number type as an uncompressed TIFF (TIFF 6.0).

    Args:
        values: pixels.
        order: byte order, "<" or ">".
        planar: store channel after channel.
        zero_is_white: mark a grey image as a negative.
    """
    height, width, n_channels = values.shape
    stored = values.transpose(2, 0, 1) if planar else values
    body = stored.astype(values.dtype.newbyteorder(order)).tobytes()
    n_strips = n_channels if planar else 1
    strip = len(body) // n_strips
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    fields = [
        (256, "I", [width]),
        (257, "I", [height]),
        (258, "H", [values.dtype.itemsize * 8] * n_channels),
        (259, "H", [1]),
        (262, "H", [2 if n_channels >= 3 else int(not zero_is_white)]),
        (273, "I", [8 + number * strip for number in range(n_strips)]),
        (277, "H", [n_channels]),
        (278, "I", [height]),
        (279, "I", [strip] * n_strips),
        (284, "H", [2 if planar else 1]),
        (339, "H", [sample_format] * n_channels),
    ]
    entries, long_values = b"", b""
    for tag, code, numbers in fields:
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        if len(packed) > 4:
            position = struct.pack(order + "I", 8 + len(body) + len(long_values))
            long_values += packed
            packed = position
        kind = {"H": 3, "I": 4}[code]
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + packed.ljust(4, b"\0")
    directory = struct.pack(order + "H", len(fields)) + entries + bytes(4)
    start = struct.pack(order + "I", 8 + len(body) + len(long_values))
    return {"<": b"II*\0", ">": b"MM\0*"}[order] + start + body + long_values + directory
