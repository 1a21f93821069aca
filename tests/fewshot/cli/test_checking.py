"""The command `check`. Oracles: the planted faults, exit codes, and the files on disk."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fewshot.checks import photos
from tests.fewshot.cli.command import fewshot

FACTS = "--only broken --only dark"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = photos.save(tmp_path / "photos", 4)
    photos.plant(folder)
    return folder


def test_text_json_and_page(folder: Path, monkeypatch, capsys) -> None:
    assert fewshot(f"check photos {FACTS} --page check.html --quiet", monkeypatch) == 0
    printed = capsys.readouterr()
    assert "cat/broken.png: truncated" in printed.out
    assert printed.err == "page: check.html\n"
    assert "cat/dark.png" in Path("check.html").read_text(encoding="utf-8")
    assert fewshot("check photos --only broken,dark --json --quiet", monkeypatch) == 0
    written = json.loads(capsys.readouterr().out)
    assert written["counts"] == {"broken": 1, "dark": 1}


def test_strict_fails_for_serious_faults_alone(folder: Path, monkeypatch, capsys) -> None:
    assert fewshot(f"check photos {FACTS} --strict --quiet", monkeypatch) == 1
    assert fewshot("check photos --only dark --strict --quiet", monkeypatch) == 0


def test_fix_moves_and_undo_moves_back(folder: Path, monkeypatch, capsys) -> None:
    before = sorted(folder.rglob("*"))
    assert fewshot("check photos --only broken --fix moved --quiet", monkeypatch) == 0
    assert "1 image moved: see moved/moved.csv" in capsys.readouterr().err
    assert Path("moved/cat/broken.png").exists()
    assert fewshot("check photos --undo moved", monkeypatch) == 0
    assert "1 image moved back to photos" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("check nothing", "no data set 'nothing'"),
        ("check photos --only brokn", "did you mean 'broken'"),
        ("check photos --fix photos/moved", "lies in the data set"),
        ("check digits --fix moved", "which digits is not"),
        ("check photos --fix moved --undo moved", "use one"),
        ("check photos --undo moved --strict --json", "leave out --strict, --json"),
        ("check photos --undo moved --page a.html --only dark", "leave out --only, --page"),
        ("check photos --undo moved --against photos", "leave out --against"),
        ("check photos --undo moved", "name the folder of --fix"),
        ("check photos --page photos", "name the file to write"),
    ],
)
def test_wrong_requests_are_one_sentence(folder, monkeypatch, capsys, words, message) -> None:
    assert fewshot(f"{words} --quiet", monkeypatch) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not Path("moved").exists()
