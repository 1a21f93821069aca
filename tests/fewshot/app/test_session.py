"""Oracle: `fewshot fit --method probe` and `fewshot predict` on the same files in folders."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from threading import Thread

import pytest
import torch

from fewshot.app.answers import table_of_answers
from fewshot.app.photos import File
from fewshot.app.session import Session
from fewshot.config import FitConfig
from fewshot.errors import UserError
from fewshot.model import file_format, prediction
from fewshot.model.fit import fit_data
from tests.fewshot.model import own_photos


def files_of(folder: Path) -> list[File]:
    return [File(path, path.name) for path in sorted(folder.rglob("*.png"))]


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    monkeypatch.setattr("fewshot.backbones.default", lambda side: own_photos.NETWORK)
    folder = tmp_path / "small"
    folder.mkdir()
    return Session(folder, device="cpu")


def labelled(session: Session, photos: Path) -> Session:
    """Label the photos of class folders, one class after the other."""
    for folder in sorted(photos.iterdir()):
        session.add(files_of(folder), folder.name)
    return session


@pytest.mark.parametrize("name", ["classes", "labelled", "pile"])
def test_what_is_read_waits_for_a_change_of_another_thread(session: Session, name: str) -> None:
    reader = Thread(target=getattr, args=[session, name], daemon=True)
    with session.lock:
        reader.start()
        reader.join(0.1)
        assert reader.is_alive()
    reader.join(10)
    assert not reader.is_alive()


def test_the_classifier_is_that_of_fit(session: Session, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 5, "blue": 4})
    new = own_photos.write(tmp_path / "new", {"green": 3, "red": 1}, first=20)
    labelled(session, photos)
    added = session.add(files_of(new))
    assert (added.added, added.known, added.broken) == (4, [], [])
    expected = fit_data(str(photos), FitConfig(method="probe", backbone=own_photos.NETWORK), "cpu")
    classifier = session.classifier()
    assert classifier is not None
    assert classifier.classes == expected.classes == session.classes == ("blue", "red")
    assert torch.equal(classifier.support.features, expected.support.features)
    assert torch.equal(classifier.head.weight, expected.head.weight)
    assert classifier.temperature == expected.temperature
    assert classifier.rejection.threshold == expected.rejection.threshold
    assert classifier.card.quality.accuracy == expected.card.quality.accuracy

    session.write_model(tmp_path / "page.fewshot")
    prediction.predict(tmp_path / "page.fewshot", [new], tmp_path / "out.csv", device="cpu")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    own = list(csv.DictReader(io.StringIO(table_of_answers(session.classes, session.answers()))))
    assert [row["label"] for row in own] == [row["label"] for row in rows]
    for name in ("probability", "known"):
        numbers = [float(row[name]) for row in own]
        assert numbers == pytest.approx([float(row[name]) for row in rows], abs=2e-6)


def test_copies_are_held_out_together_as_in_fit(session: Session, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 4, "blue": 5})
    own_photos.write_copies(photos)
    expected = fit_data(str(photos), FitConfig(method="probe", backbone=own_photos.NETWORK), "cpu")
    for folder in sorted(photos.iterdir()):
        session.add([File(path, path.name) for path in sorted(folder.iterdir())], folder.name)
    classifier = session.classifier()
    assert classifier is not None
    assert classifier.support.clusters is not None
    assert expected.support.clusters is not None
    assert classifier.support.clusters.tolist() == expected.support.clusters.tolist()
    assert len(classifier.support.clusters.unique()) == 9
    assert classifier.temperature == expected.temperature
    assert classifier.card.quality.accuracy == expected.card.quality.accuracy


def test_labels_come_one_by_one_and_are_taken_back(session: Session, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 3})
    session.add(files_of(photos))
    assert session.classifier() is None
    assert session.answers() == []
    blue, red = session.pile[:3], session.pile[3:]
    session.label(blue[0].key, "blue")
    assert session.classifier() is None
    session.label(red[0].key, "Red ")
    session.label(red[1].key, "red")  # the same class, whatever its case
    assert session.classes == ("Red", "blue")
    assert len(session.answers()) == 3
    session.unlabel(red[0].key)
    session.unlabel(red[1].key)
    assert session.classifier() is None
    session.remove(red[0].key)
    assert len(session.pile) == 4
    assert not red[0].thumbnail.exists()


def test_a_photo_is_read_once(session: Session, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 2, "blue": 1})
    session.add(files_of(photos))
    added = session.add(files_of(photos / "red"), "red")
    assert (added.added, added.known) == (2, [])
    assert (len(session.labelled), len(session.pile)) == (2, 1)
    again = session.add(files_of(photos / "red"), "blue")
    assert (again.added, again.known) == (0, ["0.png (labelled red)", "1.png (labelled red)"])


def test_files_that_are_no_photos_are_named(session: Session, tmp_path: Path) -> None:
    names = own_photos.write_broken(tmp_path, 4)
    added = session.add([File(tmp_path / name, name) for name in names], "red")
    assert added.added == 0
    assert [file.name for file in added.broken] == names
    assert session.classes == ()


def test_the_nearest_labelled_photo_is_its_copy(session: Session, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 3, "blue": 3})
    labelled(session, photos)
    first = session.labelled[0]
    names = [one.name for one in session.neighbours(first.key)]
    assert len(names) == 5
    (tmp_path / "copy.png").write_bytes((photos / "red" / "2.png").read_bytes() + b"\0")
    session.add([File(tmp_path / "copy.png", "copy.png")])
    nearest = session.neighbours(session.pile[0].key, 1)[0]
    assert (nearest.name, nearest.label) == ("2.png", "red")
    assert nearest.similarity == pytest.approx(1, abs=1e-5)
    assert nearest.thumbnail is not None


def test_a_model_grows_as_with_add(model: Path, photos: Path, tmp_path: Path) -> None:
    base = file_format.load(model, "cpu")
    (tmp_path / "small").mkdir()
    session = Session(tmp_path / "small", base, "cpu")
    assert session.classifier() is base
    assert session.add(files_of(photos / "red"), "red").added == 0  # it has learned from them
    more = own_photos.write(tmp_path / "more", {"white": 4, "red": 2}, first=60)
    labelled(session, more)
    assert session.classes == ("blue", "green", "red", "white")
    own_photos.write(photos_copy := tmp_path / "all", {"red": 12, "green": 6, "blue": 4})
    own_photos.write(photos_copy, {"white": 4, "red": 2}, first=60)
    whole = own_photos.fitted(photos_copy)
    grown = session.classifier()
    assert grown is not None
    features = whole.support.features
    torch.testing.assert_close(grown.head(features), whole.head(features), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["", "  ", "x" * 61])
def test_names_of_classes_are_checked(session: Session, name: str, tmp_path: Path) -> None:
    photos = own_photos.write(tmp_path / "photos", {"red": 1})
    with pytest.raises(UserError, match="class"):
        session.add(files_of(photos), name)
    assert not session.photos


def test_without_two_classes_there_is_no_model(session: Session, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="two classes"):
        session.write_model(tmp_path / "model.fewshot")
    assert list(tmp_path.glob("*.fewshot")) == []


def test_most_photos(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fewshot.app.session.MOST_PHOTOS", 3)
    photos = own_photos.write(tmp_path / "photos", {"red": 4})
    with pytest.raises(UserError, match="4 more photos would exceed the 3 photos"):
        session.add(files_of(photos))
