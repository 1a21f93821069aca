"""The command `predict` with a model file. Oracle: the files that the test writes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from fewshot.model import prediction
from tests.fewshot.cli.command import fewshot
from tests.fewshot.model import own_photos


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with photos and a model that is fitted to them."""
    folder = tmp_path_factory.mktemp("predicting")
    own_photos.write(folder / "photos", {"red": 6, "green": 6})
    own_photos.model(folder / "photos", folder / "m.fewshot")
    return folder


def test_one_photo_is_printed_as_csv_or_json(place: Path, monkeypatch, capsys) -> None:
    photo = place / "photos" / "red" / "3.png"
    assert fewshot(f"predict {place}/m.fewshot {photo} --quiet", monkeypatch) == 0
    shown = capsys.readouterr()
    (row,) = csv.DictReader(StringIO(shown.out))
    assert (row["file"], row["label"]) == ("3.png", "red")
    assert shown.err == "predictions: 1 image\n"
    assert fewshot(f"predict {place}/m.fewshot {photo} --json --quiet", monkeypatch) == 0
    (content,) = json.loads(capsys.readouterr().out)
    assert (content["file"], content["label"]) == ("3.png", "red")


def test_a_list_on_standard_input_is_read_line_by_line(place: Path, tmp_path: Path) -> None:
    lines = "photos/red/1.png\r\n\nphotos/green/2.png\nphotos/gone.png\n"
    words = [sys.executable, "-m", "fewshot", "predict", "m.fewshot", "-", "--quiet"]
    done = subprocess.run(
        [*words, "--skip-broken", "--copy-to", str(tmp_path / "sorted")],
        input=lines,
        cwd=place,
        capture_output=True,
        text=True,
        check=True,
    )
    rows = list(csv.DictReader(StringIO(done.stdout)))
    assert [(row["file"], row["label"]) for row in rows] == [
        ("photos/red/1.png", "red"),
        ("photos/green/2.png", "green"),
    ]
    assert "left out 1: photos/gone.png (cannot be opened" in done.stderr
    assert sum(path.is_file() for path in (tmp_path / "sorted").rglob("*")) == 2


@pytest.mark.parametrize(
    ("option", "end"),
    [
        ("", "nothing was written"),
        ("--copy-to sorted", "the same command resumes"),
        ("--out p.csv", "the same command resumes"),
    ],
)
def test_an_interrupted_command_resumes_if_it_writes(
    option: str, end: str, monkeypatch, capsys
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(prediction, "predict", interrupted)
    assert fewshot(f"predict m.fewshot a.jpg {option} --quiet", monkeypatch) == 130
    assert capsys.readouterr().err == f"fewshot: interrupted; {end}.\n"


def test_json_beside_a_table_is_refused_and_writes_nothing(
    place: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    command = f"predict {place}/m.fewshot {place}/photos --json --out {tmp_path}/p.csv --quiet"
    assert fewshot(command, monkeypatch) == 2
    assert "p.csv is no JSON array: leave out --json" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_sentence_names_what_a_run_and_a_model_cannot_do(
    place: Path, monkeypatch, capsys
) -> None:
    command = f"predict {place}/m.fewshot {place}/photos --trial 3 --quiet"
    assert fewshot(command, monkeypatch) == 2
    assert "--trial is for runs" in capsys.readouterr().err
    assert fewshot(f"predict {place}/m.fewshot {place}/m.fewshot --quiet", monkeypatch) == 2
    assert "cannot be predicted" in capsys.readouterr().err
