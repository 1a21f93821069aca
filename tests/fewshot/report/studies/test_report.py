"""`fewshot report` of studies: fresh and stale files, warnings, exit codes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.report.studies import gathering, report
from tests.fewshot.expected_intervals import accuracy_cell
from tests.fewshot.study_results import RECORDS, Planned, cell, record, row, save

ROOT = Path(__file__).parents[4]


def test_check_names_stale_files_and_does_not_compare_figures(
    reported: tuple[Planned, Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    planned, saved, written_to = reported
    out = shutil.copytree(written_to, tmp_path / "out")
    shutil.rmtree(out / "figures")
    assert report.report(planned, out, True, "small", saved) == 0
    assert "up to date" in capsys.readouterr().err
    assert not (out / "figures").exists()
    changed = shutil.copytree(saved, tmp_path / "results")
    path = changed / "kshot" / "small" / "K9" / "shots=16.json"
    path.write_text(
        path.read_text()
        .replace('"reason": null', '"reason": "x"')
        .replace('"status": "done"', '"status": "failed"')
    )
    assert report.report(planned, out, True, "small", changed) == 1
    stale = re.findall(r"(\S+) is stale", caplog.text)
    names = ["kshot.md", "kshot.tex", "index.html", "README.md"]
    assert [Path(path).name for path in stale] == names
    with pytest.raises(UserError, match="--out"):
        report.report(planned, None, True, "small", saved)


def test_a_listed_stale_result_is_named_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, asked = row("kshot", "K9", "Prototypical network"), cell("all", "all")
    save(tmp_path, one, asked, record("protonet-16"))
    (result,) = (tmp_path / "kshot" / "small" / "K9").glob("*.json")
    run = json.loads(result.read_text())["run"]
    listed = tmp_path / "kshot" / "small" / "stale.json"
    for written, is_named in ((run, True), ("an older run", False)):
        listed.write_text(json.dumps({"K9/all": written}))
        assert report.report([(one, [asked])], None, False, "small", tmp_path) == 0
        page = capsys.readouterr().out
        sentence = "measured before the preset, the weights or the code changed, for: all"
        assert (sentence in page) == ("1 setting stale" in page) == is_named


def test_warnings_about_unknown_results_and_changed_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    one, asked = row("kshot", "K9", "Prototypical network"), cell("all", "all")
    save(tmp_path, one, asked, record("protonet-16"))
    save(tmp_path, one, cell("old", "old"), record("protonet-16"))
    now = asked._replace(settings={"method": "protonet"})
    assert report.report([(one, [now])], None, False, "small", tmp_path) == 0
    assert "kshot: 1 result left out, because the study no longer has these settings" in caplog.text
    assert "the study file now asks for other settings for: all" in capsys.readouterr().out
    assert report.report([(one, [now])], None, False, "full", tmp_path) == 0
    assert "no results of scale full" in caplog.text
    assert "there are results of scale small" in caplog.text
    (tmp_path / "kshot" / "small" / "K9" / "x.json").write_text("{}")
    with pytest.raises(UserError, match=r"x\.json is not a result"):
        report.report([(one, [now])], None, False, "small", tmp_path)


def test_the_command_distinguishes_studies_from_records_and_imports_no_torch(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "kshot"
    folder.mkdir()
    (folder / "K9.yaml").write_text(
        "title: Prototypical network\nquestion: What?\nsource: slide 1\n"
        "base: {method: protonet, shots: 16}\n"
        "reported: [{accuracy: 0.46}]\nscales: {small: {cuts: [fewer trials]}}\n"
    )
    (planned,) = gathering.read([folder], "small")
    save(tmp_path / "results", planned[0], planned[1][0], record("protonet-16"))
    command = ["report", folder, "--results", tmp_path / "results", "--out", tmp_path / "out"]
    code = (
        "import sys\nfrom fewshot.cli import main\nsys.argv[0] = 'fewshot'\n"
        "try:\n    main.main()\nfinally:\n"
        "    print([name for name in ('torch', 'timm', 'pandas') if name in sys.modules])"
    )
    for more, name in ((), "kshot.html"), (("--check",), "[]"):
        words = [sys.executable, "-c", code, *map(str, command), *more]
        done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
        assert done.returncode == 0, done.stderr
        assert name in done.stdout
        assert done.stdout.splitlines()[-1] == "[]"
    values = record("protonet-16")["scores"]["accuracy"]["values"]
    assert f"0.46 | {accuracy_cell(values)} |" in (tmp_path / "out" / "kshot.md").read_text()
    mixed = subprocess.run(
        [*words[:3], "report", folder, RECORDS], capture_output=True, text=True, cwd=ROOT
    )
    assert mixed.returncode == 2
    assert "name either study files or records" in mixed.stderr
