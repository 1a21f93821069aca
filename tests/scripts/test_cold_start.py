"""The measurement of a cold start. Oracles: folders and tables written by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fewshot import io
from scripts import cold_start

ONE = cold_start.ColdStart(
    way="fit, default",
    command=["fit"],
    accuracy=0.925,
    n_labelled=50,
    n_others=300,
    fit_seconds=6.24,
    predict_seconds=5.5,
    processor_seconds=15.96,
    megabytes=812.4,
    file_megabytes=20.04,
    threads=2,
    processor="made",
    load=0.25,
)


def test_labelled_photos_and_others_are_different_and_of_all_classes(tmp_path: Path) -> None:
    for part, n in (("train", 7), ("val", 32)):
        for name in ("cat", "dog"):
            folder = tmp_path / "data" / part / name
            folder.mkdir(parents=True)
            for number in range(n):
                (folder / f"{number:02}.jpg").write_text(f"{part} {name} {number}")
    (tmp_path / "place").mkdir()
    truth = cold_start._copy(tmp_path / "data", tmp_path / "place")
    labelled = {path.read_text() for path in (tmp_path / "place/labelled").rglob("*.jpg")}
    others = {path.name: path.read_text() for path in (tmp_path / "place/others").iterdir()}
    assert labelled == {f"train {name} {n}" for name in ("cat", "dog") for n in range(5)}
    assert truth.keys() == others.keys()
    assert all(others[name].startswith(f"val {true} ") for name, true in truth.items())


def test_the_accuracy_is_that_of_the_file_of_predictions(tmp_path: Path) -> None:
    file = tmp_path / "others.csv"
    file.write_text("file,label,probability\nx/a.jpg,cat,0.9\nb.jpg,dog,0.8\nc.jpg,dog,0.7\n")
    truth = {"a.jpg": "cat", "b.jpg": "cat", "c.jpg": "dog"}
    assert cold_start._accuracy(file, truth) == pytest.approx(2 / 3)


def test_the_table_adds_both_times_and_names_what_was_not_run(tmp_path: Path) -> None:
    io.write_json(tmp_path / "cold-fit-default.json", vars(replace(ONE)))
    lines = cold_start.table(tmp_path).splitlines()
    assert "| fit, default | 0.925 | 6.2 | 5.5 | 11.7 | 16.0 | 812 | 20.0 | 0.2 |" in lines
    assert sum("not run" in line for line in lines) == len(cold_start.WAYS) - 1


def test_a_process_reports_its_seconds_and_its_memory(tmp_path: Path) -> None:
    process = cold_start._timed(["--help"], tmp_path)
    assert 0 < process.seconds < 60
    assert 0 < process.processor_seconds < 60
    assert 10 < process.megabytes < 300  # far less than this process, which has imported torch
