"""Data sets of torchvision by their names, such as torchvision:Flowers102."""

from __future__ import annotations

from pathlib import Path

from episodes.datasets.source import Source
from episodes.errors import NotHere


def source(name: str, root: Path) -> Source:
    """Locate a data set of torchvision; none so far."""
    raise NotHere(f"torchvision:{name} cannot be read in this version: give a path as data.")
