"""Read and write files; a file is written completely or not at all."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from episodes.datasets import drafts
from episodes.datasets.names import readable
from episodes.errors import DAMAGED_ARRAYS as DAMAGED_ARRAYS
from fewshot.errors import NotWritten, UserError, one_line

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

T = TypeVar("T")
ANOTHER_FOLDER = "name another folder (--out for runs, FEWSHOT_CACHE for the cache)"


def write_bytes(
    path: Path, content: bytes | bytearray | Iterable[bytes], remedy: str = ANOTHER_FOLDER
) -> None:
    """Write a file as a draft beside its path, then rename it.

    Args:
        path: the file to write or to replace.
        content: all bytes at once, or chunks of them.
        remedy: what to do if it cannot be written, for the message.

    Raises:
        NotWritten: if the file cannot be written; an existing file is then unchanged.
    """
    try:
        with drafts.draft(path) as file:
            file.writelines([content] if isinstance(content, bytes | bytearray) else content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise NotWritten(
            f"{path} could not be written ({error.strerror}): free some space, or {remedy}."
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8 as `write_bytes` does.

    A lone surrogate, which stands for a byte of a file name that is not UTF-8, becomes a
    replacement character.
    """
    write_bytes(path, readable(text).encode())


def append_line(path: Path, content: Any) -> None:
    """Append a line of JSON to a file; a crash can leave an incomplete last line.

    Raises:
        UserError: if the file cannot be written.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(content) + "\n")
    except OSError as error:
        raise UserError(
            f"{path} could not be written ({error.strerror}): free some space."
        ) from error


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file as `write_bytes` does; NaN and infinities are a ValueError."""
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a compressed .npz file as `write_bytes` does."""
    buffer = io.BytesIO()
    import numpy as np

    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # numpy's stub has a keyword
    write_bytes(path, buffer.getvalue())


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """Write a file of tensors, numbers, strings and containers for `read_tensors`."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getvalue())


def read_tensors(path: Path) -> dict[str, Any]:
    """Read a file of `write_tensors` onto the CPU; no code in the file is run."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors onto the CPU, also from a path that is not UTF-8.

    Raises:
        OSError: it cannot be read.
        SafetensorError: it is damaged.
    """
    from safetensors.torch import load, load_file

    name = str(path)
    return load_file(path) if readable(name) == name else load(path.read_bytes())


def make_folder(path: Path, remedy: str = ANOTHER_FOLDER) -> None:
    """Create a folder and its parents if they do not exist.

    Args:
        path: the folder.
        remedy: what to do if it cannot be created, for the message.

    Raises:
        NotWritten: if a folder cannot be created.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotWritten(
            f"the folder {path} cannot be created ({error.strerror}): {remedy}."
        ) from None


@contextmanager
def locked(path: Path, remedy: str = ANOTHER_FOLDER) -> Iterator[None]:
    """Exclude other processes that lock the same file for the duration of the block; they wait.

    Args:
        path: the lock, a file that is made if it does not exist.
        remedy: what to do if it cannot be made, for the message.

    Raises:
        NotWritten: it cannot be made, or its file system has no locks.
    """
    from filelock import FileLock

    lock = FileLock(path)
    try:
        lock.acquire()
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise NotWritten(
            f"{path.parent} cannot be locked ({reason_of(error)}): free some space, or {remedy}."
        ) from error
    try:
        yield
    finally:
        lock.release()


def reason_of(error: Exception) -> str:
    """Return what the system says about an error, without the number and the path."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def read_as(path: Path, from_json: Callable[[Any], T]) -> T:
    """Read a JSON file that this package wrote, as an object of a class.

    Raises:
        UserError: if the file does not exist, is not JSON or is not what `from_json` expects.
    """
    return as_object(read_json(path), from_json, path)


def as_object(content: Any, from_json: Callable[[Any], T], path: Path) -> T:
    """Return the object that the content of a JSON file describes; raise as `read_as` does."""
    try:
        return from_json(content)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}: {one_line(error)}): move it elsewhere, "
            "and repeat the command that wrote it."
        ) from error


def read_json(path: Path) -> Any:
    """Read a JSON file that this package wrote.

    Raises:
        UserError: if the file does not exist or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())  # in UTF-8, also with the mark that editors add
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(
            f"{path} cannot be read as JSON ({error}): if it is a damaged file of fewshot, move it "
            "away and repeat the command that made it; if not, name the folder that holds the run."
        ) from None
