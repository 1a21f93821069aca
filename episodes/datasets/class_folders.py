"""Class folders: one folder a class, with or without train/ and test/ above them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from episodes.datasets.source import (
    SPLIT_NOTE,
    Content,
    Part,
    Payload,
    Source,
    chunked,
    few,
    held_out,
)
from episodes.errors import UserError

TEST_NAMES = ("test", "val", "validation", "valid")


class _File(NamedTuple):
    path: str  # relative to the data set's folder
    stat: os.stat_result
    class_name: str


def source(folder: Path, name: str) -> Source | None:
    """Class folders in a folder, or in its train/ and test/ (or val/, validation/); None if there are none.

    Without a test part, a fixed stratified fifth becomes one. Hidden files are ignored, and so are files
    that lie beside the class folders. A class folder may hold folders; an empty one is no class.
    """
    inner = {path.name for path in _folders(folder)}
    parts = [part for part in ("train", *TEST_NAMES) if part in inner and _folders(folder / part)]
    if parts and "train" not in parts:
        raise UserError(f"{folder} holds {parts[0]}/ but no train/ with class folders: add train/.")
    notes = []
    if parts:
        train, empty = _listing(folder, folder / "train")
    else:
        train, empty = _listing(folder, folder)
    test: list[_File] = []
    if len(parts) > 1:
        test, empty_test = _listing(folder, folder / parts[1])
        empty += empty_test
        notes += [f"{part}/ is not used: {parts[1]}/ is the test part" for part in parts[2:]]
    elif train:
        notes.append(SPLIT_NOTE.format(name=name))
    if not train and not test:
        return None
    if empty:
        notes.append(f"{few(empty)}: no files, so no class")
    files = tuple((file.path, file.stat) for file in (*train, *test))
    return Source(
        name,
        "files",
        files,
        tuple(notes),
        lambda: _read(folder, train, test if len(parts) > 1 else None),
    )


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
        ]
    return [folder / name for name in sorted(names)]


def _listing(root: Path, folder: Path) -> tuple[list[_File], list[str]]:
    """All files of a folder's class folders, sorted, and the class folders that hold none."""
    files: list[_File] = []
    empty = []
    for class_folder in _folders(folder):
        own = sorted(_walk(class_folder, class_folder.name, root), key=lambda file: file.path)
        if not own:
            empty.append(f"{class_folder.relative_to(root).as_posix()}/")
        files += own
    return files, empty


def _walk(folder: Path, class_name: str, root: Path) -> list[_File]:
    found = []
    for place, inner, names in os.walk(folder):
        inner[:] = [name for name in inner if not name.startswith(".")]
        prefix = os.path.relpath(place, root)
        for name in names:
            path = os.path.join(place, name)
            if not name.startswith(".") and os.path.isfile(path):
                found.append(_File(f"{prefix}/{name}", os.stat(path), class_name))
    return found


def _read(folder: Path, train: list[_File], test: list[_File] | None) -> Content:
    classes = tuple(sorted({file.class_name for file in (*train, *(test or []))}))
    number = {name: i for i, name in enumerate(classes)}
    if test is None:
        aside = held_out(np.array([number[file.class_name] for file in train], dtype=np.int64))
        test = [file for file, chosen in zip(train, aside, strict=True) if chosen]
        train = [file for file, chosen in zip(train, aside, strict=True) if not chosen]
    return Content(classes, _part(folder, train, number), _part(folder, test, number))


def _part(folder: Path, files: list[_File], number: dict[str, int]) -> Part:
    labels = np.array([number[file.class_name] for file in files], dtype=np.int64)
    paths: list[Payload] = [folder / file.path for file in files]
    return Part(labels, lambda i: files[i].path, lambda: chunked(paths))
