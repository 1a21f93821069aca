"""Records on disk: written once, by rename, and read by every report. Imports no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs.run_record import Record, RunRecord

TRIAL = "trial-"  # begins the name of a trial's folder, before its seed
# Keys of every record of the low-data regime; other files may have some of them.
OF_EVERY_RECORD = {"run_id", "method", "data", "classes", "seeds", "scores", "cost", "provenance"}
MARK = b'"run_id"'  # near the beginning of a record
HEAD = 4096  # bytes in which it is
LARGEST_RECORD = 2**24  # bytes; a larger file without the mark is not read
LOW_DATA, EPISODIC = "low-data", "episodic"
# The error for a place whose records are all of the other regime
ONLY_OTHERS = {
    LOW_DATA: "{place} holds only records of `fewshot episodes`, and some of `fewshot run` were "
    "expected, because the two regimes never share a table: name those, or use `fewshot report`.",
    EPISODIC: "{place} holds only records of `fewshot run`, and some of `fewshot episodes` were "
    "expected, because the two regimes never share a table: name those, or use `fewshot report`.",
}


def trial_folder(run: Path, seed: int | None) -> Path:
    """Return the folder of one trial in the folder of its run."""
    return run / f"{TRIAL}{seed}"


def seed_of(trial: Path) -> int | None:
    """Return the seed in the name of a trial's folder, or None if it is another folder."""
    seed = trial.name.removeprefix(TRIAL)
    return int(seed) if seed.isdecimal() and trial.name != seed else None


def indices_hash(content: Mapping[str, Any]) -> str:
    """Return the hash of the content of `indices.json`, which the trial's record has."""
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def indices(trial: Path) -> dict[str, list[int]]:
    """Return the content of `indices.json` in the folder of a finished trial.

    Raises:
        UserError: it is missing, or not that of the trial's record.
    """
    content = io.read_json(trial / "indices.json")
    named = io.read_as(trial / "trial.json", lambda record: record["indices_hash"])
    if indices_hash(content) != named:
        raise UserError(
            f"{trial / 'indices.json'} is not the one that the record of its trial names, so one "
            "of them is damaged: move the folder away and repeat the command that made it."
        )
    return cast(dict[str, list[int]], content)


def find(places: Sequence[Path]) -> list[tuple[Path, Record]]:
    """Return every record of the low-data regime under files and folders, as it is on disk.

    Returns:
        (path, content) without repeats, sorted by path.

    Raises:
        UserError: a place does not exist or holds no record of this regime.
    """
    return of_regime(places, LOW_DATA)


def of_regime(places: Sequence[Path], regime: str) -> list[tuple[Path, Record]]:
    """Return every record of one regime under the given files and folders, as `find` does."""
    contents: dict[Path, Record] = {}
    for place in places:
        by_regime = _records_in(place)
        if regime not in by_regime:
            raise UserError(ONLY_OTHERS[regime].format(place=place))
        contents |= by_regime[regime]
    return sorted(contents.items())


def places_by_regime(places: Sequence[Path]) -> dict[str, list[Path]]:
    """Return for each regime the places that hold records of it.

    Raises:
        UserError: a place does not exist or holds no record.
    """
    by_regime: dict[str, list[Path]] = {}
    for place in places:
        for regime in _records_in(place):
            by_regime.setdefault(regime, []).append(place)
    return by_regime


def load(places: Sequence[Path]) -> list[tuple[Path, RunRecord]]:
    """Return what `find` returns, with typed records."""
    records_on_disk = find(places)
    return [
        (path, io.as_object(content, RunRecord.from_json, path))
        for path, content in records_on_disk
    ]


def read(path: Path) -> RunRecord:
    """Read one record.json."""
    return io.read_as(path, RunRecord.from_json)


def regime_of(content: Any) -> str | None:
    """Return the regime of a record, by its content; None if the content is not a record."""
    if not isinstance(content, dict) or "run_id" not in content:
        return None
    if content.get("regime") == EPISODIC:
        return EPISODIC
    return LOW_DATA if content.keys() >= OF_EVERY_RECORD else None


def _records_in(place: Path) -> dict[str, dict[Path, Record]]:
    """Return the records of a file or folder by their regime.

    Other JSON files in a folder are passed over, whatever they contain: they may be a user's own.
    """
    if not place.exists():
        raise UserError(
            f"{place} does not exist: name a record.json, a run's folder, or a folder of those."
        )
    contents: dict[str, dict[Path, Record]] = {}
    for file in [place] if place.is_file() else place.rglob("*.json"):
        if place.is_dir() and file.parent.name.startswith((TRIAL, ".")):
            continue
        content = _content(file, is_named=place.is_file())
        regime = regime_of(content)
        if regime is not None:
            contents.setdefault(regime, {})[file.resolve()] = content
    if not contents:
        raise UserError(
            f"{place} holds no record: a run writes record.json when its trials are done."
        )
    return contents


def _content(file: Path, is_named: bool) -> Any:
    """Return the content of a JSON file; None if it cannot be a record.

    Raises:
        UserError: the user named this file and it cannot be read, or it is a damaged record.
    """
    try:
        with file.open("rb") as opened:
            may_be_record = MARK in opened.read(HEAD)
        if not is_named and not may_be_record and file.stat().st_size > LARGEST_RECORD:
            return None
        return json.loads(file.read_bytes())
    except OSError as error:
        if not is_named:
            return None
        raise UserError(f"{file} cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError) as error:
        if is_named:
            raise UserError(
                f"{file} cannot be read as JSON ({error}): name a record.json, a run's folder, or "
                "a folder of those."
            ) from None
        if not may_be_record or file.name != "record.json":
            return None
        raise UserError(
            f"{file} is a damaged record ({error}): repeat the command of its run with --force, or "
            "name the other runs alone."
        ) from None


def ordered(seeds: Iterable[int | None]) -> list[int | None]:
    """Return seeds in rising order."""
    return sorted(seeds, key=lambda seed: -1 if seed is None else seed)
