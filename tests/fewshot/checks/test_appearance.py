"""Images that look odd. Oracle: planted faults, and cleanvision on the same files."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.checks import appearance, reading
from fewshot.checks.inspected import Inspected
from tests.fewshot.checks import photos

KINDS = {
    "dark": "dark",
    "light": "light",
    "odd aspect": "odd_aspect_ratio",
    "low information": "low_information",
    "grey": "grayscale",
}


def read(folder: Path) -> Inspected:
    (data,) = reading.read(str(folder), with_features=False)
    return data


def test_each_planted_fault_is_reported_as_its_kind(tmp_path: Path) -> None:
    folder = photos.save(tmp_path / "photos")
    planted = photos.plant(folder)
    del planted["cat/copy.png"]  # looks as it should
    reported = {(one.places[0].name, one.kind) for one in appearance.find(read(folder))}
    assert set(planted.items()) <= reported
    assert {name for name, _ in reported} == set(planted)  # and nothing about sound pictures


def test_what_most_images_have_in_common_is_no_fault(tmp_path: Path) -> None:
    for number, name in enumerate(("left", "right")):
        (tmp_path / name).mkdir()
        for i in range(4):
            grey = photos.scene(10 * number + i).convert("L")
            grey.point(lambda value: value // 10).save(tmp_path / name / f"{i}.png")
    assert appearance.find(read(tmp_path)) == []
    assert appearance.flags(read(tmp_path))["dark"].all()


def test_small_images_among_small_ones_are_not_tiny(tmp_path: Path) -> None:
    for name in ("left", "right"):
        (tmp_path / name).mkdir()
        for i in range(3):
            photos.scene(i, (16, 16)).save(tmp_path / name / f"{i}{name}.png")
    assert [one.kind for one in appearance.find(read(tmp_path))] == []


def test_a_file_that_is_meant_as_no_image_is_no_fault(tmp_path: Path) -> None:
    folder = photos.save(tmp_path / "photos", 2)
    (folder / "cat" / "notes.txt").write_text("taken in May")
    (folder / "cat" / "page.jpg").write_text("<html>not found</html>")
    places = [finding.places[0].name for finding in appearance.find(read(folder))]
    assert places == ["cat/page.jpg"]


@pytest.mark.slow
def test_flags_are_those_of_cleanvision_except_for_blur(tmp_path: Path) -> None:
    cleanvision = pytest.importorskip("cleanvision", reason="the oracle is not installed")
    folder = photos.save(tmp_path / "photos", 20)
    photos.plant(folder)
    (folder / "cat" / "broken.png").unlink()
    lab = cleanvision.Imagelab(data_path=str(folder))
    lab.find_issues({name: {} for name in KINDS.values()}, n_jobs=1, verbose=False)
    data = read(folder)
    rows = [str(folder / name) for name in data.names]
    flags = appearance.flags(data)
    for kind, other in KINDS.items():
        theirs = lab.issues.loc[rows, f"is_{other}_issue"].to_numpy(dtype=bool)
        ours = flags[kind].numpy()
        if kind == "grey":  # ours are also grey images that are stored with colours
            assert (ours[theirs]).all()
        else:
            assert (ours == theirs).all(), kind
