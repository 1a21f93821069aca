"""The first part of a model file: what it holds, as JSON, and where its numbers are.

A model file is a safetensors file. Its first eight bytes are the length of a header in JSON, which
names every tensor and holds, under one key, all that is not a tensor. This module reads that part
alone, without torch. It expects that somebody made the file to do harm: every length is checked
before anything is allocated for it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pydantic import ValidationError

from fewshot.errors import UserError
from fewshot.model.model_about import MOST_CLASSES, About

FORMAT_VERSION = 1
KEY = "fewshot"  # of the metadata
LARGEST_FILE = 4 * 2**30  # bytes
LARGEST_HEADER = 32 * 2**20  # bytes
MOST_TENSORS = 8000
LONGEST_TEXT = 20_000  # characters, in the card
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}

# From a version to the next: the content of the key, as it was, to how it is now.
Migrations = Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]]
MIGRATIONS: Migrations = {}


class StoredTensor(NamedTuple):
    """Where a tensor is in the file: its type, its shape, and its bytes after the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class ModelHeader(NamedTuple):
    """The first part of a model file.

    Attributes:
        about: all that is not a tensor.
        tensors: the tensors by name.
        data_start: where their bytes start in the file.
        n_bytes: size of the file.
        fingerprint: hash of all its content.
    """

    about: About
    tensors: dict[str, StoredTensor]
    data_start: int
    n_bytes: int
    fingerprint: str


class Damaged(ValueError):
    """Report what is wrong with the content of a file."""


class Newer(ValueError):
    """Report that a newer version of the package wrote a file."""


def read(path: Path) -> ModelHeader:
    """Read and check the first part of a model file.

    Raises:
        UserError: there is no such file, it is not a model file, it is damaged, or it was made by
            a newer version.
    """
    try:
        n_bytes = path.stat().st_size
        if not path.is_file() and not path.is_dir():
            raise Damaged("it is a pipe or a device")  # opening it could wait for ever
        with path.open("rb") as file:
            if n_bytes > LARGEST_FILE:
                raise Damaged(f"it has more than {LARGEST_FILE >> 30} GB")
            length = int.from_bytes(file.read(8), "little")
            if n_bytes < 8 or length > min(LARGEST_HEADER, n_bytes - 8):
                raise Damaged("it is cut off, or another kind of file")
            header = parsed(file.read(length))
        return _checked(header, 8 + length, n_bytes)
    except OSError as error:
        raise UserError(
            f"the model file {path} cannot be read ({error.strerror}): name a file that "
            "`fewshot fit --out` wrote."
        ) from None
    except Newer as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except Damaged as error:
        raise damaged(path, error) from None


def damaged(path: Path, reason: object) -> UserError:
    """Return the error for a file that is damaged or not a model file."""
    text = " ".join(str(reason).split())[:200]
    return UserError(
        f"{path} is damaged, or not a model file ({text}): copy it again, or make it again with "
        "`fewshot fit`."
    )


def written(
    about: Mapping[str, Any], tensors: Mapping[str, StoredTensor], data: bytes | memoryview
) -> bytes:
    """Return the first part of a model file, to be followed by the bytes of the tensors.

    Args:
        about: the content of `About` without `data_sha256`.
        tensors: the tensors by name.
        data: their bytes.
    """
    complete = {**about, "data_sha256": hashlib.sha256(data).hexdigest()}
    table = {
        name: {"dtype": one.dtype, "shape": list(one.shape), "data_offsets": [one.start, one.end]}
        for name, one in tensors.items()
    }
    content = {"sha256": _hash(complete, table), "about": complete}
    key = json.dumps(content, allow_nan=False, ensure_ascii=False)
    header = json.dumps({"__metadata__": {KEY: key}, **table}, ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header


def check(header: bytes, n_data: int) -> None:
    """Raise Damaged unless `read` accepts a file.

    Args:
        header: the first part of the file, of `written`.
        n_data: bytes of its tensors.
    """
    length, n_bytes = len(header) - 8, len(header) + n_data
    if length > LARGEST_HEADER:
        raise Damaged(
            f"the names of its images and classes take {length / 2**20:.1f} MB of at most "
            f"{LARGEST_HEADER >> 20}"
        )
    if n_bytes > LARGEST_FILE:
        raise Damaged(f"it has {n_bytes / 2**30:.1f} GB of at most {LARGEST_FILE >> 30}")
    _checked(parsed(header[8:]), len(header), n_bytes)


def migrated(
    about: dict[str, Any], migrations: Migrations = MIGRATIONS, version: int = FORMAT_VERSION
) -> dict[str, Any]:
    """Return the content of the key as this version writes it.

    Args:
        about: the content as a version wrote it.
        migrations: the steps from each version to the next.
        version: the version that this package writes.

    Raises:
        Newer: a newer version wrote it.
        Damaged: no version wrote it.
    """
    of_file = about.get("format_version")
    if type(of_file) is not int or of_file < 1:
        raise Damaged("it has no format_version")
    if of_file > version:
        raise Newer(
            f"it has the format version {of_file}, and this version of fewshot reads up to "
            f"{version}: upgrade fewshot (pip install --upgrade fewshot)."
        )
    for step in range(of_file, version):
        about = {**migrations[step](about), "format_version": step + 1}
    return about


def parsed(content: bytes) -> dict[str, Any]:
    """Return an object in JSON without duplicate keys and without NaN."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(values := dict(pairs)) < len(pairs):
            raise Damaged("a key of its header appears twice")
        return values

    def refuse(text: str) -> NoReturn:
        raise Damaged(f"a number of its header is {text}")

    try:
        values = json.loads(content, object_pairs_hook=distinct, parse_constant=refuse)
    except Damaged:
        raise
    except (ValueError, RecursionError):
        raise Damaged("its header is not JSON") from None
    if not isinstance(values, dict):
        raise Damaged("its header is not an object")
    return values


def _hash(about: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    content = json.dumps([about, table], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(content.encode()).hexdigest()


def _checked(header: dict[str, Any], data_start: int, n_bytes: int) -> ModelHeader:
    metadata = header.pop("__metadata__", None)
    text = metadata.get(KEY) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise Damaged("its header does not name fewshot")
    content = parsed(text.encode(errors="surrogatepass"))
    about = content.get("about")
    if not isinstance(about, dict):
        raise Damaged("its header is incomplete")
    current = migrated(about)
    fingerprint = _hash(about, header)
    if content.get("sha256") != fingerprint:
        raise Damaged("its header has changed since it was written")
    tensors = _tensors(header, n_bytes - data_start)
    _check_lengths(current.get("card"))
    try:
        complete = About.model_validate(current)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise Damaged(f"{place}: {first['msg']}") from None
    return ModelHeader(complete, tensors, data_start, n_bytes, fingerprint)


def _check_lengths(values: Any) -> None:
    """Raise Damaged if a text or a list of nested values is longer than any card has."""
    waiting = [values]
    while waiting:
        value = waiting.pop()
        longest = LONGEST_TEXT if isinstance(value, str) else MOST_CLASSES
        if isinstance(value, str | dict | list) and len(value) > longest:
            raise Damaged("its card has a text or a list without end")
        if isinstance(value, dict | list):
            waiting += value.values() if isinstance(value, dict) else value


def _tensors(table: dict[str, Any], n_bytes: int) -> dict[str, StoredTensor]:
    """Return the tensors of the header; they fill the rest of the file without gaps."""
    if len(table) > MOST_TENSORS:
        raise Damaged(f"it has more than {MOST_TENSORS:,} tensors")
    tensors = {name: _tensor(name, entry) for name, entry in table.items()}
    end = 0
    for one in sorted(tensors.values(), key=lambda tensor: (tensor.start, tensor.end)):
        if one.start != end:
            raise Damaged("its tensors overlap, or leave a gap")
        end = one.end
    if end != n_bytes:
        raise Damaged(f"it has {n_bytes:,} bytes of tensors where its header has {end:,}")
    return tensors


def _tensor(name: str, entry: Any) -> StoredTensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, start, end]
    except (TypeError, KeyError, ValueError):
        raise Damaged("a tensor of its header is incomplete") from None
    if not isinstance(dtype, str) or dtype not in BYTES or len(entry) != 3 or len(shape) > 8:
        raise Damaged("a tensor of its header is of no type that a model file has")
    if not all(type(number) is int and 0 <= number <= LARGEST_FILE for number in numbers):
        raise Damaged("a size in its header is not a number of bytes that a file can have")
    if math.prod(shape) * BYTES[dtype] != end - start:
        raise Damaged(f"the size of '{name[:100]}' is not that of its shape")
    return StoredTensor(dtype, tuple(shape), start, end)
