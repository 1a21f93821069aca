"""Parquet files in the style of Hugging Face: one column of images and one of integer labels.

The image column holds encoded bytes, or a struct with a field `bytes`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from episodes.datasets.source import CHUNK, Content, Part, Payload, Source
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PART = re.compile(r"(train|test|validation|valid|val)(?![a-z0-9])", re.IGNORECASE)
TEST_NAMES = ("test", "validation", "valid", "val")
IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "fine_label")

Features = dict[str, dict[str, Any]]  # column -> what Hugging Face's `datasets` says about it


class _Columns(NamedTuple):
    """Names of the image and label columns of a file, and the class names if it has them."""

    image: str
    label: str
    class_names: tuple[str, ...] | None


class _File(NamedTuple):
    """One file: its path, its columns and the labels of its rows, int64 [rows]."""

    path: Path
    columns: _Columns
    labels: np.ndarray


def source(folder: Path, name: str) -> Source | None:
    """Locate Parquet files in a folder, or one level below it; or one file.

    The name of a file (train-*, test-*, validation-*, val-*) or of its folder says which part it
    belongs to.

    Args:
        folder: folder, or path of one file.
        name: name of the data set.

    Returns:
        None if there are no Parquet files.

    Raises:
        UserError: no file belongs to the training set, or one part has files in several folders.
    """
    if folder.is_file():
        paths = [folder] if folder.suffix.lower() == ".parquet" else []
    else:
        paths = sorted([*folder.glob("*.parquet"), *folder.glob("[!.]*/*.parquet")])
    if not paths:
        return None
    parts = _paths_by_part(paths, folder)
    if "train" not in parts:
        raise UserError(
            f"{folder} has no Parquet file whose name begins with train: "
            "rename one, for example to train-0.parquet."
        )
    train = parts.pop("train")
    test_name = next((part for part in TEST_NAMES if part in parts), None)
    test = parts.pop(test_name) if test_name else None
    notes = []
    for unused in parts.values():
        notes += [f"{path.relative_to(folder).as_posix()} is not used" for path in unused]
    for part in (train, test or []):
        if len({path.parent for path in part}) > 1:
            choices = ", ".join(sorted({f"{path.parent}" for path in part}))
            raise UserError(f"{folder} has several data sets: give one of {choices} as data.")
    files = tuple(
        (path.relative_to(folder.parent).as_posix(), path.stat())
        for path in (*train, *(test or []))
    )
    has_test = test is not None
    return Source(name, "rows", files, tuple(notes), lambda: _read(train, test), has_test=has_test)


def _paths_by_part(paths: list[Path], folder: Path) -> dict[str, list[Path]]:
    """Group files by part; files without a part are the training set if there are no others."""
    parts: dict[str, list[Path]] = {}
    for path in paths:
        parts.setdefault(_part_name(path, folder), []).append(path)
    if list(parts) == [""]:
        return {"train": parts[""]}
    return parts


def _part_name(path: Path, folder: Path) -> str:
    """Return the part that the name of a file or of its folder begins with, or an empty string."""
    if path == folder:
        return ""
    match = _PART.match(path.name)
    if match is None and path.parent != folder:
        match = _PART.match(path.parent.name)
    return match[1].lower() if match else ""


def _read(train_paths: list[Path], test_paths: list[Path] | None) -> Content:
    train, test = _files(train_paths), _files(test_paths or [])
    class_names = train[0].columns.class_names
    for file in (*train, *test):
        if file.columns.class_names != class_names:
            raise UserError(
                f"{file.path} has other class names than {train[0].path}: "
                "write both files with the same classes."
            )
    if class_names is None:
        n_classes = max(int(file.labels.max(initial=-1)) for file in (*train, *test)) + 1
        class_names = tuple(str(label) for label in range(n_classes))
    for file in (*train, *test):
        labels = file.labels
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(class_names):
            raise UserError(
                f"{file.path} has labels outside 0..{len(class_names) - 1}, or images without a "
                "label: correct or remove these rows."
            )
    return Content(class_names, _part(train), _part(test) if test else None)


def _files(paths: list[Path]) -> list[_File]:
    files = []
    for path in paths:
        columns = _columns(path)
        files.append(_File(path, columns, _labels(path, columns.label)))
    return files


def _part(files: list[_File]) -> Part:
    """Return the rows of files."""
    ends = np.cumsum([len(file.labels) for file in files])

    def name_of(row: int) -> str:
        number = int(np.searchsorted(ends, row, side="right"))
        start = int(ends[number - 1]) if number else 0
        return f"{files[number].path.name} row {row - start}"

    def chunks() -> Iterator[list[Payload]]:
        for file in files:
            for batch in _images(file.path, file.columns.image):
                yield [data or b"" for data in batch]

    return Part(np.concatenate([file.labels for file in files]), name_of, chunks)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{path} cannot be read as Parquet ({reason}): it may be incomplete, copy it again."
        ) from error


def _images(path: Path, column: str) -> Iterator[list[bytes | None]]:
    """Yield the encoded images of a file, a few hundred at a time, whatever its row groups are."""
    import pyarrow as pa
    import pyarrow.compute as pc

    with _opened(path) as file:
        is_struct = pa.types.is_struct(file.schema_arrow.field(column).type)
        for batch in file.iter_batches(CHUNK, columns=[f"{column}.bytes" if is_struct else column]):
            images = batch.column(0)
            yield (pc.struct_field(images, "bytes") if is_struct else images).to_pylist()


def _labels(path: Path, column: str) -> np.ndarray:
    """Read the labels, int64 [rows]; a missing label becomes -1, as in Hugging Face's files."""
    with _opened(path) as file:
        labels = file.read(columns=[column]).column(0)
    values: np.ndarray = labels.cast("int64").fill_null(-1).to_numpy()
    return values


def _columns(path: Path) -> _Columns:
    import pyarrow as pa

    with _opened(path) as file:
        schema = file.schema_arrow
    features = _features(schema)
    image_columns = {field.name for field in schema if _can_hold_images(field.type)}
    integer_columns = {field.name for field in schema if pa.types.is_integer(field.type)}
    image = _single_column(path, "image", features, "Image", image_columns, IMAGE_NAMES)
    label = _single_column(
        path, "integer label", features, "ClassLabel", integer_columns, LABEL_NAMES
    )
    names = features.get(label, {}).get("names")
    return _Columns(image, label, tuple(str(name) for name in names) if names else None)


def _can_hold_images(type_: pa.DataType) -> bool:
    """Return whether a column of this type can hold encoded images."""
    import pyarrow as pa

    if pa.types.is_struct(type_):
        return bool(type_.get_field_index("bytes") >= 0)
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _features(schema: pa.Schema) -> Features:
    """Return what Hugging Face's `datasets` stored about each column; empty if nothing."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {column: value for column, value in features.items() if isinstance(value, dict)}


def _single_column(
    path: Path,
    what: str,
    features: Features,
    feature_type: str,
    candidates: set[str],
    usual_names: tuple[str, ...],
) -> str:
    """Choose one column: a declared one if there is any, and a usual name among several.

    Args:
        path: file, for the message.
        what: what the column holds, for the message.
        features: what the file declares about its columns.
        feature_type: declared type of the wanted column.
        candidates: columns whose type fits.
        usual_names: names to prefer, best first.

    Raises:
        UserError: no column fits, or several do and none has a usual name.
    """
    declared = {name for name in candidates if features.get(name, {}).get("_type") == feature_type}
    candidates = declared or candidates
    if len(candidates) == 1:
        return next(iter(candidates))
    for name in usual_names:
        if name in candidates:
            return name
    problem = f"several {what} columns ({', '.join(sorted(candidates))})"
    if not candidates:
        problem = f"no {what} column"
    raise UserError(f"{path} has {problem}: name one {usual_names[0]!r}.")
