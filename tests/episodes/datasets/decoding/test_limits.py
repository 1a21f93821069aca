"""Files that cost far more than they seem to are refused; oracle: files made byte by byte."""

from __future__ import annotations

import os
import struct
import threading
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from episodes.datasets.decoding import limits
from episodes.datasets.decoding.decode import decode
from episodes.datasets.decoding.image_formats import (
    broken_image_errors,
    is_image_file,
    raw,
    why_skipped,
)
from episodes.datasets.decoding.opening import opened
from episodes.types import Decoding


def jpeg_of_scans(n_scans: int, side: int = 64) -> bytes:
    """Return a progressive JPEG whose last scan is repeated."""
    stream = BytesIO()
    Image.new("L", (side, side)).save(stream, "JPEG", progressive=True)
    data = stream.getvalue()
    last, end = data.rfind(b"\xff\xda"), data.rfind(b"\xff\xd9")
    return data[:end] + data[last:end] * n_scans + b"\xff\xd9"


def qoi(side: int) -> bytes:
    """Return a QOI image of one colour, which Pillow decodes in Python."""
    runs = b"\xfd" * (side * side // 62 + 1)
    return b"qoif" + struct.pack(">IIBB", side, side, 3, 0) + runs + bytes(7) + b"\1"


def reason(data: bytes) -> str:
    """Return why an image is skipped; an empty string if it is decoded."""
    try:
        decode(data, Decoding(8))
    except broken_image_errors() as error:
        return why_skipped(data, error)
    return ""


def test_a_jpeg_of_many_scans_is_refused() -> None:
    assert reason(jpeg_of_scans(20)) == ""
    start = time.process_time()
    assert reason(jpeg_of_scans(50_000)).startswith("JPEG of 50,0")
    assert time.process_time() - start < 1


def test_formats_that_pillow_decodes_in_python_have_fewer_pixels() -> None:
    assert reason(qoi(64)) == ""
    assert reason(qoi(4000)) == "QOI of more than 4 megapixels; save it as PNG"


def test_a_pipe_among_the_images_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "1.png"
    os.mkfifo(pipe)
    assert raw(pipe) == b""
    assert is_image_file(pipe)  # by its name
    assert why_skipped(pipe) == "cannot be opened: it is a pipe or a device, not a file"
    with pytest.raises(OSError, match="pipe"):
        limits.content_of(pipe)


def test_a_name_that_no_file_can_have_is_an_error_of_the_file_system() -> None:
    with pytest.raises(OSError, match="zero character"):
        limits.content_of(Path("a\0b"))


def test_a_file_is_not_read_beyond_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "1.png"
    file.write_bytes(bytes(100))
    os.truncate(file, limits.LARGEST_FILE + 1)  # a sparse file
    assert why_skipped(file, ValueError()) == "larger than 1 GiB"
    assert limits.content_of(file, 4) == bytes(4)
    monkeypatch.setattr(limits, "LARGEST_FILE", 1000)
    with pytest.raises(OSError, match="larger"):
        limits.content_of(file)
    assert raw(file) == b""


def test_large_images_are_decoded_one_at_a_time() -> None:
    inside: list[int] = []
    most: list[int] = []

    def decoded() -> None:
        with limits.alone_if_large(limits.MANY_PIXELS + 1):
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)
            inside.pop()

    threads = [threading.Thread(target=decoded) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 5


def test_an_assertion_inside_pillow_is_a_reason_to_skip() -> None:
    """Pillow asserts that an image with a palette has one, which it loses in an ICNS file."""
    stream = BytesIO()
    Image.new("P", (16, 16)).save(stream, "PNG")
    png = stream.getvalue()
    entry = b"icp4" + struct.pack(">I", len(png) + 8) + png
    icns = b"icns" + struct.pack(">I", len(entry) + 8) + entry
    with opened(icns) as image:
        image.load()
        with pytest.raises(AssertionError):
            assert image.has_transparency_data
    assert reason(icns) == "not an image"
