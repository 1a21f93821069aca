"""Class folders: one folder of images per class, optionally below train/ and test/."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from episodes.datasets.source import (
    Content,
    Part,
    Payload,
    Source,
    chunked,
    few,
)
from episodes.errors import UserError

TEST_NAMES = ("test", "val", "validation", "valid")


class _File(NamedTuple):
    """An image file.

    Attributes:
        path: path relative to the folder of the data set.
        stat: its size and times.
        class_name: name of its class folder.
    """

    path: str
    stat: os.stat_result
    class_name: str


def source(folder: Path, name: str) -> Source | None:
    """Locate class folders in a folder, or in its train/ and test/ (or val/, validation/, valid/).

    Hidden files and files beside the class folders are ignored. A class folder may contain folders;
    an empty one is not a class.

    Returns:
        None if there are no class folders with files.

    Raises:
        UserError: there is a test folder but no train/.
    """
    subfolders = {path.name for path in _folders(folder)}
    parts = [
        part for part in ("train", *TEST_NAMES) if part in subfolders and _folders(folder / part)
    ]
    if parts and "train" not in parts:
        raise UserError(f"{folder} has {parts[0]}/ but no train/ with class folders: add train/.")
    train, empty_folders = _files(folder, folder / "train" if parts else folder)
    test: list[_File] | None = None
    notes = []
    if len(parts) > 1:
        test, more_empty_folders = _files(folder, folder / parts[1])
        empty_folders += more_empty_folders
        notes += [f"{part}/ is not used: {parts[1]}/ is the test set" for part in parts[2:]]
    if not train and not test:
        return None
    if empty_folders:
        notes.append(f"{few(empty_folders)}: no files, so not a class")
    files = tuple((file.path, file.stat) for file in (*train, *(test or [])))
    has_test = test is not None
    read = lambda: _read(folder, train, test)  # noqa: E731
    return Source(name, "files", files, tuple(notes), read, has_test=has_test)


def _folders(folder: Path) -> list[Path]:
    """Return the visible folders in a folder, sorted."""
    with os.scandir(folder) as entries:
        names = [
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
        ]
    return [folder / name for name in sorted(names)]


def _files(root: Path, folder: Path) -> tuple[list[_File], list[str]]:
    """Return all files of the class folders in a folder, sorted, and the empty class folders."""
    files: list[_File] = []
    empty_folders = []
    for class_folder in _folders(folder):
        own_files = _files_of_class(class_folder, root)
        if not own_files:
            empty_folders.append(f"{class_folder.relative_to(root).as_posix()}/")
        files += own_files
    return files, empty_folders


def _files_of_class(class_folder: Path, root: Path) -> list[_File]:
    """Return the visible files of a class folder and of its visible subfolders, sorted by path."""
    files = []
    for place, subfolders, names in os.walk(class_folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        prefix = os.path.relpath(place, root)
        for name in names:
            path = os.path.join(place, name)
            if not name.startswith(".") and os.path.isfile(path):
                files.append(_File(f"{prefix}/{name}", os.stat(path), class_folder.name))
    return sorted(files, key=lambda file: file.path)


def _read(folder: Path, train: list[_File], test: list[_File] | None) -> Content:
    classes = tuple(sorted({file.class_name for file in (*train, *(test or []))}))
    label_of = {name: label for label, name in enumerate(classes)}
    test_part = None if test is None else _part(folder, test, label_of)
    return Content(classes, _part(folder, train, label_of), test_part)


def _part(folder: Path, files: list[_File], label_of: dict[str, int]) -> Part:
    labels = np.array([label_of[file.class_name] for file in files], dtype=np.int64)
    paths: list[Payload] = [folder / file.path for file in files]

    def subfolder_of(i: int) -> str:
        *folders, _ = files[i].path.split("/")
        return "/".join(folders[len(folders) - folders[::-1].index(files[i].class_name) :])

    return Part(labels, lambda i: files[i].path, lambda: chunked(paths), subfolder_of=subfolder_of)
