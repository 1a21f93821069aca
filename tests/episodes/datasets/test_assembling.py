"""Sentences about the parts of a data set; oracle: folders and sentences written by hand."""

from pathlib import Path

import pytest

from episodes.datasets import load
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes


@pytest.mark.parametrize("share", [0.2, 0.4])
def test_a_share_that_is_set_aside_is_noted(tmp_path: Path, share: float) -> None:
    save_classes(tmp_path / "own", {"a": 5, "b": 5})
    train, test = load(str(tmp_path / "own"), test=share)
    assert len(test) == 10 * share
    assert train.notes == (
        f"own has no test set: a fixed, stratified {share:.0%} of its images is used as one",
    )


def test_whole_groups_make_another_share(tmp_path: Path) -> None:
    for i in range(4):
        save_classes(tmp_path / "own" / "a", {f"scene{i}": 2})
        save_classes(tmp_path / "own" / "b", {f"scene{i + 4}": 2})
    train, test = load(str(tmp_path / "own"), test=0.2, group_by="subfolder")
    assert (len(train), len(test)) == (12, 4)
    note = "own has no test set: a fixed 25% of its images is used as one, in whole groups"
    assert note in train.notes


def test_a_share_of_data_with_a_test_part_is_not_set_aside(tmp_path: Path) -> None:
    for part in ("train", "test"):
        save_classes(tmp_path / "own" / part, {"a": 2, "b": 2})
    train, test = load(str(tmp_path / "own"), test=0.5)
    assert (len(train), len(test)) == (4, 4)
    assert "own has a test part, so no share of its images was set aside" in train.notes
    assert load(str(tmp_path / "own")).train.notes != train.notes


def test_without_a_test_part_both_parts_are_the_whole(tmp_path: Path) -> None:
    save_classes(tmp_path / "own", {"a": 2, "b": 2})
    parts = load(str(tmp_path / "own"), test=None)
    assert parts.is_whole
    assert parts.train.notes == ()


def test_of_single_images_no_share_can_be_set_aside(tmp_path: Path) -> None:
    save_classes(tmp_path / "own", {"a": 1, "b": 1})
    with pytest.raises(UserError, match=r"own has no class with two images, so that no share of"):
        load(str(tmp_path / "own"), test=0.5)
