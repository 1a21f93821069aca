"""Oracle: the lines of `predict` for the same files, counted by hand, and scikit-learn's AUROC."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from sklearn.metrics import roc_auc_score

from episodes.errors import UserError
from fewshot.evaluation.statistics import Interval
from fewshot.model import prediction, scoring
from fewshot.model.image_listing import NotRead
from tests.fewshot.model import own_photos


def test_numbers_are_those_of_the_predictions_of_the_same_files(
    model: Path, tmp_path: Path
) -> None:
    counts = {"red": 5, "green": 4, "white": 6}
    folder = own_photos.write(tmp_path / "new", counts, first=100)
    shutil.copy(folder / "green" / "100.png", folder / "red" / "wrong.png")  # a wrong label
    (folder / "red" / "torn.png").write_bytes(b"")
    result = scoring.evaluate(model, str(folder))
    out = tmp_path / "out.csv"
    prediction.predict(model, [folder], out, skip_broken=True)
    with out.open(newline="") as file:
        lines = list(csv.DictReader(file))
    known = [line for line in lines if not line["file"].startswith("white")]
    correct = [line for line in known if line["file"].startswith(f"{line['label']}/")]
    assert (result.n_images, result.accuracy) == (10, len(correct) / 10)
    assert result.interval.low < result.accuracy < result.interval.high
    assert [one.n_images for one in result.classes] == [4, 6]
    assert scoring.Confusion("red", "green", 1) in result.confused
    assert result.unknown_classes == ("white",)
    assert result.untested == ("blue",)
    assert [str(file) for file in result.left_out] == ["red/torn.png (empty)"]
    refusals = result.refusals
    assert refusals is not None
    is_known = [not line["file"].startswith("white") for line in lines]
    scores = [float(line["known"]) for line in lines]
    assert refusals.auroc == pytest.approx(roc_auc_score(is_known, scores))
    assert refusals.unknown == 6
    assert refusals.unknown_refused == sum(
        line["refused"] == "true" for line in lines if line["file"].startswith("white")
    )
    assert refusals.known == sum(line["refused"] == "true" for line in known)
    assert refusals.accepted_correct == sum(line["refused"] == "false" for line in correct)
    assert "left out 1: red/torn.png (empty)" in str(result)
    assert json.loads(json.dumps(result.to_json()))["accuracy"] == result.accuracy


def test_a_run_is_evaluated_on_its_own_kind_of_images(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    result = scoring.evaluate(run, "digits", seed=3)
    assert result.refusals is None
    position = record["seeds"].index(3)
    assert result.accuracy == pytest.approx(record["scores"]["accuracy"]["values"][position])


def test_other_classes_and_broken_files_alone_are_errors(model: Path, tmp_path: Path) -> None:
    folder = own_photos.write(tmp_path / "other", {"white": 2})
    with pytest.raises(UserError, match="has images of white, and none of the classes of"):
        scoring.evaluate(model, str(folder))
    (tmp_path / "broken" / "red").mkdir(parents=True)
    own_photos.write_broken(tmp_path / "broken" / "red", 2)
    with pytest.raises(UserError, match=r"has no image of a class of .* that can be read"):
        scoring.evaluate(model, str(tmp_path / "broken"))


def test_a_class_name_cannot_control_the_terminal() -> None:
    name = "\x1b[2Jcat\ndog"
    result = scoring.Evaluation(
        n_images=4,
        accuracy=0.5,
        interval=Interval(0.1, 0.9),
        ece=0.1,
        classes=(scoring.ClassScore(name, 4, 2),),
        confused=(scoring.Confusion(name, "b\x07", 2),),
        refusals=None,
        unknown_classes=("c\u202e",),
        untested=("d\r",),
        left_out=(NotRead("e\x1b.png", "empty"),),
        n_learned_from=0,
    )
    lines = str(result).split("\n")
    assert len(lines) == 9
    assert all(line.isprintable() for line in lines)


def test_images_that_were_learned_from_are_counted(
    model: Path, photos: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "mixed"
    shutil.copytree(photos, folder)
    n_old = len(list(folder.glob("*/*.png")))
    own_photos.write(folder, {"red": 3}, first=700)
    result = scoring.evaluate(model, str(folder))
    assert (result.n_learned_from, result.n_images) == (n_old, n_old + 3)
    assert f"the classifier has learned from {n_old} images of these" in str(result)
