"""Shell completion of methods, presets and data sets; imports nothing heavy, and pydantic late."""

from __future__ import annotations

import os
from pathlib import Path

import typer


def methods(incomplete: str) -> list[str]:
    """Return the packaged methods that begin with what was typed."""
    from fewshot import config

    folder = config.presets_folder() / "methods"
    return sorted(path.name for path in folder.glob(f"{incomplete}*") if path.is_dir())


def presets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the presets of the method named before, or of all methods, that begin so."""
    from fewshot import config

    method = ctx.params.get("method")
    candidates = [method] if isinstance(method, str) else methods("")
    names = {name for candidate in candidates for name in config.presets(candidate)}
    return sorted(name for name in names if name.startswith(incomplete))


def data_sets(incomplete: str) -> list[str]:
    """Return the built-in data sets and the folders of $FEWSHOT_DATA that begin so."""
    names = {"cifar10", "digits"}
    root = os.environ.get("FEWSHOT_DATA")
    if root and Path(os.path.expanduser(root)).is_dir():
        folders = (path for path in Path(os.path.expanduser(root)).iterdir() if path.is_dir())
        names |= {path.name for path in folders if not path.name.startswith(".")}
    return sorted(name for name in names if name.startswith(incomplete))
