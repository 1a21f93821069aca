"""Data sets in arrays: NumPy files."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.source import Source


def source(place: Path, name: str) -> Source | None:
    """Locate nothing so far."""
    return None
