"""Oracle: the photos that were written to each folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.app import starting
from fewshot.app.session import Session
from fewshot.errors import UserError
from tests.fewshot.model import own_photos


@pytest.fixture(autouse=True)
def small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewshot.backbones.default", lambda side: own_photos.NETWORK)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of two classes, an unlabelled one, a loose photo and a broken one."""
    photos = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 2})
    own_photos.write(tmp_path, {"green": 3}, first=9)
    (tmp_path / "green").rename(photos / "unlabelled")
    (photos / "unlabelled" / "9.png").rename(photos / "loose.png")
    own_photos.write_broken(photos / "red", 1)
    (photos / "notes.txt").write_text("not a photo")
    return photos


def begun(places: list[Path], tmp_path: Path) -> tuple[Session, list[str]]:
    (tmp_path / "small").mkdir()
    return starting.start(places, tmp_path / "small", "cpu")


def test_a_folder_gives_labelled_photos_and_a_pile(folder: Path, tmp_path: Path) -> None:
    session, notes = begun([folder], tmp_path)
    assert [(one.name, one.label) for one in session.labelled] == [
        ("blue/0.png", "blue"),
        ("blue/1.png", "blue"),
        ("red/0.png", "red"),
        ("red/1.png", "red"),
        ("red/2.png", "red"),
    ]
    assert [one.name for one in session.pile] == [
        "loose.png",
        "unlabelled/10.png",
        "unlabelled/11.png",
    ]
    assert session.labelled[0].place == folder / "blue" / "0.png"
    assert [note for note in notes if "broken-00.jpg" in note]
    assert (folder / "blue" / "0.png").exists()  # only uploads are removed


@pytest.mark.parametrize("name", ["pileated_woodpecker", "pool table", "pool", "unsorted-mail"])
def test_a_class_may_be_called_almost_like_a_pile(name: str, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 2, "blue": 2})
    (photos / "blue").rename(photos / name)
    session, notes = begun([photos], tmp_path)
    assert (session.classes, session.pile, notes) == (tuple(sorted(["red", name])), [], [])


def test_a_note_names_folders_without_labels(tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 2, "blue": 2})
    (photos / "blue").rename(photos / "Unsorted")
    session, notes = begun([photos], tmp_path)
    assert (session.classes, len(session.pile)) == (("red",), 2)
    assert notes == ["photos in the folder Unsorted have no label"]


def test_a_flat_folder_is_a_pile(tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 3})
    session, _ = begun([photos / "red"], tmp_path)
    assert (len(session.labelled), len(session.pile)) == (0, 3)


def test_a_model_and_a_folder(model: Path, folder: Path, tmp_path: Path) -> None:
    session, _ = begun([model, folder / "unlabelled"], tmp_path)
    assert session.classes == ("blue", "green", "red")
    assert len(session.answers()) == 2


def test_an_empty_page(tmp_path: Path) -> None:
    session, notes = begun([], tmp_path)
    assert (session.photos, notes) == ({}, [])


def test_of_a_large_pile_some_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "MOST_IN_PILE", 2)
    photos = own_photos.write(tmp_path / "photos", {"red": 5})
    session, notes = begun([photos / "red"], tmp_path)
    assert [one.name for one in session.pile] == ["0.png", "4.png"]
    assert notes == ["2 of 5 photos without a label are used, spread evenly"]


def test_places_that_cannot_be_used(model: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for places, message in (
        ([tmp_path / "nothing"], "does not exist"),
        ([tmp_path / "empty"], "holds no images"),
        ([model, model], "second model"),
    ):
        with pytest.raises(UserError, match=message):
            starting.start(places, tmp_path, "cpu")


def test_more_labelled_photos_than_the_page_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "MOST_PHOTOS", 4)
    photos = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 2})
    with pytest.raises(UserError, match=r"5 labelled photos, .* more than the 4 photos"):
        begun([photos], tmp_path)
