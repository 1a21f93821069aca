"""Oracle: the files that the commands write, changed by hand, and rows of one cell."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.fewshot.cli.command import RUN, fewshot

ROW = {
    "title": "T",
    "question": "Q?",
    "source": "slide 1",
    "base": {
        "method": "probe",
        "data": "digits",
        "shots": 4,
        "backbone": {"name": "conv4"},
        "precision": "float32",
    },
    "trials": 1,
    "seconds": 90,
}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of one row with two cells; the test runs in its parent folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "studies" / "one"
    folder.mkdir(parents=True)
    row = {**ROW, "grid": [{"learner.c": [0.1, 1.0]}]}
    (folder / "X1.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
    return tmp_path / "studies"


def test_report_writes_a_table_and_notices_that_it_is_stale(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    for method in ("probe", "protonet"):
        assert fewshot(f"{RUN} --method {method} --backbone conv4", monkeypatch) == 0
    assert fewshot("report runs --out reports", monkeypatch) == 0
    assert fewshot("report runs --out reports --check", monkeypatch) == 0
    text = Path("reports/comparison.md").read_text()
    headings = [line for line in text.splitlines() if line.startswith("#")]
    assert sum("digits, 4 labels per class" in line for line in headings) == 1
    assert "| probe" in text
    assert "| protonet" in text
    Path("reports/comparison.md").write_text(text + "edited")
    assert fewshot("report runs --out reports --check", monkeypatch) == 1
    assert "stale" in capsys.readouterr().err


def test_sweep_shows_what_would_run_and_runs_a_shard(study, monkeypatch, capsys) -> None:
    sweep = f"sweep {study} --scale full"
    assert fewshot(f"{sweep} --dry-run", monkeypatch) == 0
    printed = capsys.readouterr().out
    assert "one/X1" in printed
    assert "2 cells, about 3 minutes left on two cores, scale full" in printed
    assert not Path("runs").exists()
    assert fewshot(f"{sweep} --shard 2/2", monkeypatch) == 0
    assert "one/X1 c 1: done, accuracy 0." in capsys.readouterr().err
    results = Path("runs/studies/one/full/X1")
    assert [path.name for path in results.iterdir()] == ["c=1.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--only X9", "there is no such row"),
        ("--shard 3/2", "--shard 3/2: expected i/n with i from 1 to n"),
        ("--scale tiny --out runs", "--scale tiny: expected one of smoke, small, full"),
        ("--scale highest", "--scale highest: expected one of smoke, small, full."),
    ],
)
def test_a_wrong_request_of_a_sweep_has_code_2(
    arguments, message, study, monkeypatch, capsys
) -> None:
    assert fewshot(f"sweep {study} {arguments}", monkeypatch) == 2
    assert message in capsys.readouterr().err


def test_a_failed_cell_gives_code_1(study, monkeypatch, capsys) -> None:
    row = {**ROW, "grid": [{"learner.c": ["much"]}]}
    (study / "one" / "X1.yaml").write_text(yaml.safe_dump(row, sort_keys=False))
    assert fewshot(f"sweep {study} --scale full", monkeypatch) == 1
    assert "failed" in capsys.readouterr().err


def test_runs_at_scale_smoke_are_in_no_report_of_the_runs(study, monkeypatch, capsys) -> None:
    assert fewshot(f"sweep {study} --scale smoke --quiet", monkeypatch) == 0
    assert not Path("runs").exists()
    assert len(list(Path("smoke-runs").glob("*/record.json"))) == 2
    assert fewshot(f"{RUN} --method probe --backbone conv4 --quiet", monkeypatch) == 0
    capsys.readouterr()
    assert fewshot("report runs", monkeypatch) == 0
    assert capsys.readouterr().out.count("| probe") == 1
    assert fewshot(f"report {study} --scale smoke", monkeypatch) == 0
    assert "no results" not in capsys.readouterr().err


def test_inspect_prints_the_files_that_it_wrote(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert fewshot(f"{RUN} --method probe --backbone conv4", monkeypatch) == 0
    (record,) = Path("runs").glob("*/record.json")
    capsys.readouterr()
    assert fewshot(f"inspect {record.parent} --trial 0 --out figures", monkeypatch) == 0
    files = capsys.readouterr().out.split()
    assert "figures/inspect.md" in files
    assert all(Path(file).exists() for file in files)
    assert fewshot(f"inspect {record.parent} --trial 7", monkeypatch) == 2
    assert "--trial 7: " in capsys.readouterr().err
