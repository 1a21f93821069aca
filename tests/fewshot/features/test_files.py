"""Features of files are computed once for each file, wherever others are added or removed.

Oracle: features of the decoded pixels, computed directly, and a count of what reaches the network.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from episodes.types import Decoding, ImageSet
from fewshot.backbones import Backbone
from fewshot.features import administration, files, frozen
from fewshot.model.candidates import build
from tests.fewshot.model import own_photos

DECODING = Decoding(16)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FEWSHOT_CACHE", str(tmp_path / "cache"))
    return own_photos.write(tmp_path / "photos", {"red": 4, "blue": 3})


def names_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


def directly(backbone: Backbone, folder: Path, names: list[str]) -> torch.Tensor:
    pixels = own_photos.pixels_of([folder / name for name in names], DECODING)
    labels = torch.zeros(len(names), dtype=torch.int64)
    images = ImageSet("", pixels, labels, ("",), "", {})
    return frozen.extract(backbone, images, torch.arange(len(names)), "cpu")


def test_only_new_and_changed_files_go_through_the_network(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, names = build(own_photos.NETWORK, "cpu"), names_in(photos)
    computed: list[int] = []
    original = frozen.extract

    def counted(backbone: Backbone, images: ImageSet, indices: torch.Tensor, device: str):
        computed.append(len(indices))
        return original(backbone, images, indices, device)

    expected = directly(backbone, photos, names)
    monkeypatch.setattr(frozen, "extract", counted)
    first = files.of_files(backbone, photos, names, DECODING, "cpu")
    again = files.of_files(backbone, photos, names[::-1], DECODING, "cpu")
    assert computed == [7]
    assert not first.broken
    assert torch.equal(first.features, expected)
    assert torch.equal(again.features, expected.flip(0))

    (photos / names[0]).unlink()
    os.utime(photos / names[1], (1, 1))
    own_photos.write(photos, {"white": 2})
    new = names_in(photos)
    computed.clear()
    third = files.of_files(backbone, photos, new, DECODING, "cpu")
    assert computed == [3]
    assert torch.equal(third.features, directly(backbone, photos, new))


def test_another_image_of_the_same_size_and_time_is_computed(photos: Path) -> None:
    backbone, (name, *_) = build(own_photos.NETWORK, "cpu"), names_in(photos)
    place = photos / name
    before = []
    for colour in (200, 20):
        Image.new("RGB", (32, 32), (colour, 0, 0)).save(place, "BMP")  # all have one size
        os.utime(place, (1, 1))  # as an archive that is unpacked again sets it
        before.append(place.stat().st_size)
        features = files.of_files(backbone, photos, [name], DECODING, "cpu").features
        assert torch.equal(features, directly(backbone, photos, [name]))
    assert before[0] == before[1]


def test_broken_and_missing_files_have_reasons_and_the_others_features(photos: Path) -> None:
    backbone = build(own_photos.NETWORK, "cpu")
    broken = own_photos.write_broken(photos, 4)
    names = [*names_in(photos), "gone.png"]
    for _ in range(2):  # computed, and from the cache
        read = files.of_files(backbone, photos, names, DECODING, "cpu")
        assert [names[i] for i in read.broken] == [*broken, "gone.png"]
        good = [name for name in names if name not in (*broken, "gone.png")]
        assert [names[i] for i in read.positions.tolist()] == good
        assert torch.equal(read.features, directly(backbone, photos, good))


def test_an_interrupted_call_loses_only_what_it_had_not_stored(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, names = build(own_photos.NETWORK, "cpu"), names_in(photos)
    monkeypatch.setattr(files, "SECONDS_BETWEEN_WRITES", -1)
    monkeypatch.setattr("episodes.datasets.source.CHUNK", 2)
    computed: list[int] = []
    original = frozen.extract

    def until_the_third(backbone: Backbone, images: ImageSet, indices: torch.Tensor, device: str):
        if len(computed) == 2:
            raise KeyboardInterrupt
        computed.append(len(indices))
        return original(backbone, images, indices, device)

    monkeypatch.setattr(frozen, "extract", until_the_third)
    with pytest.raises(KeyboardInterrupt):
        files.of_files(backbone, photos, names, DECODING, "cpu")
    computed.clear()
    monkeypatch.setattr(frozen, "extract", original)
    counted: list[int] = []
    backbone.register_forward_pre_hook(lambda module, inputs: counted.append(len(inputs[0])))
    read = files.of_files(backbone, photos, names, DECODING, "cpu")
    assert len(counted) == 2, "two chunks of two files were stored, and two are left"
    assert torch.equal(read.features, directly(backbone, photos, names))


def test_the_cache_shows_how_many_files_it_knows(photos: Path) -> None:
    files.of_files(build(own_photos.NETWORK, "cpu"), photos, names_in(photos), DECODING, "cpu")
    assert "7 rows of" in administration.show()


def test_without_a_cache_features_are_computed(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FEWSHOT_CACHE_GB", "0")
    backbone, names = build(own_photos.NETWORK, "cpu"), names_in(photos)
    read = files.of_files(backbone, photos, names, DECODING, "cpu")
    assert torch.equal(read.features, directly(backbone, photos, names))
