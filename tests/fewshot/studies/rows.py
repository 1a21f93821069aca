"""Rows of studies for the tests, written as files and read again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fewshot.studies import schema
from fewshot.studies.results import ResultStore
from fewshot.studies.schema import Row

COMMON = {"title": "T", "question": "Q?", "source": "slide 1"}
QUICK: dict[str, Any] = {
    "method": "scratch",
    "data": "digits",
    "shots": 5,
    "backbone": {"name": "mlp", "options": {"widths": [16]}},
    "train": {"steps": 4, "batch_size": 16, "log_every_epochs": 1},
}


def rows_of(folder: Path, **rows: Mapping[str, Any]) -> list[Row]:
    """Return rows of the study `one` after writing their files; two trials unless stated."""
    study = folder / "configs" / "one"
    study.mkdir(parents=True, exist_ok=True)
    for name, keys in rows.items():
        text = yaml.safe_dump({**COMMON, "trials": 2, **keys}, sort_keys=False)
        (study / f"{name}.yaml").write_text(text)
    return schema.read([study])


def row_of(folder: Path, **keys: Any) -> Row:
    """Return the only row of the study `one` after writing its file."""
    (row,) = rows_of(folder, X1=keys)
    return row


def store_in(folder: Path) -> ResultStore:
    """Return a store at scale full in a temporary folder."""
    return ResultStore("full", folder / "runs", folder / "results")
