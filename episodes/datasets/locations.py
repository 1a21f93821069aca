"""Where what is kept between runs lies; imports nothing heavy, so that it can be asked at once."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """The folder for what can be made again: $XDG_CACHE_HOME/fewshot, or ~/.cache/fewshot."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fewshot"


def cache_root() -> Path:
    """$FEWSHOT_CACHE, or the user's cache folder."""
    named = os.environ.get("FEWSHOT_CACHE")
    return Path(named).expanduser() if named else user_cache()
