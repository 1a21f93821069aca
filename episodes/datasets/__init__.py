"""Data sets: load them by name or path; their images are decoded once and memory-mapped afterwards.

Importing this package is cheap: `load` and the like import NumPy, torch and Pillow on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from episodes.datasets.locations import cache_root

if TYPE_CHECKING:
    from episodes.datasets.loading import (
        available,
        contents,
        folders_outside,
        has_test_part,
        load,
        natural_side,
    )

__all__ = [
    "available",
    "cache_root",
    "contents",
    "folders_outside",
    "has_test_part",
    "load",
    "natural_side",
]


def __getattr__(name: str) -> object:
    """Import the functions of `loading` when they are first used (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module("episodes.datasets.loading"), name)
    globals()[name] = value
    return value
