"""The command `suggest`. Oracle: the files that the test writes, and a curve of known numbers."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fewshot.cli import suggesting
from fewshot.model.suggest.suggestions import Suggestion, Suggestions
from tests.fewshot.cli.command import fewshot
from tests.fewshot.model import own_photos


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("suggesting") / "pool"
    own_photos.write(folder, {"red": 12, "green": 8})
    own_photos.write_broken(folder, 2)
    return folder


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_suggestions_are_printed_and_written(pool: Path, monkeypatch, capsys) -> None:
    assert fewshot(f"suggest {pool} --budget 4 --quiet", monkeypatch) == 0
    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    assert [line.split()[0] for line in lines] == ["1", "2", "3", "4"]
    assert "left out 2: broken-00.jpg" in shown.err
    assert "suggestions: suggestions\n" in shown.err
    with Path("suggestions/suggestions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line.split()[1] for line in lines] == [
        Path(row["image"]).relative_to(pool).as_posix() for row in rows
    ]
    assert Path("suggestions/suggestions.png").is_file()
    assert fewshot(f"suggest {pool} --budget 4 --quiet --json", monkeypatch) == 0
    shown = capsys.readouterr()
    assert [row["rank"] for row in json.loads(shown.out)] == [1, 2, 3, 4]
    assert "suggestions: suggestions-2\n" in shown.err


def test_labelled_links_are_not_suggested_again(pool: Path, monkeypatch, capsys) -> None:
    assert fewshot(f"suggest {pool} --budget 6 --quiet", monkeypatch) == 0
    first = {line.split()[1] for line in capsys.readouterr().out.splitlines()}
    for link in sorted(Path("suggestions/images").iterdir()):  # a user moves links into classes
        folder = Path("labelled") / link.resolve().parent.name
        folder.mkdir(parents=True, exist_ok=True)
        link.rename(folder / link.name)
    command = f"suggest {pool} --budget 5 --quiet --out more"
    assert fewshot(f"{command} --labelled labelled", monkeypatch) == 0
    shown = capsys.readouterr()
    second = {line.split()[1] for line in shown.out.splitlines()}
    assert len(second) == 5
    assert not second & first
    assert "6 images of the pool have a label already" in shown.err
    fit = "fit labelled --method probe --out m.fewshot --quiet"
    assert fewshot(fit, monkeypatch) == 0
    assert fewshot(f"{command}-2 --model m.fewshot", monkeypatch) == 0
    shown = capsys.readouterr()
    assert not {line.split()[1] for line in shown.out.splitlines() if "/" in line} & first


def test_a_simulation_prints_and_draws_the_gain(pool: Path, monkeypatch, capsys) -> None:
    command = f"suggest {pool} --simulate --budget 8 --trials 3 --quiet"
    assert fewshot(f"{command} --out gain", monkeypatch) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["2", "4", "8"]
    assert {path.name for path in Path("gain").iterdir()} == {
        "gain.csv",
        "gain.pdf",
        "gain.png",
        "gain.svg",
    }
    assert fewshot(f"{command} --json", monkeypatch) == 0
    content = json.loads(capsys.readouterr().out)
    with Path("gain/gain.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 9
    for row in rows:
        column = content["budgets"].index(int(row["labels"]))
        expected = content["suggested"][int(row["trial"])][column]
        assert float(row["suggested"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--budget 0", "cannot be 0"),
        ("--method best", "unknown method 'best'"),
        ("--budget 99", "20 images without a label, but the budget is 99"),
        ("--trials 10", "--trials is the number of pools of --simulate"),
        ("--simulate --model m.fewshot", "--simulate takes one data set"),
        ("--simulate --budget 19", "more than the 16 images of a pool"),
        ("--model gone.fewshot", "gone.fewshot"),
        ("--labelled gone", "gone"),
        ("--out {pool}/mine", "lies in the pool"),
    ],
)
def test_a_wrong_request_is_one_sentence_and_writes_nothing(
    arguments: str, words: str, pool: Path, monkeypatch, capsys
) -> None:
    assert fewshot(f"suggest {pool} {arguments.format(pool=pool)} --quiet", monkeypatch) == 2
    shown = capsys.readouterr()
    assert words in shown.err
    assert len(shown.err.strip().splitlines()) == 1
    assert not list(Path().iterdir())


def test_a_name_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = Suggestion(1, "\x1b[2Ja\nb.png", "random", 0.0, 1, "chosen at random")
    nothing = Suggestions((row,), np.zeros(1, np.int64), None, 1, 0, 0, (), lambda ranks: [])
    suggesting._print(nothing, as_json=False)
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert text.strip().isprintable()
