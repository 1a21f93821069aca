"""Oracle: features of the network that fit uses, and small pictures read back with Pillow."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from fewshot.app import photos
from fewshot.app.photos import File
from fewshot.config import FitConfig
from fewshot.errors import UserError
from fewshot.model.fit import fit_data
from tests.fewshot.model import own_photos


def test_photos_have_the_features_of_fit(tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 2})
    fitted = fit_data(str(folder), FitConfig(method="probe", backbone=own_photos.NETWORK), "cpu")
    paths = sorted(folder.rglob("*.png"))
    files = [File(path, path.name) for path in paths]
    read = photos.read(files, photos.body_of(fitted), tmp_path)
    assert torch.equal(photos.stacked(read.photos), fitted.support.features)
    assert [one.key for one in read.photos] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]


@pytest.fixture
def body(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> photos.Body:
    monkeypatch.setattr("fewshot.backbones.default", lambda side: own_photos.NETWORK)
    Image.new("RGB", (40, 30)).save(tmp_path / "first.png")
    return photos.body_for([File(tmp_path / "first.png", "first.png")], "cpu")


def test_small_pictures_are_upright_and_small(body: photos.Body, tmp_path: Path) -> None:
    image = Image.new("RGB", (1200, 600), "red")
    image.paste("blue", (0, 0, 600, 600))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.save(tmp_path / "phone.jpg", exif=exif)
    read = photos.read([File(tmp_path / "phone.jpg", "phone.jpg")], body, tmp_path)
    with Image.open(read.photos[0].thumbnail) as small:
        assert small.size == (160, 320)
        assert small.format == "JPEG"
        red, _, blue = small.getpixel((80, 40))  # type: ignore[misc]
        assert blue > 200 > 50 > red


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full acts as a full disk")
def test_a_full_disk_is_not_a_broken_photo(body: photos.Body, tmp_path: Path) -> None:
    photo = tmp_path / "first.png"
    (tmp_path / f"{hashlib.sha256(photo.read_bytes()).hexdigest()}.jpg").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"could not be written \(No space left on device\)"):
        photos.read([File(photo, "first.png")], body, tmp_path)


def test_uploads_are_removed_when_they_are_read(body: photos.Body, tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "up", {"red": 1})
    path = folder / "red" / "0.png"
    broken = folder / "broken.png"
    broken.write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    files = [File(path, "0.png", is_upload=True), File(broken, "broken.png", is_upload=True)]
    read = photos.read(files, body, tmp_path)
    assert read.photos[0].place is None
    assert [one.name for one in read.broken] == ["broken.png"]
    assert not path.exists()
    assert not broken.exists()


def test_files_that_are_too_large_or_missing(
    body: photos.Body, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "LARGEST_FILE", 10)
    (tmp_path / "large.png").write_bytes(bytes(11))
    files = [File(tmp_path / name, name) for name in ("large.png", "missing.png")]
    read = photos.read(files, body, tmp_path)
    assert read.photos == []
    assert [one.name for one in read.broken] == ["large.png", "missing.png"]
    assert "larger than" in read.broken[0].reason
