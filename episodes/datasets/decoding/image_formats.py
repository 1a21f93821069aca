"""Which files are images, whatever their names say, and why an image cannot be decoded."""

from __future__ import annotations

import importlib
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np

from episodes.datasets.decoding.limits import LARGEST_FILE, CannotDecode, content_of
from episodes.datasets.source import Payload

CANNOT_OPEN = "cannot be opened: "  # how the reason begins if the system refuses a file
_HEAD = 132  # bytes that are enough to recognise a format

# Formats that need a plug-in of Pillow, and where it comes from.
_PLUGINS = {"HEIC": "pillow_heif", "AVIF": "pillow_avif"}
_HINTS = {
    "HEIC": "HEIC, which needs `pip install pillow-heif`",
    "AVIF": "AVIF, which needs `pip install --upgrade pillow`",
    "JPEG XL": "JPEG XL; save it as JPEG or PNG",
}

# A camera's raw files begin like a TIFF, but what Pillow would read is a small preview.
_CAMERA_RAW = frozenset(
    {
        *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mos"),
        *(".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf"),
        *(".srw", ".x3f"),
    }
)
# Formats whose names Pillow knows, although it cannot decode them, or only by another program:
# for EPS it would start Ghostscript, which runs what the file says.
NOT_DECODED = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "PDF", "WMF"})

_IMAGE_BRANDS = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys(
        (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), "HEIC"
    ),
}
_BEGINNINGS = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"8BPS": "PSD",
    b"qoif": "QOI",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\0\0\0\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
}
_NO_IMAGE = "not an image"
# What is often saved under the name of an image, and what it is.
_OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer, not the image; run `git lfs pull`",
    b"<!doctype html": "a web page, not an image",
    b"<html": "a web page, not an image",
    b"<svg": "an SVG drawing; save it as PNG",
    b"<?xml": "an XML file, such as an SVG drawing; save it as PNG",
    b"%pdf": "a PDF document; save its pages as PNG",
    b"pk\x03\x04": "a ZIP file, not an image",
    b"\x93numpy": "a NumPy array; save it as PNG, or all arrays and their labels as .npz",
    b"simple  =": "a FITS file that cannot be read; save it as PNG",
    b"\x89hdf": "an HDF5 file; save its images as PNG",
    b"matlab": "a MATLAB file; save its images as PNG",
    b"v/1\x01": "an OpenEXR image; save it as PNG",
    b"#?ra": "a Radiance HDR image; save it as PNG",
    b"\x1f\x8b": "a gzip file, such as NIfTI; save its images as PNG",
}


def broken_image_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that Pillow raises for damaged, hostile or unsupported files."""
    from PIL import Image

    pillow = (Image.DecompressionBombError, Image.DecompressionBombWarning)
    damaged = (OSError, SyntaxError, ValueError, TypeError, LookupError, EOFError, RuntimeError)
    # Pillow asserts what a damaged file need not hold, and computes with the sizes that it names.
    unexpected = (AssertionError, AttributeError, ArithmeticError, MemoryError)
    return (*pillow, *damaged, *unexpected, struct.error, zlib.error)


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Silence what Pillow says about odd images: it decodes them well, or raises an error."""
    logger = logging.getLogger("PIL")
    level = logger.level
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            logger.setLevel(level)


def format_of(head: bytes) -> str | None:
    """Return the image format that the first bytes of a file announce, or None."""
    if head[4:8] == b"ftyp":
        compatible = [head[8:12], *(head[start : start + 4] for start in range(16, 32, 4))]
        formats = [_IMAGE_BRANDS[brand] for brand in compatible if brand in _IMAGE_BRANDS]
        return "AVIF" if "AVIF" in formats else next(iter(formats), None)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:2] == b"BM" and head[14:18] in {bytes([n, 0, 0, 0]) for n in (12, 40, 52, 108, 124)}:
        return "BMP"
    for beginning, name in _BEGINNINGS.items():
        if head.startswith(beginning):
            return name
    return None


@cache
def can_read(format_: str | None) -> bool:
    """Return whether Pillow reads a format; its plug-in is registered if one is installed."""
    from PIL import features

    if format_ not in _PLUGINS:
        return format_ not in {None, "JPEG XL"}
    if format_ == "AVIF" and features.check("avif"):
        return True
    try:
        plugin = importlib.import_module(_PLUGINS[format_])
    except ImportError:
        return False
    if format_ == "HEIC":
        plugin.register_heif_opener()
    return True


def needs_plugin(data: bytes) -> bool:
    """Return whether an image is read here thanks to a plug-in of Pillow."""
    return data[4:8] == b"ftyp" and format_of(data[:_HEAD]) in _PLUGINS and readable(data[:_HEAD])


def readable(head: bytes) -> bool:
    """Return whether bytes are the beginning of an image that can be read here."""
    return can_read(format_of(head))


def raw(payload: Payload) -> bytes:
    """Return the bytes of a payload; empty if its file is unreadable or no image."""
    if isinstance(payload, np.ndarray):
        return payload.tobytes()
    if isinstance(payload, Path):
        try:
            is_image = is_image_file(payload)
            return content_of(payload) if is_image else b""
        except OSError:
            return b""
    return payload


def is_image_file(path: Path) -> bool:
    """Return whether a file is taken for an image: by its suffix, or by how it begins.

    A file whose suffix is that of an image is one even if it is damaged. Any other file, such as
    `photo.jpg?width=300`, must begin as an image that can be read.
    """
    return _named_as_image(path) or begins_as_image(path)


def begins_as_image(path: Path) -> bool:
    """Return whether a file begins as an image that can be read here."""
    return path.suffix.lower() not in _CAMERA_RAW and readable(_head(path))


def may_be_image(path: Path) -> bool:
    """Return whether a file is a photo of a format that may not be readable here."""
    return path.suffix.lower() in _CAMERA_RAW or format_of(_head(path)) is not None


def _named_as_image(path: Path) -> bool:
    """Return whether a file has the suffix of a format that Pillow decodes, or none."""
    return not path.suffix or path.suffix.lower() in _image_suffixes()


@cache
def _image_suffixes() -> frozenset[str]:
    from PIL import Image

    formats = Image.registered_extensions()
    return frozenset(
        suffix
        for suffix, format_ in formats.items()
        if format_ in Image.OPEN and format_ not in {*NOT_DECODED, "HEIF"}
    )


def _head(path: Path) -> bytes:
    """Return the first bytes of a file; empty if it cannot be read."""
    try:
        return content_of(path, _HEAD)
    except OSError:
        return b""


def why_skipped(payload: Payload, error: Exception | None = None) -> str:
    """Return the reason why an image cannot be decoded, for a message.

    Args:
        payload: the image.
        error: what `decode` raised; None if it was not tried, because the file is not an image.
    """
    from PIL import Image

    if isinstance(error, CannotDecode):
        return str(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too large: more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels; save it smaller"
    if isinstance(payload, Path):
        try:
            head = content_of(payload, _HEAD)
            if payload.stat().st_size > LARGEST_FILE:
                return f"larger than {LARGEST_FILE >> 30} GiB"
        except OSError as unreadable:
            return f"{CANNOT_OPEN}{unreadable.strerror}"
        if payload.suffix.lower() in _CAMERA_RAW:
            return "a camera's raw file; save it as JPEG or PNG"
    else:
        head = payload[:_HEAD] if isinstance(payload, bytes) else b""
    if not head:
        return "empty"
    format_ = format_of(head)
    if not can_read(format_) or error is None:
        reason = _why_not_read(head, format_)
        is_named = isinstance(payload, Path) and payload.suffix.lower() in _image_suffixes()
        return f"{reason}, in spite of its name" if reason == _NO_IMAGE and is_named else reason
    return _why_damaged(payload, format_ or "", error)


def _why_not_read(head: bytes, format_: str | None) -> str:
    """Return what the file is, of which the first bytes are not those of an image read here."""
    if format_ in _HINTS:
        return _HINTS[format_]
    if head[4:8] == b"ftyp":
        return "a video, not an image"
    if head[128:132] == b"DICM":
        return "DICOM; save it as PNG"
    if head.startswith((b"%!PS", b"\xc5\xd0\xd3\xc6")):
        return "an EPS drawing, which needs Ghostscript; save it as PNG"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for beginning, reason in _OTHERS.items():
        if text.startswith(beginning):
            return reason
    return _NO_IMAGE


def _why_damaged(payload: Payload, format_: str, error: Exception) -> str:
    """Return why an image of a known format cannot be decoded."""
    from PIL import UnidentifiedImageError

    message = str(error).lower()
    is_unknown = isinstance(error, UnidentifiedImageError) or "unknown raw mode" in message
    if format_ == "TIFF" and is_unknown:
        return _why_no_tiff(raw(payload))
    if "truncated" in message or "unexpected end" in message or isinstance(error, EOFError):
        return "truncated"
    if "conversion from" in message:
        return f"{format_} of a colour space that cannot be converted to RGB"
    return f"damaged {format_}"


def _why_no_tiff(data: bytes) -> str:
    """Return what kind of TIFF it is that Pillow does not know."""
    from PIL import TiffImagePlugin

    try:
        directory = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
        stream = BytesIO(data)
        stream.seek(directory.next)
        directory.load(stream)
        n_channels = int(directory.get(TiffImagePlugin.SAMPLESPERPIXEL, 1))
        n_bits = int(directory[TiffImagePlugin.BITSPERSAMPLE][0])
        is_float = directory.get(TiffImagePlugin.SAMPLEFORMAT, (1,))[0] == 3
    except broken_image_errors():
        return "damaged TIFF"
    channels = "one channel" if n_channels == 1 else f"{n_channels} channels"
    numbers = "floating-point numbers" if is_float else "integers"
    return f"TIFF of {channels} of {n_bits}-bit {numbers}; save it as an RGB or grey PNG"
