"""Every published page against the records that it is made from, and records against presets."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewshot.runs import records, resolve, run_settings
from scripts import reports

ROOT = Path(__file__).parent.parent
HAS_CIFAR10 = (Path(os.environ.get("FEWSHOT_DATA", "nowhere")) / "cifar10").is_dir()
SLOW = "scripts.forecast"  # fits about 80 curves


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(words, marks=[pytest.mark.slow] if SLOW in words else [], id=" ".join(words))
        for words in reports.commands()
    ],
)
def test_a_page_is_what_its_records_give(command: list[str]) -> None:
    words = [sys.executable, "-m", *command, "--check"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_no_table_cell_of_a_report_is_longer_than_140_characters() -> None:
    long_cells = []
    for page in sorted((ROOT / "reports").rglob("*.md")):
        for line in page.read_text().splitlines():
            cells = line.split(" | ") if line.startswith("|") else []
            long_cells += [f"{page.name}: {cell}" for cell in cells if len(cell) > 140]
    assert long_cells == []


def learner_records() -> list[tuple[Path, dict[str, Any]]]:
    """Return the records of trained or fitted learners, not those of votes."""
    place = ROOT / "reports" / "records" / "learners"
    return [
        (path, record) for path, record in records.find([place]) if record["method"] != "voting"
    ]


def request(record: dict[str, Any]) -> dict[str, Any]:
    """Return the request that gave a record, without its preset."""
    return {key: record[key] for key in ("method", "shots", "fraction")} | {"data": "cifar10"}


def test_records_of_learners_have_the_settings_of_the_presets() -> None:
    stale = []
    for path, record in learner_records():
        if record["shots"] == 1 and record["config"]["select"] == "start":
            continue  # of one image per class nothing can be left out, so another choice is made
        preset = run_settings.configure(request(record), record["preset"])
        measured = run_settings.configure({**record["config"], **request(record)}, record["preset"])
        if preset != measured:
            stale.append(path.name)
    assert not stale, f"measured with other settings than the presets have: {', '.join(stale)}"


@pytest.mark.slow  # decodes CIFAR-10 and builds every learner
@pytest.mark.skipif(not HAS_CIFAR10, reason="FEWSHOT_DATA has no cifar10")
def test_records_of_learners_have_the_run_ids_of_the_presets(tmp_path: Path) -> None:
    stale = []
    for path, record in learner_records():
        values = request(record)
        if record["preset"] not in ("few", "full"):  # those follow from the number of labels
            values["preset"] = record["preset"]
        if resolve.resolve_run(values, tmp_path, "cpu").run_id != record["run_id"]:
            stale.append(path.name)
    assert not stale, f"measured with other settings than the presets have: {', '.join(stale)}"
