"""The files in which CIFAR-10 and CIFAR-100 are published: Python and binary, or their archives.

The Python version is read by a restricted unpickler, which runs no code. CIFAR-100 has the fine
labels.

Source:
    https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets.arrays import restricted_pickle, tar_files
from episodes.datasets.decoding.limits import content_of
from episodes.datasets.source import Content, Part, Source, beside, chunked, few
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

TRAINING_BATCHES = 5  # of CIFAR-10
ROW = 3072  # bytes of an image: red, green and blue, each 32x32
_ARCHIVE = re.compile(r"cifar-(10|100)-(python|binary|batches).*\.(tar|tar\.gz|tgz)$")

# What the names of all files begin with, so that a folder of other files is passed over fast.
_BEGINNINGS = ("train", "test", "meta", "data_batch_", "batches.meta", "fine_label_names")


class _Member(NamedTuple):
    """One file of a data set.

    Attributes:
        name: its name without a folder.
        label: its path, or its name in an archive, for messages.
        content: read its bytes.
    """

    name: str
    label: str
    content: Callable[[], bytes]


# Pixels, uint8 [n, 3072], and labels, int64 [n], of one file.
_Batch = tuple[np.ndarray, np.ndarray]


class _Layout(NamedTuple):
    """How one of the data sets is divided into files.

    Attributes:
        data: name of the data set.
        folder: folder in its archive.
        train, test, meta: patterns of the names of the files.
        classes: return the class names, from the file `meta`.
        batch: return the content of one of the other files.
    """

    data: str
    folder: str
    train: str
    test: str
    meta: str
    classes: Callable[[_Member], list[str]]
    batch: Callable[[_Member], _Batch]

    @property
    def remedy(self) -> str:
        """What a user can do about a broken file."""
        return f"extract the {self.data} archive again"

    def members(self, members: list[_Member]) -> dict[str, list[_Member]] | None:
        """Group files by their use; return None if one of the three kinds is missing."""
        uses = {"train": self.train, "test": self.test, "meta": self.meta}
        groups = {
            use: [member for member in members if re.fullmatch(pattern, member.name)]
            for use, pattern in uses.items()
        }
        return groups if all(groups.values()) else None


class _Damaged(Exception):
    """What is wrong with a file, after its path."""


def source(place: Path, name: str) -> Source | None:
    """Locate the files in a folder, in its folder of the archive's name, or in an archive.

    Returns:
        None if there are none.
    """
    if place.is_file():
        return _archive(place) if _ARCHIVE.match(place.name) else None
    located: dict[Path, tuple[_Layout, dict[str, list[_Member]]]] = {}
    own = _members(place)
    for layout in _LAYOUTS:
        folder = place / layout.folder
        for where, members in ((place, own), (folder, _members(folder))):
            if groups := layout.members(members):
                located.setdefault(where, (layout, groups))
    archives = (
        [] if located else [path for path in place.glob("cifar-*") if _ARCHIVE.match(path.name)]
    )
    choices = [*located, *sorted(archives)]
    if len(choices) > 1:
        raise UserError(
            f"{place} has several data sets: give one of {few(list(map(str, choices)))}."
        )
    for path in archives:
        return _archive(path)
    for folder, (layout, groups) in located.items():
        return _source(name, place, folder, layout, groups)
    return None


def _members(folder: Path) -> list[_Member]:
    """Return the files in a folder whose names begin as those of the data sets do."""
    named = (path for path in folder.glob("*") if path.name.startswith(_BEGINNINGS))
    paths = sorted(path for path in named if path.is_file())
    return [_Member(path.name, str(path), partial(content_of, path)) for path in paths]


def _source(
    name: str, place: Path, folder: Path, layout: _Layout, groups: dict[str, list[_Member]]
) -> Source:
    used = [member for members in groups.values() for member in members]
    files = tuple((member.name, stamp((folder / member.name).stat())) for member in used)
    notes = beside(place, folder)
    if layout.data == "CIFAR-10" and (n_batches := len(groups["train"])) < TRAINING_BATCHES:
        notes += [f"only {n_batches} of CIFAR-10's {TRAINING_BATCHES} training batches are there"]
    return Source(name, "rows", files, tuple(notes), lambda: _read(layout, groups))


def _archive(path: Path) -> Source:
    """Locate an archive by its name; it is decompressed only if it is not cached."""
    name = re.sub(r"\.(tar|tar\.gz|tgz)$", "", path.name)
    return Source(name, "rows", ((path.name, stamp(path.stat())),), (), lambda: _read_archive(path))


def _read_archive(path: Path) -> Content:
    members = [
        _Member(Path(own.path).name, f"{path}: {own.path}", BytesIO(own.content).getvalue)
        for own in tar_files.contents(path, _BEGINNINGS)
    ]
    for layout in _LAYOUTS:
        if groups := layout.members(members):
            return _read(layout, groups)
    raise UserError(f"{path} does not hold the files of CIFAR-10 or CIFAR-100: download it again.")


def _read(layout: _Layout, groups: dict[str, list[_Member]]) -> Content:
    meta = groups["meta"][0]
    try:
        classes = tuple(layout.classes(meta))
    except _Damaged as error:
        raise UserError(f"{meta.label} {error}: {layout.remedy}.") from error
    return Content(
        classes,
        _part(layout, groups["train"], len(classes)),
        _part(layout, groups["test"], len(classes)),
    )


def _part(layout: _Layout, members: list[_Member], n_classes: int) -> Part:
    pixels, labels, image_names = [], [], []
    for member in members:
        try:
            own_pixels, own_labels = layout.batch(member)
            if len(own_labels) and not 0 <= own_labels.min() <= own_labels.max() < n_classes:
                raise _Damaged(f"has labels outside 0..{n_classes - 1}")
        except _Damaged as error:
            raise UserError(f"{member.label} {error}: {layout.remedy}.") from error
        pixels.append(own_pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
        labels.append(own_labels)
        image_names += [f"{member.name} row {row}" for row in range(len(own_labels))]
    images = np.concatenate(pixels)
    return Part(np.concatenate(labels), image_names.__getitem__, lambda: chunked(images))


def _pickled_classes(key: bytes) -> Callable[[_Member], list[str]]:
    def classes(meta: _Member) -> list[str]:
        names = _unpickled(meta).get(key)
        if not isinstance(names, list) or not all(isinstance(name, bytes | str) for name in names):
            raise _Damaged(f"has no list {key.decode()} of names")
        return [name if isinstance(name, str) else name.decode(errors="replace") for name in names]

    return classes


def _pickled_batch(data: str, key: bytes) -> Callable[[_Member], _Batch]:
    def batch(member: _Member) -> _Batch:
        content = _unpickled(member)
        rows, labels = content.get(b"data"), content.get(key, [])
        expected = np.dtype(np.uint8), (len(labels), ROW) if isinstance(labels, list) else ()
        if not isinstance(rows, np.ndarray) or (rows.dtype, rows.shape) != expected:
            raise _Damaged(f"is not a {data} batch")
        if not all(isinstance(label, int) and abs(label) < 1 << 31 for label in labels):
            raise _Damaged("has labels that are no numbers of classes")
        return rows, np.array(labels, dtype=np.int64)

    return batch


def _unpickled(member: _Member) -> dict[bytes, Any]:
    try:
        return restricted_pickle.read(member.content())
    except (OSError, restricted_pickle.Unreadable) as error:
        raise _Damaged(str(error)) from error


def _listed_classes(meta: _Member) -> list[str]:
    """Return the lines of the text file of class names of a binary version."""
    return meta.content().decode("utf-8", "replace").split()


def _binary_batch(n_labels: int) -> Callable[[_Member], _Batch]:
    """Return a reader of rows of labels, of which the last is the finest, and pixels."""

    def batch(member: _Member) -> _Batch:
        content = np.frombuffer(member.content(), np.uint8)
        if not len(content) or len(content) % (n_labels + ROW):
            raise _Damaged(f"has {len(content):,} bytes, not rows of {n_labels + ROW:,}")
        rows = content.reshape(-1, n_labels + ROW)
        return rows[:, n_labels:], rows[:, n_labels - 1].astype(np.int64)

    return batch


_LAYOUTS = (
    _Layout(
        "CIFAR-10",
        "cifar-10-batches-py",
        r"data_batch_\d+",
        "test_batch",
        r"batches\.meta",
        _pickled_classes(b"label_names"),
        _pickled_batch("CIFAR-10", b"labels"),
    ),
    _Layout(
        "CIFAR-100",
        "cifar-100-python",
        "train",
        "test",
        "meta",
        _pickled_classes(b"fine_label_names"),
        _pickled_batch("CIFAR-100", b"fine_labels"),
    ),
    _Layout(
        "CIFAR-10",
        "cifar-10-batches-bin",
        r"data_batch_\d+\.bin",
        r"test_batch\.bin",
        r"batches\.meta\.txt",
        _listed_classes,
        _binary_batch(1),
    ),
    _Layout(
        "CIFAR-100",
        "cifar-100-binary",
        r"train\.bin",
        r"test\.bin",
        r"fine_label_names\.txt",
        _listed_classes,
        _binary_batch(2),
    ),
)
