"""The whole check of a folder. Oracle: the faults that were planted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from fewshot.checks import check as checking
from fewshot.checks.check import check
from fewshot.checks.kinds import KINDS
from fewshot.errors import UserError
from tests.fewshot.checks import photos


def test_planted_faults_are_reported_the_serious_ones_first(tmp_path: Path) -> None:
    folder = photos.save(tmp_path / "photos")
    planted = photos.plant(folder)
    report = check(str(folder))
    of_first = {(one["image"], one["kind"]) for one in report.rows()}
    assert set(planted.items()) <= of_first
    (doubled,) = report.of_kind("same image in two classes")
    assert {place.name for place in doubled.places} == {"cat/02.png", "dog/cat.png"}
    assert report.is_serious
    severities = [row["severity"] for row in report.rows()]
    assert severities == sorted(severities, key=["serious", "likely", "note"].index)


def test_the_test_set_is_compared_and_searched_as_well(tmp_path: Path) -> None:
    train = photos.save(tmp_path / "data" / "train", 6)
    test = tmp_path / "data" / "test"
    for number, name in enumerate(("cat", "dog")):
        (test / name).mkdir(parents=True)
        for i in range(4):
            photos.scene(500 + 10 * number + i).save(test / name / f"{i}.png")
    (test / "cat" / "known.png").write_bytes((train / "cat" / "03.png").read_bytes())
    (test / "dog" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    report = check(str(tmp_path / "data"), only=["broken", "copy in the test set"])
    assert [(one["kind"], one["image"], one["part"]) for one in report.rows()] == [
        ("broken", "test/dog/broken.png", "against"),
        ("copy in the test set", "train/cat/03.png", "data"),
    ]
    apart = check(str(train), str(test), only=["copy in the test set"])
    assert [(one["image"], one["other"]) for one in apart.rows()] == [
        ("cat/03.png", "cat/known.png")
    ]


def test_a_sound_folder_has_no_fault(tmp_path: Path) -> None:
    report = check(str(photos.save(tmp_path / "photos")))
    assert not report.is_serious
    assert set(report.counts()) <= {"likely label error"}  # random pictures have no real classes


def test_only_some_kinds_need_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = photos.save(tmp_path / "photos", 4)
    photos.plant(folder)
    monkeypatch.setattr("fewshot.model.candidates.build", None)  # an error if it is called
    report = check(str(folder), only=["broken", "dark"])
    assert Counter(one.kind for one in report.findings) == {"broken": 1, "dark": 1}


def test_an_unknown_kind_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'near copies'; did you mean 'near copy'"):
        check(str(tmp_path), only=["near copies"])


def test_every_kind_has_one_search() -> None:
    searched = Counter(kind for search in checking.SEARCHES for kind in search.kinds)
    assert searched == dict.fromkeys(KINDS, 1)
