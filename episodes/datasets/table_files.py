"""Files of tables in a folder, and the part of the data set that each belongs to."""

from __future__ import annotations

import os
from pathlib import Path

from episodes.datasets.part_names import PartName, part_in, part_of

TEST_NAMES: tuple[PartName, ...] = ("test", "validation")  # the first that exists is the test part


def files_near(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the visible files with a suffix in a folder and one level below it, sorted."""
    paths = []
    for place in (folder, *_subfolders(folder)):
        with os.scandir(place) as entries:
            paths += [
                place / entry.name
                for entry in entries
                if entry.name.lower().endswith(suffixes)
                and not entry.name.startswith(".")
                and entry.is_file()
            ]
    return sorted(paths)


def paths_by_part(paths: list[Path], folder: Path) -> dict[PartName | None, list[Path]]:
    """Group files by part; files without a part are the training set if there are no others."""
    parts: dict[PartName | None, list[Path]] = {}
    for path in paths:
        parts.setdefault(part_of_file(path, folder), []).append(path)
    return {"train": parts[None]} if list(parts) == [None] else parts


def part_of_file(path: Path, folder: Path) -> PartName | None:
    """Return the part that the name of a file, or of its folder below `folder`, stands for."""
    part = part_in(path.stem)
    if part is None and path.parent != folder:
        part = part_of(path.parent.name)
    return part


def _subfolders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        names = [
            entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()
        ]
    return [folder / name for name in names]
