"""Markdown by hand: tables, and pictures with their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; a column whose cells are all numbers, or start with a sign or a digit, stands to the right."""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    right = [
        all(not row[place] or row[place][0] in "0123456789+-±<" for row in cells)
        for place in range(len(columns))
    ]
    lines = [list(columns), ["--:" if each else ":--" for each in right], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(path: Path, alt: str) -> str:
    """An image of the page's own folder; alt: what it shows, for those who do not see it."""
    return f"![{alt.replace('[', '(').replace(']', ')')}]({path.name})"


def counted(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
