"""Hugging Face style Parquet files: a column of images (bytes, or a struct with `bytes`), one of labels."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from episodes.datasets.source import CHUNK, SPLIT_NOTE, Content, Part, Payload, Source, held_out
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_PART = re.compile(r"(train|test|validation|valid|val)(?![a-z0-9])", re.IGNORECASE)
TEST_NAMES = ("test", "validation", "valid", "val")
IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "fine_label")


class _Columns(NamedTuple):
    image: str
    label: str
    class_names: tuple[str, ...] | None


def source(folder: Path, name: str) -> Source | None:
    """Parquet files in a folder or one level below it, or one file; None where there are none.

    The part is the start of the file's name (train-*, test-*, validation-*, val-*) or its folder's name.
    Without a test part, a fixed stratified fifth becomes one.
    """
    paths = (
        [folder]
        if folder.is_file()
        else [*folder.glob("*.parquet"), *folder.glob("[!.]*/*.parquet")]
    )
    if not paths:
        return None
    parts: dict[str, list[Path]] = {}
    for path in sorted(paths):
        parts.setdefault(_part_name(path, folder), []).append(path)
    if len(parts) == 1 and (whole := parts.pop("", None)):
        parts["train"] = whole
    if "train" not in parts:
        raise UserError(
            f"{folder} holds no Parquet file whose name begins with train: rename one, train-0.parquet."
        )
    train, notes = parts.pop("train"), []
    test_name = next((part for part in TEST_NAMES if part in parts), None)
    test = parts.pop(test_name) if test_name else None
    if test is None:
        notes.append(SPLIT_NOTE.format(name=name))
    for unused in parts.values():
        notes += [f"{path.relative_to(folder).as_posix()} is not used" for path in unused]
    for own in (train, test or []):
        if len({path.parent for path in own}) > 1:
            places = ", ".join(sorted({f"{path.parent}" for path in own}))
            raise UserError(f"{folder} holds several data sets: give one of {places} as data.")
    files = tuple(
        (path.relative_to(folder.parent).as_posix(), path.stat())
        for path in (*train, *(test or []))
    )
    return Source(name, "rows", files, tuple(notes), lambda: _read(train, test))


def _part_name(path: Path, folder: Path) -> str:
    match = _PART.match(path.name) or (
        _PART.match(path.parent.name) if path.parent != folder else None
    )
    return match[1].lower() if match and path != folder else ""


def _read(train: list[Path], test: list[Path] | None) -> Content:
    columns = {path: _columns(path) for path in (*train, *(test or []))}
    names = columns[train[0]].class_names
    for path, own in columns.items():
        if own.class_names != names:
            raise UserError(f"{path} names other classes than {train[0]}.")
    labels = {path: _labels(path, own.label) for path, own in columns.items()}
    largest = max((int(own.max()) for own in labels.values() if len(own)), default=-1)
    classes = names or tuple(str(i) for i in range(largest + 1))
    for path, own_labels in labels.items():
        if len(own_labels) and not 0 <= own_labels.min() <= own_labels.max() < len(classes):
            raise UserError(
                f"{path} has labels outside 0..{len(classes) - 1}, or images without one."
            )
    pooled = np.concatenate([labels[path] for path in train])
    if test is None:
        aside = held_out(pooled)
        return Content(
            classes, _part(train, columns, labels, ~aside), _part(train, columns, labels, aside)
        )
    everything = np.ones(sum(len(labels[path]) for path in test), dtype=bool)
    whole_train = np.ones(len(pooled), dtype=bool)
    return Content(
        classes,
        _part(train, columns, labels, whole_train),
        _part(test, columns, labels, everything),
    )


def _part(
    paths: list[Path],
    columns: dict[Path, _Columns],
    labels: dict[Path, np.ndarray],
    chosen: np.ndarray,
) -> Part:
    rows = np.flatnonzero(chosen)
    ends = np.cumsum([len(labels[path]) for path in paths])

    def name_of(i: int) -> str:
        row = int(rows[i])
        file = int(np.searchsorted(ends, row, side="right"))
        return f"{paths[file].name} row {row - (int(ends[file - 1]) if file else 0)}"

    def chunks() -> Iterator[list[Payload]]:
        start = 0
        for path in paths:
            for batch in _images(path, columns[path].image):
                mask = chosen[start : start + len(batch)]
                start += len(batch)
                yield [data or b"" for data, wanted in zip(batch, mask, strict=True) if wanted]

    return Part(np.concatenate([labels[path] for path in paths])[chosen], name_of, chunks)


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
            f"{path} cannot be read as Parquet ({reason}): is it whole? Copy it again."
        ) from error


def _images(path: Path, column: str) -> Iterator[list[bytes | None]]:
    import pyarrow as pa
    import pyarrow.compute as pc

    with _opened(path) as file:
        is_struct = pa.types.is_struct(file.schema_arrow.field(column).type)
        # A few hundred images at a time, whatever the size of the row groups.
        for batch in file.iter_batches(CHUNK, columns=[f"{column}.bytes" if is_struct else column]):
            images = batch.column(0)
            yield (pc.struct_field(images, "bytes") if is_struct else images).to_pylist()


def _labels(path: Path, column: str) -> np.ndarray:
    with _opened(path) as file:
        labels = file.read(columns=[column]).column(0)
    # A missing label becomes -1, which Hugging Face writes for an unlabelled image as well.
    return labels.cast("int64").fill_null(-1).to_numpy()


def _columns(path: Path) -> _Columns:
    import pyarrow as pa

    with _opened(path) as file:
        schema = file.schema_arrow
    features = _features(schema)
    holds_bytes = {
        field.name
        for field in schema
        if pa.types.is_binary(field.type)
        or pa.types.is_large_binary(field.type)
        or (pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0)
    }
    integers = {field.name for field in schema if pa.types.is_integer(field.type)}
    image = _chosen(path, "image", features, "Image", holds_bytes, IMAGE_NAMES)
    label = _chosen(path, "integer label", features, "ClassLabel", integers, LABEL_NAMES)
    names = features.get(label, {}).get("names")
    return _Columns(image, label, tuple(str(name) for name in names) if names else None)


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """The description that Hugging Face's `datasets` keeps in a file, by column; empty if there is none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, ValueError, TypeError):
        return {}
    return {name: own for name, own in features.items() if isinstance(own, dict)}


def _chosen(
    path: Path,
    what: str,
    features: dict[str, dict[str, Any]],
    feature_type: str,
    fitting: set[str],
    usual: tuple[str, ...],
) -> str:
    """The one column that is declared or shaped as wanted, a usual name where there are several."""
    declared = {name for name in fitting if features.get(name, {}).get("_type") == feature_type}
    candidates = declared or fitting
    if len(candidates) == 1:
        return next(iter(candidates))
    if found := [name for name in usual if name in candidates]:
        return found[0]
    which = (
        f"several {what} columns ({', '.join(sorted(candidates))})"
        if candidates
        else f"no {what} column"
    )
    raise UserError(f"{path} has {which}: name one {usual[0]!r}.")
