"""Oracle: `decode` on the file of each photo, called directly."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.datasets.decoding.decode import decode
from episodes.types import Decoding
from fewshot.errors import UserError
from fewshot.model import inputs
from tests.fewshot.model import own_photos

DECODING = Decoding(16)
MODES = ["RGB", "RGBA", "L", "P", "CMYK", "1", "I;16"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of photos of many modes, one of them turned by its EXIF block."""
    random = np.random.default_rng(0)
    for number, mode in enumerate(MODES):
        pixels = random.integers(0, 256, (20 + number, 31, 4), dtype=np.uint8)
        if mode == "I;16":
            image = Image.fromarray(pixels[..., 0].astype(np.uint16) * 200)
        else:
            image = Image.fromarray(pixels if mode == "RGBA" else pixels[..., :3]).convert(mode)
        image.save(tmp_path / f"{number}.{'tif' if mode == 'CMYK' else 'png'}")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(pixels[..., :3]).save(tmp_path / "turned.jpg", exif=exif)
    return tmp_path


def test_a_photo_has_the_same_pixels_in_every_form(folder: Path):
    paths = sorted(folder.iterdir())
    expected = torch.tensor(np.stack([decode(path, DECODING) for path in paths])).movedim(3, 1)
    forms = [
        folder,
        str(folder),
        paths,
        [str(path) for path in paths],
        np.array([str(path) for path in paths]),
        [path.read_bytes() for path in paths],
        [Image.open(path) for path in paths],
        [Image.open(BytesIO(path.read_bytes())) for path in paths],
    ]
    for form in forms:
        assert torch.equal(own_photos.pixels_of(form, DECODING), expected), type(form)
    assert inputs.images_of(folder).names == tuple(map(str, paths))


def test_arrays_are_resized_like_files(folder: Path):
    path = folder / "0.png"
    array = np.asarray(Image.open(path))
    expected = torch.tensor(decode(path, DECODING)).movedim(2, 0)
    for form in (
        [array],
        array[None],
        array[None].transpose(0, 3, 1, 2),
        [array.transpose(2, 0, 1)],
    ):
        assert torch.equal(own_photos.pixels_of(form, DECODING)[0], expected)


def test_transparency_of_arrays_is_on_white_like_that_of_files(folder: Path):
    path = folder / "1.png"
    array = np.asarray(Image.open(path))
    expected = torch.tensor(decode(path, DECODING)).movedim(2, 0)
    assert torch.equal(own_photos.pixels_of(array[None], DECODING)[0], expected)
    assert torch.equal(own_photos.pixels_of([array], DECODING)[0], expected)


def test_an_array_of_the_right_size_is_not_changed():
    images = np.random.default_rng(1).integers(0, 256, (300, 16, 16, 3), dtype=np.uint8)
    pixels = own_photos.pixels_of(images, DECODING)
    assert (pixels.numpy() == images.transpose(0, 3, 1, 2)).all()


def test_no_image_gives_no_pixels():
    assert own_photos.pixels_of([], DECODING).shape == (0, 3, 16, 16)


def test_images_that_cannot_be_read_are_named_with_the_reason(folder: Path):
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    paths = [folder / "0.png", folder / "broken.png", folder / "missing.png"]
    with pytest.raises(UserError, match=r"broken.png \(.+\), .*missing.png \(cannot be opened"):
        own_photos.pixels_of(paths, DECODING)
    with pytest.raises(UserError, match=r"image 1 \(not an image\)"):
        own_photos.pixels_of([(folder / "0.png").read_bytes(), b"no image"], DECODING)


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (3, "not int"),
        ([3], "not as int"),
        (b"bytes", "put a single one into a list"),
        ("no/such/folder", "does not exist"),
        (np.zeros((2, 2)), "FeatureClassifier"),
    ],
)
def test_another_form_is_one_sentence(images: object, words: str):
    with pytest.raises(UserError, match=words):
        own_photos.pixels_of(images, DECODING)


def test_the_natural_side_is_the_median_of_the_shorter_sides(folder: Path):
    assert inputs.natural_side(inputs.images_of(folder)) == 24  # 23.5
    assert inputs.natural_side(inputs.images_of(np.zeros((3, 40, 50), np.uint8))) == 40
    assert inputs.natural_side(inputs.images_of([b"no image"])) == 0


def test_the_decoding_follows_the_images_and_the_network():
    images = inputs.images_of(np.zeros((2, 40, 40, 3), np.uint8))
    labels = torch.tensor([0, 1])
    decoding, fingerprint = inputs.decoding_of(images, labels, 32, "crop")
    assert decoding == Decoding(40)
    other = inputs.images_of(np.full((2, 40, 40, 3), 1, np.uint8))
    assert inputs.decoding_of(other, labels, 32, "crop")[1] != fingerprint
