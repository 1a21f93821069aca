"""Oracles: pixels that the test itself wrote, and Pillow for images of the right size."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from episodes.datasets.decoding.decode import decode, decode_with_traits, size_of, working_size
from episodes.datasets.decoding.image_formats import broken_image_errors
from episodes.datasets.source import Payload
from episodes.types import Decoding, Fit

FITS: tuple[Fit, ...] = ("crop", "squeeze", "pad")


def encoded(image: Image.Image, format_: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


def pixels_of(payload: Payload, size: int) -> np.ndarray:
    return decode(payload, Decoding(size))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def stored_pixels(upright: np.ndarray, orientation: int) -> np.ndarray:
    """Return the pixels to store for an EXIF orientation (CIPA DC-008, section 4.6.4)."""
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
    stored = Image.fromarray(np.ascontiguousarray(stored_pixels(upright, orientation)))
    options = {"lossless": True} if format_ == "WEBP" else {}
    np.testing.assert_array_equal(
        pixels_of(encoded(stored, format_, exif=exif, **options), 16), upright
    )


def test_transparent_colour_images_are_laid_on_white() -> None:
    pixels = noise(8, 8, 4)
    alpha = pixels[..., 3:].astype(float) / 255
    expected = pixels[..., :3] * alpha + 255 * (1 - alpha)
    assert np.abs(pixels_of(encoded(Image.fromarray(pixels, "RGBA")), 8) - expected).max() <= 1


def test_transparent_grey_images_are_laid_on_white() -> None:
    pixels = noise(8, 8, 2)
    alpha = pixels[..., 1].astype(float) / 255
    expected = (pixels[..., 0] * alpha + 255 * (1 - alpha))[..., None].repeat(3, 2)
    assert np.abs(pixels_of(encoded(Image.fromarray(pixels, "LA")), 8) - expected).max() <= 1


def test_transparent_palette_entries_and_transparent_colours_become_white() -> None:
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8) % 3
    palette = Image.fromarray(indices, "P")
    palette.putpalette([250, 0, 0, 0, 250, 0, 0, 0, 250])
    pixels = pixels_of(encoded(palette, transparency=1), 8)
    assert (pixels[indices == 1] == 255).all()
    assert (pixels[indices == 2] == (0, 0, 250)).all()
    flat = Image.new("RGB", (8, 8), (9, 8, 7))
    assert (pixels_of(encoded(flat, transparency=(9, 8, 7)), 8) == 255).all()


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_sixteen_bit_values_are_scaled_instead_of_clipped(format_: str) -> None:
    wide = np.random.default_rng(0).integers(0, 65536, (32, 32), dtype=np.uint16)
    wide[0, :2] = 0, 65535
    pixels = pixels_of(encoded(Image.fromarray(wide), format_), 32)
    np.testing.assert_array_equal(pixels[..., 0], np.round(wide / 65535 * 255))
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])


def test_thirty_two_bit_integers_are_treated_as_sixteen_bit_values() -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.int32).reshape(16, 16)
    np.testing.assert_array_equal(
        pixels_of(encoded(Image.fromarray(ramp), "TIFF"), 16)[..., 1].ravel(), range(256)
    )


def test_one_bit_and_grey_images_fill_all_channels() -> None:
    bits = noise(8, 8, 1)[..., 0] > 127
    pixels = pixels_of(encoded(Image.fromarray(bits)), 8)
    np.testing.assert_array_equal(pixels, (bits * 255)[..., None].repeat(3, 2))
    grey = noise(8, 8, 1)[..., 0]
    np.testing.assert_array_equal(
        pixels_of(encoded(Image.fromarray(grey)), 8), grey[..., None].repeat(3, 2)
    )


def test_cmyk_images_have_the_right_colours() -> None:
    cmyk = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # magenta and yellow ink: red
    pixels = pixels_of(encoded(cmyk, "JPEG", quality=95), 16)
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 3


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    data = encoded(Image.fromarray(noise(32, 32)), "JPEG", quality=90)
    np.testing.assert_array_equal(pixels_of(data, 32), np.asarray(Image.open(BytesIO(data))))


def test_only_the_central_square_is_used() -> None:
    wide = np.zeros((20, 60, 3), dtype=np.uint8)
    wide[:, 20:40] = 200  # the middle third is bright; the rest is cut off
    assert (pixels_of(encoded(Image.fromarray(wide)), 20) == 200).all()
    assert (pixels_of(encoded(Image.fromarray(wide.transpose(1, 0, 2).copy())), 20) == 200).all()


@pytest.mark.parametrize("is_tall", [False, True])
def test_an_image_that_is_not_square_is_cropped_squeezed_or_padded(is_tall: bool) -> None:
    thirds = np.repeat(np.array([[40, 120, 200]], dtype=np.uint8), 20, axis=0).repeat(20, axis=1)
    data = encoded(Image.fromarray(thirds.T.copy() if is_tall else thirds))
    pixels = {}
    for fit in FITS:
        image, traits = decode_with_traits(data, Decoding(30, fit))
        pixels[fit] = image[..., 0].T if is_tall else image[..., 0]
        assert traits.cut_off == (pytest.approx(2 / 3) if fit == "crop" else 0)
    assert (pixels["crop"][:, 3:-3] == 120).all()
    assert pixels["squeeze"][:, [2, 15, 27]].tolist() == [[40, 120, 200]] * 30
    assert pixels["pad"][10:20, [2, 15, 27]].tolist() == [[40, 120, 200]] * 10
    assert (pixels["pad"][:10] == 255).all()
    assert (pixels["pad"][20:] == 255).all()


@pytest.mark.parametrize("fit", FITS)
def test_extreme_shapes_give_a_square(fit: Fit) -> None:
    for size in ((1, 1000), (1000, 1), (1, 1), (3, 2)):
        for payload in (encoded(Image.new("RGB", size)), np.zeros((*size, 3), dtype=np.uint8)):
            assert decode(payload, Decoding(16, fit)).shape == (16, 16, 3)


def test_turned_photos_are_squeezed_after_they_are_upright() -> None:
    upright = np.zeros((60, 20, 3), dtype=np.uint8)
    upright[:30] = 200
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(np.rot90(upright).copy()), exif=exif)
    pixels = decode(data, Decoding(20, "squeeze"))
    assert (pixels[:8] > 190).all()
    assert (pixels[12:] < 10).all()


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_shrinking_averages_pixels(format_: str) -> None:
    board = ((np.indices((512, 512)).sum(0) % 2) * 255).astype(np.uint8)
    pixels = pixels_of(encoded(Image.fromarray(board), format_), 16)
    assert (
        np.abs(pixels.astype(int) - 127).max() < 12
    )  # selecting single pixels would give 0 or 255


def test_shrinking_agrees_with_an_area_average() -> None:
    smooth = np.asarray(Image.fromarray(noise(8, 8)).resize((400, 400), Image.Resampling.BICUBIC))
    area = smooth.reshape(40, 10, 40, 10, 3).mean((1, 3))
    for format_, options in (("PNG", {}), ("JPEG", {"quality": 95, "subsampling": 0})):
        pixels = pixels_of(encoded(Image.fromarray(smooth), format_, **options), 40)
        assert np.abs(pixels - area).mean() < 2


def test_pixels_in_memory_do_not_change() -> None:
    pixels = noise(8, 8)
    np.testing.assert_array_equal(pixels_of(pixels, 8), pixels)
    assert size_of(noise(5, 7), b"") == (7, 5)


def test_data_that_is_no_image_raises_an_expected_error() -> None:
    jpeg = encoded(Image.fromarray(noise(64, 64)), "JPEG")
    for data in (b"", b"a text", jpeg[: len(jpeg) // 2], b"\x89PNG\r\n\x1a\n" + bytes(40)):
        with pytest.raises(broken_image_errors()):
            pixels_of(data, 8)
    assert size_of(b"a text", b"a text") is None


def test_the_default_size_is_that_of_square_images_up_to_a_limit() -> None:
    assert working_size({(32, 32)}) == 32
    assert working_size({(500, 500)}) == 224
    assert working_size({(32, 32), (33, 32)}) == 64
    assert working_size({(48, 32)}) == 64
    assert working_size(set()) == 64
