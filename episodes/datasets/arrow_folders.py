"""Folders that `save_to_disk` of Hugging Face's `datasets` writes, and other Arrow files."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.source import Source


def source(place: Path, name: str) -> Source | None:
    """Locate Arrow files in a folder; or one file.

    Returns:
        None if there are none.
    """
    return None
