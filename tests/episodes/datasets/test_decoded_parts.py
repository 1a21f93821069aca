"""Decoded parts beside their encoded images. Oracle: `datasets.load` of the same data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from episodes import datasets
from episodes.datasets.decoded_parts import decoded_parts, side_of
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes, save_image


def test_the_pixels_and_fingerprints_are_those_of_load(tmp_path: Path) -> None:
    save_classes(tmp_path / "toys", {"ball": 3, "car": 2})
    (tmp_path / "toys" / "ball" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    expected = datasets.load(str(tmp_path / "toys"), test=None).train
    (part,) = decoded_parts(str(tmp_path / "toys"))
    assert torch.equal(part.images.images, expected.images)
    assert torch.equal(part.images.labels, expected.labels)
    assert part.images.fingerprint == expected.fingerprint
    assert [reason is None for reason in part.reasons] == [True] * 3 + [False] + [True] * 2
    assert part.encoded.name_of(3) == "ball/broken.png"
    assert part.in_folders


def test_the_same_images_under_other_names_have_reasons_of_their_own(tmp_path: Path) -> None:
    for folder in ("parts/train", "other"):
        for name in ("ball/1.png", "car/1.png"):
            save_image(tmp_path / folder / name, len(name))
        broken = tmp_path / folder / "ball" / "2.png"
        broken.write_bytes(b"\x89PNG\r\n\x1a\n")
        (part,) = decoded_parts(str(tmp_path / folder))
        assert [reason is None for reason in part.reasons] == [True, False, True]
    (tmp_path / "parts" / "test" / "car").mkdir(parents=True)
    save_image(tmp_path / "parts" / "test" / "car" / "3.png", 9)
    train, _ = decoded_parts(str(tmp_path / "parts"))  # names now begin with train/
    assert [reason is None for reason in train.reasons] == [True, False, True]


def test_one_class_and_no_classes_are_enough(tmp_path: Path) -> None:
    save_classes(tmp_path / "one", {"ball": 3})
    (part,) = decoded_parts(str(tmp_path / "one"))
    assert part.images.classes == ("ball",)
    save_image(tmp_path / "none" / "a.png", 1)
    (part,) = decoded_parts(str(tmp_path / "none"))
    assert part.images.classes == ("",)
    assert side_of(str(tmp_path / "none")) == 16


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,label\na.png,cat\na.png,dog\n", "several labels for a.png"),
        ("image,label\na.png,caf\xe9\n", "not encoded in UTF-8"),
    ],
)
def test_the_errors_of_a_table_are_not_hidden(tmp_path: Path, table: str, message: str) -> None:
    save_image(tmp_path / "a.png", 1)
    (tmp_path / "labels.csv").write_text(table, encoding="latin-1")
    with pytest.raises(UserError, match=message):
        decoded_parts(str(tmp_path))


def test_the_errors_of_class_folders_are_not_hidden(tmp_path: Path) -> None:
    for fold in ("fold1", "fold2"):
        save_classes(tmp_path / fold, {"cat": 1, "dog": 1})
    with pytest.raises(UserError, match="fold1/, fold2/ are not classes"):
        side_of(str(tmp_path))


def test_digits_have_two_parts_of_pixels() -> None:
    train, test = decoded_parts("digits")
    assert (len(train.images), len(test.images)) == (1297, 500)
    assert train.cache is None
    assert side_of("digits") == 8


def test_missing_data_is_the_error_of_load(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no data set"):
        decoded_parts(str(tmp_path / "nothing"))
