"""Predictions of a model file as a user sees them.

Oracle: each image by itself through the functions of the classifier, and counts of files.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.model import conformal, file_format, prediction, reject
from fewshot.model.prediction_work import Asked
from tests.fewshot.model import own_photos


def test_every_column_is_what_the_classifier_computes_for_the_image_alone(
    model: Path, tmp_path: Path
) -> None:
    folder = own_photos.write(tmp_path / "new", {"red": 3, "green": 2, "white": 3}, first=200)
    out = tmp_path / "out.jsonl"
    prediction.predict(model, [folder], out, Asked(3, 0.8))
    classifier = file_format.load(model, "cpu")
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["file"] for line in lines] == [
        f"{path.relative_to(folder)}" for path in sorted(folder.rglob("*.png"))
    ]
    for line in lines:
        pixels = own_photos.pixels_of([folder / line["file"]], classifier.decoding)
        features = classifier.features(pixels)
        probabilities = classifier.log_probabilities(features).exp()
        expected = dict(zip(classifier.classes, probabilities[0].tolist(), strict=True))
        shown = {one["label"]: one["probability"] for one in line["top"]}
        assert shown == pytest.approx(expected, abs=1e-4)
        assert line["probability"] == max(shown.values())
        known = float(reject.known_scores(classifier.rejection, features))
        assert line["known"] == pytest.approx(known, abs=1e-4)
        assert line["refused"] == (known < classifier.rejection.threshold)
        (members,) = conformal.sets(classifier.fold_scores, probabilities, 0.8).tolist()
        inside = {name for name, own in zip(classifier.classes, members, strict=True) if own}
        assert set(line["set"]) == inside
        assert line["set"][0] == line["label"]


def test_exact_sets_are_those_of_the_classifier(model: Path, tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "new", {"red": 2, "white": 3}, first=400)
    out = tmp_path / "out.jsonl"
    prediction.predict(model, [folder], out, Asked(1, 0.8, exact=True))
    classifier = file_format.load(model, "cpu")
    for line in map(json.loads, out.read_text().splitlines()):
        features = classifier.features(
            own_photos.pixels_of([folder / line["file"]], classifier.decoding)
        )
        (members,) = conformal.exact_sets(classifier, features, 0.8).tolist()
        inside = {name for name, own in zip(classifier.classes, members, strict=True) if own}
        assert set(line["set"]) == inside


def test_too_few_labels_for_the_sets_are_an_error_before_any_work(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="at least 99 labelled images"):
        prediction.predict(model, [photos], tmp_path / "out.csv", Asked(1, 0.99))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_forty_broken_files(
    model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = own_photos.write(tmp_path / "new", {"red": 5, "green": 4, "white": 3}, first=300)
    names = own_photos.write_broken(folder, 40)
    (folder / "notes.txt").write_text("notes")
    out = tmp_path / "out.csv"
    with pytest.raises(UserError) as stopped:
        prediction.predict(model, [folder], out)
    assert "10 empty" in str(stopped.value)
    assert "all other images are done and stored" in str(stopped.value)
    assert not out.exists()
    written = prediction.predict(model, [folder], out, skip_broken=True)
    assert written.images == 12
    assert len(written.left_out) == 41
    assert str(written).startswith("12 images")
    assert "left out 41: 10 " in str(written)
    with (tmp_path / "out-left-out.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["file"] for row in table] == names
    assert {row["reason"] for row in table} == {
        "truncated",
        "empty",
        "a web page, not an image",
        "damaged JPEG",
    }
    for path in folder.glob("broken-*"):
        path.unlink()
    assert prediction.predict(model, [folder], out, skip_broken=True).table is None
    assert not (tmp_path / "out-left-out.csv").exists()
    capfd.readouterr()


def test_printed_lines_are_those_of_the_file_and_broken_files_end_in_an_error(
    model: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prediction.predict(model, [photos], tmp_path / "out.csv")
    assert prediction.predict(model, [photos], None).images == 22
    assert capsys.readouterr().out == (tmp_path / "out.csv").read_text()
    folder = own_photos.write(tmp_path / "new", {"red": 2})
    own_photos.write_broken(folder, 2)
    with pytest.raises(UserError, match="the lines of all others are printed"):
        prediction.predict(model, [folder], None, as_json=True)
    objects = json.loads(capsys.readouterr().out)
    assert sorted(one["file"] for one in objects if "error" in one) == [
        "broken-00.jpg",
        "broken-01.jpg",
    ]
    assert len(objects) == 4


def test_copies_are_sorted_by_class_and_none_is_made_twice(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    target = tmp_path / "sorted"
    for _ in range(2):
        prediction.predict(model, [photos], tmp_path / "out.csv", copy_to=target)
        with (tmp_path / "out.csv").open(newline="") as file:
            lines = list(csv.DictReader(file))
        copies = [path for path in target.rglob("*") if path.is_file()]
        assert len(copies) == len(lines) == 22
        for line in lines:
            folder = "none of these" if line["refused"] == "true" else line["label"]
            content = (photos / line["file"]).read_bytes()
            assert any(path.read_bytes() == content for path in (target / folder).iterdir())
    with pytest.raises(UserError, match="name another folder for the copies"):
        prediction.predict(model, [photos], tmp_path / "out.csv", copy_to=photos)


def test_another_model_in_the_same_file_is_not_taken_for_the_first(
    photos: Path, tmp_path: Path
) -> None:
    model, out = tmp_path / "m.fewshot", tmp_path / "out.csv"
    own_photos.write_broken(own_photos.write(tmp_path / "new", {"red": 3}), 1)
    own_photos.model(photos, model)
    with pytest.raises(UserError, match="all other images are done"):
        prediction.predict(model, [tmp_path / "new"], out)
    own_photos.model(own_photos.write(tmp_path / "two", {"red": 3, "white": 3}), model)
    prediction.predict(model, [tmp_path / "new"], out, skip_broken=True)
    assert "white" in out.read_text() or "red" in out.read_text()
    other = tmp_path / "other.csv"
    prediction.predict(model, [tmp_path / "new"], other, skip_broken=True)
    assert out.read_text() == other.read_text()


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_images(model: Path, tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "new", {"red": 1})
    source = folder / "red" / "0.png"
    code = "import sys; from fewshot.cli import main; main.main()"
    peaks = []
    for n in (2000, 10_000):
        for number in range(n):
            path = folder / "red" / f"{number}.png"
            if not path.exists():
                path.hardlink_to(source)
        words = ["predict", str(model), str(folder), "--out", str(tmp_path / "out.csv"), "--quiet"]
        child = (
            f"import resource, runpy, sys; sys.argv = {['fewshot', *words]!r}\n"
            f"try:\n exec({code!r})\nfinally:\n"
            " print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[1] - peaks[0] < 40 * 1024  # kilobytes, for 8,000 more images
