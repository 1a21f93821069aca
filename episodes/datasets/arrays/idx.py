"""The idx files of MNIST, and of FashionMNIST, KMNIST, EMNIST and QMNIST; also compressed.

Source:
    Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist; G. Cohen et al., EMNIST, 2017.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from episodes.datasets.arrays.labels import numbered, plain
from episodes.datasets.arrays.pixels import Range, Unfit, channels_last, rgb_chunks, value_range
from episodes.datasets.known_sets import Known, known_set
from episodes.datasets.source import Content, Part, Source, beside
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

# A prefix (of EMNIST and QMNIST), the part, and what the file holds.
_NAME = re.compile(
    r"(?P<prefix>[\w-]*?)(?P<part>train|t10k|test)[-_.](?P<what>images|labels)"
    r"[-_.]idx\d[-_.](ubyte|int)(?P<gzip>\.gz)?$",
    re.IGNORECASE,
)
_FOLDER = re.compile(r"raw|gzip|[a-z]*mnist", re.IGNORECASE)  # torchvision's, and EMNIST's
LARGEST = 1 << 32  # bytes of an array
_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


class _Set(NamedTuple):
    """The files of one data set.

    Attributes:
        folder: folder that holds them.
        prefix: what their names begin with, such as `emnist-letters-`; often empty.
        files: (part: "train" or "test", what: "images" or "labels") -> path.
    """

    folder: Path
    prefix: str
    files: dict[tuple[str, str], Path]


def source(place: Path, name: str) -> Source | None:
    """Locate idx files in a folder, or in its folders `raw`, `MNIST` and the like; or one of them.

    Returns:
        None if there are none.

    Raises:
        UserError: a file is missing, or there are several data sets.
    """
    root, chosen = place, None
    if place.is_file():
        chosen = _NAME.match(place.name)
        root = place.parent.parent if _NAME.match(place.parent.name) else place.parent
        if chosen is None:
            return None
    sets = [own for own in _sets(root) if chosen is None or own.prefix == chosen["prefix"]]
    if chosen and sets:
        name = sets[0].prefix.strip("-_") or root.name
    if not sets:
        return None
    if len(sets) > 1:
        choice = next(iter(sets[0].files.values()))
        raise UserError(
            f"{place} has {len(sets)} data sets in idx files: give a file of one of them as data, "
            f"for example {choice}."
        )
    return _source(sets[0], name, [] if place.is_file() else beside(place, sets[0].folder))


def _sets(root: Path) -> list[_Set]:
    """Return the data sets in a folder; of a file that is also there compressed, the other."""
    sets: dict[tuple[Path, str], _Set] = {}
    for path in sorted(_paths(root, depth=2), key=lambda path: path.suffix == ".gz"):
        match = _NAME.match(path.name)
        assert match is not None
        # Programs that extract archives may put each file into a folder of its own name.
        folder = path.parent.parent if _NAME.match(path.parent.name) else path.parent
        part = "train" if match["part"].lower() == "train" else "test"
        own = sets.setdefault((folder, match["prefix"]), _Set(folder, match["prefix"], {}))
        own.files.setdefault((part, match["what"].lower()), path)
    return list(sets.values())


def _paths(folder: Path, depth: int) -> Iterator[Path]:
    """Yield the idx files in a folder, and in its folders with the names that such files have."""
    for path in sorted(folder.iterdir()):
        is_named = bool(_NAME.match(path.name))
        if not is_named and not _FOLDER.fullmatch(path.name):
            continue
        if not path.is_dir():
            yield from [path] if is_named else []
        elif depth:
            yield from _paths(path, depth - 1)


def _source(own: _Set, name: str, notes: list[str]) -> Source:
    has_test = any(part == "test" for part, _ in own.files)
    for part in ("train", "test") if has_test else ("train",):
        for what in ("images", "labels"):
            if (part, what) not in own.files:
                raise UserError(
                    f"{own.folder} has no idx file of the {part} {what}: copy it from where the "
                    "other files are from."
                )
    files = own.files.values()
    marks = tuple((f"{path.parent.name}/{path.name}", stamp(path.stat())) for path in files)
    known = _known(own)
    mirror = known.mirror if known else False
    names = known.classes if known else None
    read = lambda: _read(own, names, has_test)  # noqa: E731
    return Source(name, "rows", marks, tuple(notes), read, mirror=mirror, has_test=has_test)


def _known(own: _Set) -> Known | None:
    """Recognise a data set by its first labels, or by the names of its files and of its folder."""
    names = [own.prefix]
    if not own.prefix.lower().startswith(("emnist", "qmnist")):
        names.append(own.folder.name)
        if _FOLDER.fullmatch(own.folder.name):
            names.append(own.folder.parent.name)
    labels = _array(own.files["train", "labels"], 10)
    return next(filter(None, (known_set(name, labels) for name in names)), None)


def _read(own: _Set, names: tuple[str, ...] | None, has_test: bool) -> Content:
    parts = ("train", "test") if has_test else ("train",)
    path = own.files["train", "labels"]
    try:
        labels = []
        for part in parts:
            path = own.files[part, "labels"]
            stored = _array(path)
            # QMNIST's labels have seven more columns, about the writers.
            labels.append(plain(stored[:, 0] if stored.ndim == 2 else stored))
        classes, numbers = numbered(labels, names or None)
        images = []
        for part, own_labels in zip(parts, labels, strict=True):
            path = own.files[part, "images"]
            images.append(channels_last(_array(path)))
            if len(images[-1]) != len(own_labels):
                raise Unfit(
                    f"has {len(images[-1]):,} images, but there are {len(own_labels):,} labels: "
                    "copy both files again"
                )
        values = value_range(images)
    except Unfit as error:
        raise UserError(f"{path} {error}.") from error
    if own.prefix.lower().startswith("emnist"):  # its images are stored column after column
        images = [own_images.swapaxes(1, 2) for own_images in images]
    content = [
        _part(own.files[part, "images"].name, own_images, own_numbers, values)
        for part, own_images, own_numbers in zip(parts, images, numbers, strict=True)
    ]
    classes = _mapped(own, classes)
    notes = (values.note,) if values.note else ()
    return Content(classes, content[0], content[1] if has_test else None, notes)


def _part(file_name: str, images: np.ndarray, labels: np.ndarray, values: Range) -> Part:
    return Part(labels, lambda i: f"{file_name} row {i}", lambda: rgb_chunks(images, values))


def _mapped(own: _Set, classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the characters that EMNIST's mapping file gives to labels, if it is there."""
    path = own.folder / f"{own.prefix}mapping.txt"
    if not own.prefix or not path.is_file():
        return classes
    rows = [
        line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    ]
    character_of = {row[0]: chr(int(row[1])) for row in rows if len(row) > 1 and row[1].isdigit()}
    return tuple(character_of.get(name, name) for name in classes)


def _array(path: Path, count: int | None = None) -> np.ndarray:
    """Read the array of a file, or its first values.

    Args:
        path: the file.
        count: number of values to read; None for all.

    Raises:
        UserError: the file is damaged.
    """
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as file:
            start = file.read(4)
            if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not start[3]:
                raise ValueError("it does not begin like an idx file")
            dtype = np.dtype(_TYPES[start[2]])
            shape = tuple(int(axis) for axis in np.frombuffer(file.read(4 * start[3]), ">u4"))
            n_values = math.prod(shape) if count is None else min(count, math.prod(shape))
            n_bytes = n_values * dtype.itemsize
            if n_bytes > LARGEST:
                raise ValueError(f"it would hold {n_bytes:,} bytes")
            content = file.read(n_bytes)
    except PermissionError:
        raise
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise UserError(f"{path} cannot be read ({error}): copy it again.") from error
    values = np.frombuffer(content, dtype, len(content) // dtype.itemsize)
    if len(values) < n_values:
        raise UserError(
            f"{path} has {len(values):,} of {n_values:,} values: it is incomplete, copy it again."
        )
    return values.reshape(shape) if count is None else values
