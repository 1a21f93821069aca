"""What is published says what its records say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fewshot.report import comparison as table
from fewshot.runs import records, resolve

ROOT = Path(__file__).parent.parent
HAS_CIFAR10 = (Path(os.environ.get("FEWSHOT_DATA", "nowhere")) / "cifar10").is_dir()


@pytest.mark.parametrize("name", ["learners", "main", "presets"])
def test_tables_are_what_their_records_give(name: str) -> None:
    assert (
        table.tell([ROOT / "reports" / "records" / name], ROOT / "reports" / name, check=True) == 0
    )


def test_studies_are_what_their_results_give() -> None:
    studies = [str(ROOT / "configs" / "studies")]
    command = [
        "report",
        *studies,
        "--results",
        str(ROOT / "reports" / "records"),
        "--out",
        str(ROOT / "reports"),
    ]
    done = subprocess.run(
        [sys.executable, "-m", "fewshot", *command, "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "readme --check",
        "learners --check",
        "pretraining report --check",
        "fulldata --check",
        pytest.param("forecast --check", marks=pytest.mark.slow),  # some 80 curves fitted
    ],
)
def test_pages_show_what_their_records_give(command: str) -> None:
    script, *words = command.split()
    done = subprocess.run(
        [sys.executable, "-m", f"scripts.{script}", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr


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
        preset = resolve.configure(request(record), record["preset"])
        measured = resolve.configure({**record["config"], **request(record)}, record["preset"])
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
        if resolve.prepare(values, tmp_path, "cpu").run_id != record["run_id"]:
            stale.append(path.name)
    assert not stale, f"measured with other settings than the presets have: {', '.join(stale)}"
