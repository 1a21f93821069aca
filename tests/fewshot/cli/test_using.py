"""Oracle: arithmetic on records written here, and the labels of images saved here."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from PIL import Image

from episodes import datasets
from tests.fewshot.cli.command import RUN, fewshot


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of two settings of the probe at 8 labelled digits per class."""
    folder = tmp_path_factory.mktemp("using") / "runs"
    with pytest.MonkeyPatch.context() as patch:
        for c in (0.1, 10):
            run = RUN.replace("--shots 4", "--shots 8").replace("--seeds 1", "--seeds 2")
            options = f"--backbone conv4 --out {folder} --quiet --set learner.c={c}"
            assert fewshot(f"{run} --method probe {options}", patch) == 0
    return folder


def test_vote_combines_the_trials_of_each_seed(runs, tmp_path, monkeypatch, capsys) -> None:
    assert fewshot(f"vote {runs} --rule hard --out {tmp_path} --json", monkeypatch) == 0
    (record,) = json.loads(capsys.readouterr().out)
    assert record["seeds"] == [0, 1]
    assert record["config"]["rule"] == "hard"
    assert fewshot(f"vote {runs} --best 0", monkeypatch) == 2
    assert "--best 0: expected percentages" in capsys.readouterr().err


def test_forecast_needs_three_numbers_of_labels(runs, monkeypatch, capsys) -> None:
    assert fewshot(f"forecast {runs} --target 0.99", monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "not known" in printed
    assert "--shots 4, 16 and 64" in printed
    assert fewshot(f"forecast {runs} --at 64,many", monkeypatch) == 2
    assert "--at 64,many: expected whole numbers" in capsys.readouterr().err


def test_predict_writes_the_best_classes_of_every_image(
    runs, tmp_path, monkeypatch, capsys
) -> None:
    images = tmp_path / "images"
    images.mkdir()
    test = datasets.load("digits").test
    for index in range(12):
        pixels = test.images[index].permute(1, 2, 0).expand(-1, -1, 3).contiguous().numpy()
        Image.fromarray(pixels).save(images / f"{index}.png")
    run = next(runs.glob("*/record.json")).parent
    file = tmp_path / "predictions.csv"
    options = f"--trial 1 --out {file} --top 2 --quiet"
    assert fewshot(f"predict {run} {images} {options}", monkeypatch) == 0
    assert f"predictions: {file}" in capsys.readouterr().err
    rows = list(csv.reader(file.read_text().splitlines()))[1:]
    names = [test.classes[int(label)] for label in test.labels[:12]]
    labels = {f"{index}.png": names[index] for index in range(12)}
    assert {row[0] for row in rows} == set(labels)
    assert sum(labels[row[0]] == row[1] for row in rows) >= 6
