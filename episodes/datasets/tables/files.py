"""Files of tables in a folder, and the part of the data set that each belongs to."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import unquote

from episodes.datasets.folders.folder_tree import IMAGE_SUFFIXES
from episodes.datasets.part_names import PartName, part_in, part_of
from episodes.datasets.source import few
from episodes.datasets.tables.shards import notes_on_shards
from episodes.errors import UserError

DEEPEST = 4  # levels below a folder, as in a download of the Hub: snapshots/HASH/data/train
IMAGE_SUFFIX = re.compile(
    rf"({'|'.join(map(re.escape, sorted(IMAGE_SUFFIXES)))})\s*$", re.IGNORECASE
)
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


def files_below(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    """Return the visible files with a suffix at most DEEPEST levels below a folder, sorted.

    Returns:
        Nothing if there are image files, which then are the data set.
    """
    paths = []
    for place, subfolders, names in os.walk(folder):
        depth = len(Path(place).relative_to(folder).parts)
        subfolders[:] = [
            name for name in subfolders if depth < DEEPEST and not name.startswith(".")
        ]
        if any(map(IMAGE_SUFFIX.search, names)):
            return []
        paths += [
            Path(place, name)
            for name in names
            if name.lower().endswith(suffixes) and not name.startswith(".")
        ]
    return sorted(paths)


def partition_of(path: Path, folder: Path) -> dict[str, str]:
    """Return the columns that folders such as `label=cat` between a folder and a file stand for."""
    pairs = [name.partition("=") for name in path.parent.relative_to(folder).parts]
    return {unquote(key): unquote(value) for key, sign, value in pairs if key and sign}


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
        places = {path.parent for path in part if not partition_of(path, folder)}
        if len(places) > 1:
            choices = ", ".join(sorted(map(str, places)))
            raise UserError(f"{folder} has several data sets: give one of {choices} as data.")
        for place in sorted({path.parent for path in part}):
            notes += notes_on_shards([path for path in part if path.parent == place])
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
