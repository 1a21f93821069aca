"""One decode function for every image file; the oracles are pixels that the test itself laid down."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from episodes.datasets import parallel_decode as decoding
from episodes.datasets.decode import broken_image_errors, decode, size_of, working_size


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def turned_for(upright: np.ndarray, orientation: int) -> np.ndarray:
    """The stored pixels of an image that looks `upright` under an EXIF orientation (CIPA DC-008, 4.6.4)."""
    return {
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_orientation_gives_the_upright_image(orientation: int, format_: str) -> None:
    upright = noise(16, 16)
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(turned_for(upright, orientation)))
    options = {"lossless": True} if format_ == "WEBP" else {}
    np.testing.assert_array_equal(
        decode(encoded(stored, format_, exif=exif, **options), 16), upright
    )


def test_rgba_lies_on_white() -> None:
    pixels = noise(8, 8, 4)
    alpha = pixels[..., 3:].astype(float) / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(decode(encoded(Image.fromarray(pixels, "RGBA")), 8) - expected).max() <= 1


def test_grey_with_alpha_lies_on_white() -> None:
    pixels = noise(8, 8, 2)
    alpha = pixels[..., 1].astype(float) / 255
    expected = (pixels[..., 0] * alpha + 255 * (1 - alpha))[..., None].repeat(3, 2)
    assert np.abs(decode(encoded(Image.fromarray(pixels, "LA")), 8) - expected).max() <= 1


def test_transparent_palette_entry_and_transparent_colour_become_white() -> None:
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    palette = Image.fromarray(indices, "P")
    palette.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250])
    seen = decode(encoded(palette, transparency=1), 8)
    assert (seen[indices == 1] == 255).all()
    assert (seen[indices == 2] == (0, 0, 250)).all()
    flat = Image.new("RGB", (8, 8), (9, 8, 7))
    assert (decode(encoded(flat, transparency=(9, 8, 7)), 8) == 255).all()


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(format_: str) -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (32, 32), dtype=np.uint16)
    wide[0, :2] = 0, 65535
    seen = decode(encoded(Image.fromarray(wide), format_), 32)
    np.testing.assert_array_equal(seen[..., 0], np.round(wide / 65535 * 255))
    np.testing.assert_array_equal(seen[..., 0], seen[..., 2])


def test_thirty_two_bit_integers_are_read_as_sixteen_bit_values() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.int32).reshape(16, 16)
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(ramp), "TIFF"), 16)[..., 1].ravel(), range(256)
    )


def test_one_bit_and_grey_fill_all_channels() -> None:
    bits = noise(8, 8, 1)[..., 0] > 127
    seen = decode(encoded(Image.fromarray(bits)), 8)
    np.testing.assert_array_equal(seen, (bits * 255)[..., None].repeat(3, 2))
    grey = noise(8, 8, 1)[..., 0]
    np.testing.assert_array_equal(
        decode(encoded(Image.fromarray(grey)), 8), grey[..., None].repeat(3, 2)
    )


def test_cmyk_keeps_its_colours() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    seen = decode(encoded(cmyk, "JPEG", quality=95), 16)
    assert np.abs(seen.astype(int) - (255, 0, 0)).max() <= 3


def test_same_size_is_left_untouched() -> None:
    data = encoded(Image.fromarray(noise(32, 32)), "JPEG", quality=90)
    np.testing.assert_array_equal(decode(data, 32), np.asarray(Image.open(BytesIO(data))))


def test_the_middle_square_is_kept() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 200  # the middle third is bright, all else is cut away
    assert (decode(encoded(Image.fromarray(wide)), 20) == 200).all()
    assert (decode(encoded(Image.fromarray(wide.transpose(1, 0, 2).copy())), 20) == 200).all()


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_shrinking_averages_instead_of_picking(format_: str) -> None:
    board = ((np.indices((512, 512)).sum(0) % 2) * 255).astype(np.uint8)
    seen = decode(encoded(Image.fromarray(board), format_), 16)
    assert np.abs(seen.astype(int) - 127).max() < 12  # one pixel in 32 would give 0 or 255


def test_shrinking_agrees_with_an_area_average() -> None:
    smooth = np.asarray(Image.fromarray(noise(8, 8)).resize((400, 400), Image.Resampling.BICUBIC))
    area = smooth.reshape(40, 10, 40, 10, 3).mean((1, 3))
    for format_, options in (("PNG", {}), ("JPEG", {"quality": 95, "subsampling": 0})):
        seen = decode(encoded(Image.fromarray(smooth), format_, **options), 40)
        assert np.abs(seen - area).mean() < 2


def test_pixels_in_memory_pass_through() -> None:
    pixels = noise(8, 8)
    np.testing.assert_array_equal(decode(pixels, 8), pixels)
    assert size_of(noise(5, 7), b"") == (7, 5)


def test_what_is_no_image_raises_an_expected_error() -> None:
    whole = encoded(Image.fromarray(noise(64, 64)), "JPEG")
    grey = encoded(Image.fromarray(noise(8, 8, 1)[..., 0].astype(np.float32)), "TIFF")
    for data in (b"", b"a text", whole[: len(whole) // 2], b"\x89PNG\r\n\x1a\n" + bytes(40), grey):
        with pytest.raises(broken_image_errors()):
            decode(data, 8)
    assert size_of(b"a text", b"a text") is None


def test_working_size() -> None:
    assert working_size({(32, 32)}) == 32
    assert working_size({(500, 500)}) == 224
    assert working_size({(32, 32), (33, 32)}) == 64
    assert working_size({(48, 32)}) == 64
    assert working_size(set()) == 64


def test_decoding_runs_a_few_chunks_ahead_of_the_reader_and_no_more(monkeypatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    begun: list[int] = []

    def chunks() -> Iterator[list[np.ndarray]]:
        for number in range(40):
            begun.append(number)
            yield [np.full((4, 4, 3), number, dtype=np.uint8)] * 2

    for number, (pixels, reasons) in enumerate(decoding.decoded_chunks(chunks(), 4)):
        assert (pixels == number).all()
        assert pixels.shape == (2, 3, 4, 4)
        assert reasons == [None, None]
        time.sleep(0.005)  # a slow reader
        assert len(begun) <= number + 6
    assert len(begun) == 40
