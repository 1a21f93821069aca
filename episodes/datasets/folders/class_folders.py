"""Class folders: one folder of images per class, in parts such as train/ and test/ or in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from episodes.datasets.folders.class_files import ClassFiles
from episodes.datasets.folders.class_layout import Layout, layout
from episodes.datasets.folders.folder_tree import File, scan
from episodes.datasets.source import CHUNK, Content, Part, Payload, Source

# Files in order -> a pass over their payloads, in lists.
Reader = Callable[[list[File]], Iterator[list[Payload]]]


def source(folder: Path, name: str) -> Source | None:
    """Locate class folders in a folder, or in its parts: train/ and test/, in any spelling.

    A class folder may contain folders, and links are followed. The notes say what is not used.

    Returns:
        None if there are no class folders with files.

    Raises:
        UserError: the folders are not laid out as classes (see `class_layout.layout`).
        OSError: a folder cannot be read.
    """
    tree, left_out = scan(folder)
    own = layout(tree, str(folder))
    if own is None:
        return None

    def read(files: list[File]) -> Iterator[list[Payload]]:
        for start in range(0, len(files), CHUNK):
            yield [folder / file.path for file in files[start : start + CHUNK]]

    files = [*_in_order(own.train), *_in_order(own.test or {})]
    return Source(
        name,
        "files",
        tuple((file.path, file.stamp) for file in files),
        (*left_out.notes(), *own.notes),
        lambda: content(own, read),
        has_test=own.test is not None,
    )


def content(own: Layout, read: Reader) -> Content:
    """Return the parts of class folders, and their classes in alphabetical order.

    Args:
        own: the files of each class.
        read: gives the payloads of files.
    """
    parts = (own.train, own.test or {})
    classes = tuple(sorted({name for part in parts for name in part if part[name].files}))
    label_of = {name: label for label, name in enumerate(classes)}
    train, test = (_part(part, label_of, read) for part in parts)
    return Content(classes, train, None if own.test is None else test)


def _in_order(part: dict[str, ClassFiles]) -> list[File]:
    """Return all files of a part, class by class."""
    return [file for _, own in sorted(part.items()) for file in own.files]


def _part(part: dict[str, ClassFiles], label_of: dict[str, int], read: Reader) -> Part:
    files = _in_order(part)
    labels = [label_of[name] for name, own in sorted(part.items()) for _ in own.files]
    subfolders = [own.subfolder_of(file) for _, own in sorted(part.items()) for file in own.files]
    return Part(
        np.array(labels, dtype=np.int64),
        lambda i: files[i].path,
        lambda: read(files),
        subfolder_of=subfolders.__getitem__,
    )
