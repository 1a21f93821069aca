"""Files of a run that are missing or damaged, made by removing or overwriting them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fewshot.errors import UserError
from fewshot.report.inspection import report, run_files
from fewshot.report.inspection.images import Inspected
from tests.fewshot.report.saved_run import copied

IMAGES = ("The most confident mistakes", "The labelled images nearest to them")


MISSING = {  # a part of the folder -> what is then not shown, and why
    "trial-3/predictions.npz": (
        ["Confidence and accuracy"],
        "trial-3/predictions.npz does not exist",
    ),
    "trial-0/predictions.npz": (
        ["Confidence and accuracy", *IMAGES],
        "trial-0/predictions.npz does not exist",
    ),
    "trial-0/metrics.jsonl": (["Over the epochs"], "trial-0/metrics.jsonl does not exist"),
    "trial-0/model.safetensors": (IMAGES[1:], "trial-0/model.safetensors cannot be read"),
    "trial-0/indices.json": (IMAGES[1:], "indices.json is missing"),
    "config.yaml": (IMAGES, "the folder has no config.yaml, which names the data set"),
}


@pytest.mark.parametrize("part", MISSING)
def test_a_missing_file_is_named(part: str, run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / part).unlink()
    titles, reason = MISSING[part]
    for title in titles:
        with pytest.raises(UserError, match=re.escape(reason)):
            report.PARTS[title](Inspected(run_files.read(folder), 0, tmp_path))


@pytest.mark.parametrize(
    ("part", "title"),
    [
        ("predictions.npz", "Confidence and accuracy"),
        ("metrics.jsonl", "Over the epochs"),
        ("model.safetensors", IMAGES[1]),
        ("indices.json", IMAGES[1]),
    ],
)
def test_a_damaged_file_is_named(part: str, title: str, run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    (folder / "trial-0" / part).write_bytes(b"{ no such thing")
    with pytest.raises(UserError, match=f"{part} cannot be read"):
        report.PARTS[title](Inspected(run_files.read(folder), 0, tmp_path))
