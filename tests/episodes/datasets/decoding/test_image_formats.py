"""Oracles: files that Pillow wrote under other names, and the beginnings that formats prescribe."""

from __future__ import annotations

import logging
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from episodes.datasets.decoding import image_formats
from episodes.datasets.decoding.decode import decode
from episodes.datasets.decoding.image_formats import (
    broken_image_errors,
    format_of,
    is_image_file,
    quiet_pillow,
    raw,
    why_skipped,
)
from episodes.types import Decoding
from tests.episodes.datasets.deep_images import png16, tiff

PICTURE = Image.fromarray(
    np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
).resize((80, 80))


def encoded(format_: str, **options: object) -> bytes:
    file = BytesIO()
    PICTURE.save(file, format_, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("format_", "name"),
    [
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
        ("WEBP", "WebP"),
        ("JPEG2000", "JPEG 2000"),
    ],
)
def test_formats_are_known_by_how_files_of_pillow_begin(format_: str, name: str) -> None:
    assert format_of(encoded(format_)[:64]) == name


@pytest.mark.parametrize(
    "name",
    [
        "photo.jpg_large",
        "photo.jpg?width=300",
        "photo.JPEG",
        "photo.jpg.1",
        "photo.jpg~",
        "IMG_1.HEIC",
        "photo",
        "photo.bin",
        "photo.png",
    ],
)
def test_an_image_is_read_whatever_it_is_called(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(encoded("JPEG"))
    assert is_image_file(path)
    assert raw(path) == encoded("JPEG")
    assert decode(path, Decoding(80)).shape == (80, 80, 3)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"a text", "not an image"),
        ("clip.mp4", b"\0\0\0\x18ftypisom" + bytes(20), "a video, not an image"),
        ("shot.NEF", encoded("TIFF"), "a camera's raw file; save it as JPEG or PNG"),
        ("paper.pdf", b"%PDF-1.4", "a PDF document; save its pages as PNG"),
        ("chest.dcm", bytes(128) + b"DICM" + bytes(50), "DICOM; save it as PNG"),
        (
            "digit.npy",
            b"\x93NUMPY\x01\x00v\x00{'descr'",
            "a NumPy array; save it as PNG, or all arrays and their labels as .npz",
        ),
        ("old.jxl", b"\xff\x0a" + bytes(20), "JPEG XL; save it as JPEG or PNG"),
        ("empty.txt", b"", "empty"),
    ],
)
def test_files_that_are_no_images_are_not_read(
    tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert not is_image_file(path)
    assert raw(path) == b""
    assert why_skipped(path) == reason


NO_IMAGE = "not an image, in spite of its name"
JPEG = encoded("JPEG")
GREY = np.zeros((4, 4, 1))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"a text", NO_IMAGE),
        (bytes(5000), NO_IMAGE),
        (JPEG[:-60], "truncated"),
        (encoded("PNG")[:-300], "truncated"),
        (encoded("TIFF", compression="tiff_lzw")[:100], "damaged TIFF"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "damaged PNG"),
        (b"  <!DOCTYPE html><html>403", "a web page, not an image"),
        (b"<svg xmlns='x'/>", "an SVG drawing; save it as PNG"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid",
            "a Git LFS pointer, not the image; run `git lfs pull`",
        ),
        (b"PK\x03\x04" + bytes(30), "a ZIP file, not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "an EPS drawing, which needs Ghostscript; save it as PNG"),
        (
            tiff(GREY.repeat(13, axis=2).astype(np.uint16)),
            "TIFF of 13 channels of 16-bit integers; save it as an RGB or grey PNG",
        ),
        (
            tiff(GREY.repeat(3, axis=2).astype(np.float32)),
            "TIFF of 3 channels of 32-bit floating-point numbers; save it as an RGB or grey PNG",
        ),
        (
            tiff(GREY.astype(np.float64)),
            "TIFF of one channel of 64-bit floating-point numbers; save it as an RGB or grey PNG",
        ),
    ],
)
def test_the_reason_for_skipping_is_true(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(content)
    with quiet_pillow():
        with pytest.raises(broken_image_errors()) as error:
            decode(path, Decoding(8))
        assert why_skipped(path, error.value) == reason


def test_an_image_beyond_the_limit_of_pixels_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    Image.new("1", (14_000, 14_000)).save(path)
    header = bytearray(png16(np.zeros((1, 1, 1), dtype=np.uint16)))
    header[16:24] = (60_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    for payload in (path, bytes(header)):
        with pytest.raises(broken_image_errors()) as error:
            decode(payload, Decoding(8))
        reason = why_skipped(payload, error.value)
        assert reason == "too large: more than 178,956,970 pixels; save it smaller"


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    reason = why_skipped(tmp_path / "missing.png", OSError())
    assert reason == "cannot be opened: No such file or directory"


def test_heic_without_its_plug_in_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_formats, "_PLUGINS", {"HEIC": "no_such_plug_in"})
    image_formats.can_read.cache_clear()
    content = b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic" + bytes(200)
    for name in ("IMG_2.jpg", "IMG_2.HEIC"):
        path = tmp_path / name
        path.write_bytes(content)
        assert is_image_file(path) == (name == "IMG_2.jpg")
        assert why_skipped(path, ValueError()) == "HEIC, which needs `pip install pillow-heif`"
    image_formats.can_read.cache_clear()


def test_heic_is_read_with_its_plug_in_under_any_name(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.from_pillow(PICTURE).save(tmp_path / "a.heic", quality=95)
    content = (tmp_path / "a.heic").read_bytes()
    for name in ("a.HEIC", "a.jpg", "a.heif", "a"):
        path = tmp_path / name
        path.write_bytes(content)
        assert is_image_file(path)
        pixels = decode(path, Decoding(80))
        assert np.abs(pixels.astype(int) - np.asarray(PICTURE)).mean() < 5
    damaged = content[: len(content) // 2]
    with pytest.raises(broken_image_errors()) as error:
        decode(damaged, Decoding(8))
    assert why_skipped(damaged, error.value) in {"truncated", "damaged HEIC"}


def test_avif_is_read_under_any_name(tmp_path: Path) -> None:
    if not image_formats.can_read("AVIF"):
        pytest.skip("this Pillow cannot read AVIF")
    for name in ("a.avif", "a.jpg", "a.AVIF"):
        (tmp_path / name).write_bytes(encoded("AVIF", quality=95))
        pixels = decode(tmp_path / name, Decoding(80))
        assert np.abs(pixels.astype(int) - np.asarray(PICTURE)).mean() < 5


def test_pillow_is_quiet_about_odd_images(caplog: pytest.LogCaptureFixture) -> None:
    level = logging.getLogger("PIL").level
    with quiet_pillow(), pytest.raises(broken_image_errors()):
        decode(tiff(GREY.repeat(13, axis=2)), Decoding(8))
    assert not caplog.records
    assert logging.getLogger("PIL").level == level
