"""A folder of images without classes: all image files in it and below, as one class."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from episodes.datasets.decoding.image_formats import begins_as_image, is_image_file
from episodes.datasets.folders.folder_tree import File, scan
from episodes.datasets.source import CHUNK, Content, Part, Payload, Source

CLASS = ""  # the name of the only class


def source(folder: Path, name: str) -> Source | None:
    """Locate the images of a folder that has no class folders; None if there is no image."""
    tree, left_out = scan(folder)
    files = [file for file in tree.all_files() if _is_image(folder, file)]
    if not files:
        return None

    def read() -> Iterator[list[Payload]]:
        for start in range(0, len(files), CHUNK):
            yield [folder / file.path for file in files[start : start + CHUNK]]

    part = Part(np.zeros(len(files), dtype=np.int64), lambda i: files[i].path, read)
    return Source(
        name,
        "files",
        tuple((file.path, file.stamp) for file in files),
        tuple(left_out.notes()),
        lambda: Content((CLASS,), part, None),
        has_test=False,
    )


def _is_image(folder: Path, file: File) -> bool:
    path = folder / file.path
    return is_image_file(path) if path.suffix else begins_as_image(path)
