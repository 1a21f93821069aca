"""Where a model file is written: never over a file of another kind."""

from __future__ import annotations

from itertools import count
from pathlib import Path

from fewshot.errors import UserError
from fewshot.model import model_header


def check_replaceable(path: Path) -> None:
    """Raise UserError unless a model file may be written to a path.

    A new file, or one in the place of another model file, may be written.
    """
    if path.is_dir():
        raise UserError(
            f"--out {path} is a folder: name the file to write, such as {path / 'model.fewshot'}."
        )
    if not path.parent.is_dir():
        raise UserError(f"--out {path}: the folder {path.parent} does not exist: make it first.")
    if not path.exists():
        return
    try:
        model_header.read(path)
    except UserError:
        raise UserError(
            f"--out {path}: this file exists and is not a model file: name another, or remove it."
        ) from None


def free_name(path: Path) -> Path:
    """Return the first of model-2.fewshot, model-3.fewshot and so on that does not exist."""
    return next(
        place
        for number in count(2)
        if not (place := path.with_name(f"{path.stem}-{number}{path.suffix}")).exists()
    )
