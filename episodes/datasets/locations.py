"""Where decoded images, features and downloads are stored; importing this is cheap."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache() -> Path:
    """Return the folder for files that can be recreated.

    It is $XDG_CACHE_HOME/fewshot if that variable is set, otherwise ~/.cache/fewshot.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "fewshot"


def cache_root() -> Path:
    """Return $FEWSHOT_CACHE if that variable is set, otherwise the user's cache folder."""
    path = os.environ.get("FEWSHOT_CACHE")
    return Path(os.path.expanduser(path)) if path else user_cache()


def data_root() -> Path:
    """Return $FEWSHOT_DATA if that variable is set, otherwise `data` in the user's cache folder."""
    path = os.environ.get("FEWSHOT_DATA")
    return Path(os.path.expanduser(path)) if path else user_cache() / "data"
