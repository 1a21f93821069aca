"""Oracles: files written byte by byte, the 8-bit image that each holds, and ranges by hand."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from episodes.datasets.decoding import deep_pixels
from episodes.datasets.decoding.decode import decode, decode_with_traits
from episodes.datasets.decoding.deep_pixels import Kind, Range, RangeFinder, range_of
from episodes.datasets.decoding.limits import CannotDecode
from episodes.types import Decoding
from tests.episodes.datasets.deep_images import png16, tiff

SHALLOW = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
SHALLOW[0] = 255
GREY = SHALLOW[..., :1]


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("n_channels", [1, 3])
@pytest.mark.parametrize("n_bits", [8, 10, 12, 14, 16])
def test_each_number_of_bits_in_sixteen_gives_the_same_image(
    n_bits: int, n_channels: int, order: str
) -> None:
    values = np.rint(SHALLOW[..., :n_channels] / 255 * (2**n_bits - 1)).astype(np.uint16)
    expected = SHALLOW if n_channels == 3 else GREY.repeat(3, axis=2)
    for data in (png16(values), tiff(values, order)):
        np.testing.assert_array_equal(decode(data, Decoding(8)), expected)


@pytest.mark.parametrize("n_channels", [2, 4])
def test_the_alpha_channel_of_sixteen_bits_is_laid_on_white(n_channels: int) -> None:
    alpha = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8, 1)
    colours = SHALLOW[..., : n_channels - 1].astype(np.uint16) * 257
    opacity = alpha / 65535
    expected = colours / 257 * opacity + 255 * (1 - opacity)
    pixels = decode(png16(np.concatenate([colours, alpha], axis=2)), Decoding(8))
    assert np.abs(pixels - expected).max() <= 1


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (GREY.astype(np.int32), GREY),
        (GREY.astype(np.uint32) * 16, GREY * 16.0 / 4095 * 255),
        (GREY.astype(np.float32), GREY),
        (GREY / np.float32(255), GREY),
        (GREY / np.float32(25500), GREY * 0.64),  # to 0.01, so 1/64 is white
        ((GREY / 127.5 - 1).astype(np.float32), GREY),  # from -1 to 1
        (GREY.astype(np.int16) * 8 - 1000, (GREY * 8.0 + 24) / (2047 + 1024) * 255),
    ],
    ids=["int32", "12 bits", "float 255", "float 1", "float 0.01", "float -1", "signed"],
)
def test_integers_of_32_bits_and_floating_point_numbers(
    values: np.ndarray, expected: np.ndarray
) -> None:
    levels = RangeFinder()
    levels.add(tiff(values))
    pixels = decode(tiff(values), levels.decoding(8, "crop"))
    assert np.abs(pixels[..., :1] - np.asarray(expected, dtype=float)).max() <= 1


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("16-bit", [0, 255], (0, 255)),
        ("16-bit", [0, 256], (0, 1023)),
        ("16-bit", [7, 4095], (0, 4095)),
        ("16-bit", [7, 4096], (0, 16383)),
        ("32-bit", [0, 65536], (0, 2**18 - 1)),
        ("32-bit", [-1000, 3000], (-1024, 4095)),
        ("floating-point", [0, 1.05], (0, 1)),
        ("floating-point", [0, 0.3], (0, 1)),
        ("floating-point", [0, 0.03], (0, 2**-5)),
        ("floating-point", [-0.01, 1], (0, 1)),
        ("floating-point", [-2.9, 3.1], (-4, 4)),
        ("floating-point", [0, 200], (0, 255)),
        ("floating-point", [0, 4000], (0, 4095)),
        ("floating-point", [np.nan, 1, np.inf], (0, 1)),
        ("floating-point", [np.nan], (0, 1)),
        ("floating-point", [0, 0], (0, 1)),
    ],
)
def test_the_range_of_values(
    kind: Kind, values: list[float], expected: tuple[float, float]
) -> None:
    assert range_of(kind, np.array(values, dtype=np.float32)) == expected


def test_hot_pixels_do_not_decide_the_range() -> None:
    values = np.full(10_000, 3000, dtype=np.float32)
    values[:3] = 65535
    assert range_of("16-bit", values) == (0, 4095)


def test_the_range_is_that_of_the_data_set_and_each_kind_has_its_own() -> None:
    levels = RangeFinder()
    dark = png16(GREY.astype(np.uint16))
    for data in (dark, png16(GREY.astype(np.uint16) * 16), tiff(GREY / np.float32(255)), b"text"):
        levels.add(data)
    decoding = levels.decoding(8, "pad")
    assert decoding == Decoding(8, "pad", white=4095, black_float=0, white_float=1)
    pixels, traits = decode_with_traits(dark, decoding)
    assert pixels.max() == 16
    assert traits.kind == "16-bit"
    assert traits.is_dim
    assert not traits.is_clipped


def test_images_beyond_the_range_are_marked() -> None:
    pixels, traits = decode_with_traits(png16(GREY.astype(np.uint16) * 257), Decoding(8, white=255))
    assert traits.is_clipped
    assert np.array_equal(pixels[..., :1] == 255, GREY > 0)


def test_a_few_images_of_many_decide_and_they_are_spread_over_the_data_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deep_pixels, "_IMAGES_SAMPLED", 4)
    reads: list[int] = []

    def values_of(image: Image.Image, data: bytes, shortest: int) -> deep_pixels.Values:
        reads.append(data[-1])
        return deep_pixels.Values(np.zeros((1, 1)), None)

    monkeypatch.setattr(deep_pixels, "values_of", values_of)
    levels = RangeFinder()
    whole = png16(GREY.astype(np.uint16))
    for number in range(100):
        levels.add(whole + bytes([number]))
    assert len(reads) < 30
    assert reads[-1] > 80


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4])
def test_large_images_are_averaged_over_blocks(n_channels: int) -> None:
    coarse = np.random.default_rng(1).integers(0, 65536, (9, 9, n_channels))
    values = coarse.astype(np.uint16).repeat(100, axis=0).repeat(100, axis=1)
    values[::2] += 1  # below what 8 bits hold
    with Image.open(BytesIO(png16(values))) as image:
        read = deep_pixels.values_of(image, png16(values), 9)
    colours = coarse if n_channels in {1, 3} else coarse[..., :-1]
    np.testing.assert_allclose(read.values.reshape(9, 9, -1), colours + 0.5, atol=0.1)
    if n_channels in {2, 4}:
        assert read.alpha is not None
        np.testing.assert_allclose(read.alpha, coarse[..., -1] / 65535, atol=1e-4)
    if n_channels in {1, 3}:
        shallow = (values >> 8).astype(np.uint8).repeat(3 // n_channels, axis=2)
        pixels = decode(png16(values), Decoding(9)).astype(int)
        assert np.abs(pixels - decode(shallow, Decoding(9))).mean() < 2


def test_not_a_number_is_black_and_infinity_white() -> None:
    values = np.array([np.nan, -np.inf, np.inf, 0.5], dtype=np.float32)
    assert deep_pixels.eight_bits(values, Range(0, 1)).tolist() == [0, 0, 255, 128]


def test_channels_of_sixteen_bits_one_after_the_other_are_refused() -> None:
    data = tiff(SHALLOW.astype(np.uint16) * 257, planar=True)
    with pytest.raises(CannotDecode, match="one after the other"):
        decode(data, Decoding(8))
    np.testing.assert_array_equal(decode(tiff(SHALLOW, planar=True), Decoding(8)), SHALLOW)


@pytest.mark.parametrize("number", [np.uint8, np.uint16, np.float32])
def test_a_tiff_in_which_zero_is_white_is_inverted(number: type) -> None:
    values = GREY.astype(number)
    pixels = decode(tiff(values, zero_is_white=True), Decoding(8))
    np.testing.assert_array_equal(pixels[..., :1], 255 - GREY)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
def test_ordinary_images_are_known_by_their_first_bytes(format_: str) -> None:
    file = BytesIO()
    Image.fromarray(SHALLOW).save(file, format_)
    assert not deep_pixels.may_be_deep(file.getvalue())
    assert deep_pixels.may_be_deep(png16(GREY.astype(np.uint16)))
    assert deep_pixels.may_be_deep(tiff(GREY))
