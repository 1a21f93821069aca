"""Oracle: the photos that were labelled, in an order that is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.app import views
from fewshot.app.photos import File
from fewshot.app.session import Session
from fewshot.model import file_format
from tests.fewshot.model import own_photos


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """Return a session with three red and two blue photos, and four without a label."""
    monkeypatch.setattr("fewshot.backbones.default", lambda side: own_photos.NETWORK)
    folder = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 2})
    own_photos.write(tmp_path / "new", {"red": 2, "blue": 2}, first=30)
    (tmp_path / "small").mkdir()
    own = Session(tmp_path / "small", device="cpu")
    for name in ("red", "blue"):
        own.add([_file(path) for path in sorted((folder / name).iterdir())], name)
    own.add([_file(path) for path in sorted((tmp_path / "new").rglob("*.png"))])
    return own


def _file(path: Path) -> File:
    return File(path, f"{path.parent.name}/{path.name}")


def test_labelled_photos_the_last_first(session: Session) -> None:
    shown = views.labelled(session, None)
    assert [caption for _, caption in shown.items] == ["blue"] * 2 + ["red"] * 3
    assert shown.keys == [one.key for one in reversed(session.labelled)]
    assert len(views.labelled(session, "red").keys) == 3


def test_suggested_photos_stay_until_they_are_labelled(session: Session) -> None:
    before = views.suggested(session).keys
    assert sorted(before) == sorted(one.key for one in session.pile)
    session.label(before[0], "red")
    assert views.suggested(session).keys == before[1:]


def test_the_table_has_a_row_for_each_photo_without_a_label(session: Session) -> None:
    table = views.table(session)
    assert table.keys == [one.key for one in session.pile]
    assert [row[0] for row in table.rows] == [1, 2, 3, 4]
    assert [row[-1] for row in table.rows] == ["30.png", "31.png", "30.png", "31.png"]
    assert all(len(row) == len(views.HEADERS) for row in table.rows)
    assert str(session.pile[0].thumbnail) in str(table.rows[0][1])


def test_details_of_a_photo(session: Session) -> None:
    own = session.labelled[0]
    shown = views.detail(session, own.key)
    assert shown is not None
    assert (shown.title, shown.text, shown.label) == ("0.png", "labelled red", "red")
    assert len(shown.neighbours) == 4
    other = views.detail(session, session.pile[0].key)
    assert other is not None
    assert "known score" in other.text
    assert views.detail(session, "unknown") is None


def test_neighbours_of_a_model_are_named(model: Path, photos: Path, tmp_path: Path) -> None:
    session = Session(tmp_path, file_format.load(model, "cpu"), "cpu")
    session.add([_file(photos / "red" / "3.png")])
    shown = views.detail(session, session.pile[0].key)
    assert shown is not None
    assert shown.neighbours == []
    assert shown.others.startswith("red/3.png: red (1.00), ")
