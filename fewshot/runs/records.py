"""Records on disk: written once, by rename, and read by every report. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs.run_record import Record, RunRecord

TRIAL = "trial-"  # begins the name of a trial's folder, before its seed


def trial_folder(run: Path, seed: int | None) -> Path:
    """Return the folder of one trial in the folder of its run."""
    return run / f"{TRIAL}{seed}"


def find(places: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Return every record under the given files and folders, as it is on disk.

    Returns:
        (path, content) without repeats, sorted by path.

    Raises:
        UserError: a place does not exist or holds no record.
    """
    contents: dict[Path, Record] = {}
    for place in places:
        if not place.exists():
            raise UserError(
                f"{place} does not exist: name a record.json, a run's folder, or a folder of those."
            )
        contents |= _records_in(place)
    return sorted(contents.items())


def load(places: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return what `find` returns, with typed records."""
    return [(path, RunRecord.from_json(content)) for path, content in find(places)]


def read(path: Path) -> RunRecord:
    """Read one record.json."""
    return RunRecord.from_json(io.read_json(path))


def _records_in(place: Path) -> dict[Path, Record]:
    files = [place] if place.is_file() else place.rglob("*.json")
    contents = {}
    for file in files:
        if place.is_dir() and file.parent.name.startswith((TRIAL, ".")):
            continue
        content = io.read_json(file)
        if _is_record(content):
            contents[file.resolve()] = content
    if not contents:
        raise UserError(
            f"{place} holds no record: a run writes record.json when its trials are done."
        )
    return contents


def _is_record(content: Any) -> bool:
    return isinstance(content, dict) and {"run_id", "scores", "seeds"} <= set(content)


def ordered(seeds: Iterable[int | None]) -> list[int | None]:
    """Return seeds in rising order."""
    return sorted(seeds, key=lambda seed: -1 if seed is None else seed)
