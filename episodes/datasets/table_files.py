"""Files of tables in a folder, and the part of the data set that each belongs to."""

from __future__ import annotations

import os
from pathlib import Path

from episodes.datasets.part_names import PartName, part_in, part_of
from episodes.datasets.shards import notes_on_shards
from episodes.datasets.source import few
from episodes.errors import UserError

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


def train_and_tests(
    paths: list[Path], folder: Path, what: str
) -> tuple[list[Path], list[list[Path]], list[str]]:
    """Return the files of the training part, those of each test part, best first, and notes.

    Args:
        paths: files of tables.
        folder: folder of the data set.
        what: what the files are called, for messages.

    Raises:
        UserError: no file belongs to the training part, or one part has files in several folders.
    """
    parts = paths_by_part(paths, folder)
    if "train" not in parts:
        raise UserError(
            f"{folder} has no {what} file whose name begins with train: rename one, for example to "
            f"train-0{paths[0].suffix}."
        )
    train = parts.pop("train")
    tests = [parts[part] for part in TEST_NAMES if part in parts]
    notes = [not_used(parts[None], folder)] if None in parts else []
    for part in (train, *tests):
        if len({path.parent for path in part}) > 1:
            choices = ", ".join(sorted({f"{path.parent}" for path in part}))
            raise UserError(f"{folder} has several data sets: give one of {choices} as data.")
        notes += notes_on_shards(part)
    return train, tests, notes


def not_used(paths: list[Path], folder: Path) -> str:
    """Return a note about files that are not used."""
    names = few([path.relative_to(folder).as_posix() for path in paths])
    return f"{names} {'is' if len(paths) == 1 else 'are'} not used"


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
