"""Read and write files: whole or not at all, with one sentence where that fails."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from fewshot.errors import UserError

PART = ".part"


def write_bytes(path: Path, content: bytes | bytearray | Iterable[bytes]) -> None:
    """Write a file, its bytes at once or part by part, whole or not at all: beside its place, then by rename."""
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")  # two processes may write the same
    try:
        with part.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes | bytearray) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(
            OSError
        ):  # where the folder is none, there is nothing to take away
            part.unlink()
        raise UserError(
            f"{path} could not be written ({error.strerror}): free some space, or name another folder "
            "(--out for runs, FEWSHOT_CACHE for what is kept between them)."
        ) from error


def append_line(path: Path, content: Any) -> None:
    """One more line of JSON at the end of a file that is rewritten whole in the end."""
    try:
        with path.open("a") as file:
            file.write(json.dumps(content) + "\n")
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror}): free some space."
        ) from error


def write_json(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """A torch file of tensors, numbers, strings and containers; `read_tensors` runs no code from it."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getvalue())


def read_tensors(path: Path) -> dict[str, Any]:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, or say in a sentence why that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder {path} cannot be created ({error.strerror}): name another (--out for runs, "
            "FEWSHOT_CACHE for what is kept between them)."
        ) from None


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}): delete it and run its command again."
        ) from None
