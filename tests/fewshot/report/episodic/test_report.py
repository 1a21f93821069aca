"""`fewshot report` of the episodic regime. Oracle: files on disk, and a parser of HTML."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fewshot.cli.main import app
from fewshot.errors import UserError
from fewshot.report.episodic import report
from tests.fewshot.report.episodic.synthetic import results
from tests.fewshot.report.handmade import content
from tests.fewshot.report.studies.reading import Page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for one in results(30)[:8]:
        path = tmp_path / "runs" / one.run_id / "record.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(one.to_json()))
    return tmp_path / "runs"


def test_the_page_is_written_in_three_forms_with_its_figures(folder: Path, tmp_path: Path):
    out = tmp_path / "out"
    assert report.report([folder], out, check=False) == 0
    markdown = (out / "episodes.md").read_text()
    assert markdown.startswith("# Many N-way k-shot tasks\n")
    for line in markdown.splitlines():
        if line.startswith("!["):
            assert (out / line[line.index("](") + 2 : -1]).stat().st_size > 1000
    tables = Page((out / "episodes.html").read_text()).tables
    floats = re.findall(r"\\begin\{(?:sideways)?table\}", (out / "episodes.tex").read_text())
    assert len(tables) == len(floats) + 2
    assert report.report([folder], out, check=True) == 0
    (out / "episodes.md").write_text("changed")
    assert report.report([folder], out, check=True) == 1


def test_a_folder_with_both_regimes_gives_two_separate_pages(folder: Path, tmp_path: Path):
    (folder / "low-data.json").write_text(json.dumps(content("scratch")))
    out = tmp_path / "out"
    run = CliRunner().invoke(app, ["report", str(folder), "--out", str(out)])
    assert run.exit_code == 0, run.output
    pages = {name: (out / f"{name}.md").read_text() for name in ("comparison", "episodes")}
    assert ("scratch" in pages["comparison"], "pt-map" in pages["comparison"]) == (True, False)
    assert ("scratch" in pages["episodes"], "pt-map" in pages["episodes"]) == (False, True)


def test_without_a_folder_the_tables_are_printed(folder: Path, capsys: pytest.CaptureFixture[str]):
    assert report.report([folder], None, check=False) == 0
    printed = capsys.readouterr().out
    assert "| pt-map | transductive |" in printed
    assert "![" not in printed
    with pytest.raises(UserError, match="--check compares with a written report"):
        report.report([folder], None, check=True)
