"""Pages that are partly written by hand: tables from records are put between marks in the text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from fewshot.runs import records
from fewshot.runs.run_record import RunRecord

ROOT = Path(__file__).parent.parent
RECORDS = ROOT / "reports" / "records"
END = "<!-- end of table -->"


def record(folder: str, name: str) -> RunRecord | None:
    """Return a published record; None if it was not measured."""
    path = RECORDS / folder / f"{name}.json"
    return records.read(path) if path.exists() else None


def filled(text: str, tables: Mapping[str, str]) -> str:
    """Return the text with each table between `<!-- table: NAME -->` and the end mark.

    Tables without such a mark in the text are left out.
    """
    for name, content in tables.items():
        before, mark, rest = text.partition(f"<!-- table: {name} -->\n")
        if mark:
            text = f"{before}{mark}\n{content}\n\n{END}{rest.partition(END)[2]}"
    return text


def update(paths: list[Path], tables: Callable[[], Mapping[str, str]], command: str) -> None:
    """Write the tables into the pages, or with `--check` exit with an error if one is stale."""
    contents = tables()
    for path in paths:
        text = path.read_text(encoding="utf-8")
        expected = filled(text, contents)
        if text == expected:
            continue
        if "--check" in sys.argv:
            sys.exit(f"{path.relative_to(ROOT)} is stale: run `python -m {command}`")
        path.write_text(expected, encoding="utf-8")
