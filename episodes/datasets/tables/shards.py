"""Missing files of a data set that is stored in numbered files, such as train-00001-of-00003."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from episodes.datasets.source import few
from episodes.errors import UserError

_OF_TOTAL = re.compile(r"(\d+)([-_ ]*of[-_ ]*)(\d+)", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(?=\D*$)")


def notes_on_shards(paths: Iterable[Path]) -> list[str]:
    """Return a note for each series of numbered files in which some are missing.

    Files named `…-00000-of-00003` say how many there are. Without a total, a gap in the numbers is
    noted.

    Args:
        paths: files of one part of a data set.

    Raises:
        UserError: the files have several totals, so they belong to several versions.
    """
    totals: dict[str, dict[int, set[int]]] = {}  # series -> total -> numbers
    loose: dict[str, set[str]] = {}  # series -> numbers, as they are written
    for path in paths:
        if match := _OF_TOTAL.search(path.name):
            number, total = int(match[1]), int(match[3])
            series = _OF_TOTAL.sub("{}", path.name, count=1)
            totals.setdefault(series, {}).setdefault(total, set()).add(number)
        elif match := _NUMBER.search(path.stem):
            series = f"{path.stem[: match.start()]}{{}}{path.stem[match.end() :]}{path.suffix}"
            loose.setdefault(series, set()).add(match[0])
    notes = [_of_total(series, by_total) for series, by_total in totals.items()]
    notes += [_of_gaps(series, numbers) for series, numbers in loose.items()]
    return [note for note in notes if note]


def _of_total(series: str, by_total: dict[int, set[int]]) -> str:
    if len(by_total) > 1:
        versions = ", ".join(f"…-of-{total:05d}" for total in sorted(by_total))
        raise UserError(
            f"The files {series.format('…')} belong to several versions ({versions}): remove those "
            "of all but one."
        )
    ((total, numbers),) = by_total.items()
    first = 1 if total in numbers else 0  # some programs count from 1
    missing = sorted(set(range(first, total + first)) - numbers)
    names = [series.format(f"{number:05d}-of-{total:05d}") for number in missing]
    return _note(names, total)


def _of_gaps(series: str, numbers: set[str]) -> str:
    values = sorted(int(number) for number in numbers)
    # A series begins with 0 or 1, and most of it is there; other numbers are names, such as years.
    if len(values) < 2 or values[0] > 1 or values[-1] >= 4 * len(values):
        return ""
    missing = sorted(set(range(values[0], values[-1] + 1)) - set(values))
    digits = max(len(number) for number in numbers)
    padded = digits > 1 and any(number.startswith("0") for number in numbers)
    names = [series.format(f"{n:0{digits}d}" if padded else str(n)) for n in missing]
    return _note(names, len(values) + len(missing))


def _note(names: list[str], total: int) -> str:
    if not names:
        return ""
    verb = "is" if len(names) == 1 else "are"
    return f"{len(names)} of {total} files {verb} missing: {few(names)}"
