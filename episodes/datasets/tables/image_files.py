"""Image files that a table names: by path, or by file name with or without its suffix."""

from __future__ import annotations

import os
import stat
import unicodedata
from pathlib import Path
from typing import NamedTuple

from episodes.datasets.folders.folder_tree import is_image
from episodes.datasets.names import native
from episodes.datasets.part_names import PartName, part_in
from episodes.datasets.stamps import Stamp, stamp
from episodes.errors import UserError


class ImageFile(NamedTuple):
    """A file that a row of a table names.

    Attributes:
        path: its path.
        name: its path relative to the folder of the data set, with `/`.
        stamp: its state; None if it does not exist.
    """

    path: Path
    name: str
    stamp: Stamp | None


class ImageFiles:
    """The image files below a folder, listed when a path is not where its table says.

    Args:
        folder: folder of the data set.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._root = os.path.abspath(folder)
        self._by_name: dict[str, list[str]] | None = None
        self._by_stem: dict[str, list[str]] = {}
        self._by_number: dict[int, list[str]] = {}
        self._folders: set[str] = set()  # keys of the names of those that hold images

    def find(self, value: str, table: Path, part: PartName | None) -> ImageFile:
        """Return the file that a value of a table names.

        A path is relative to the table, to its folder's parent or to the folder of the data set. Of
        a path that exists nowhere, as on another machine, as many names at its end as possible have
        to agree with a file of the folder; a file is missing if its folder is here without it. The
        suffix of a file may be missing in the table.

        Args:
            value: path, file name or file name without its suffix.
            table: path of the table.
            part: part of the data set that the table belongs to; it decides between files of one
                name in folders such as train/ and test/.

        Raises:
            UserError: several files fit equally well.
        """
        text = native(value.strip().replace("\\", "/"))
        table_folder = os.path.dirname(table)
        for base in dict.fromkeys((table_folder, self._root, os.path.dirname(table_folder))):
            path = os.path.join(base, text)
            if (mark := _stamp(path)) is not None:
                return self._file(os.path.normpath(path), mark)
        candidates = self._candidates(text, part)
        if len(candidates) > 1:
            places = ", ".join(sorted(f"{name.rpartition('/')[0]}/" for name in candidates)[:5])
            raise UserError(
                f"{table} names {value}, which is in several folders ({places}): write the folder "
                "in front of the name."
            )
        if candidates:
            path = os.path.join(self._root, candidates[0])
            return ImageFile(Path(path), candidates[0], _stamp(path))
        return self._file(os.path.normpath(os.path.join(table_folder, text)), None)

    def unlisted(self, used: set[str], everywhere: bool) -> tuple[list[str], int]:
        """Return the image files that no row names, and how many image files there are.

        Args:
            used: names of the files that rows name.
            everywhere: whether to list the whole folder, or only the folders of these files.
        """
        if everywhere or self._by_name is not None:
            names = [name for names in self._listed().values() for name in names]
        else:
            places = {name.rpartition("/")[0] for name in used}
            names = [
                name if not place else f"{place}/{name}"
                for place in sorted(places)
                for name in _image_names(self.folder / place, is_deep=False)
            ]
        return [name for name in names if name not in used], len(names)

    def _candidates(self, text: str, part: PartName | None) -> list[str]:
        """Return the files that fit a path best."""
        by_name = self._listed()
        key = _key(text.rsplit("/", 1)[-1])
        candidates = by_name.get(key) or self._by_stem.get(key, [])
        if not candidates and key.isascii() and key.isdigit():
            candidates = self._by_number.get(int(key), [])  # a table lost the zeros of 0001.png
        parent = _key(text.rpartition("/")[0].rpartition("/")[2])
        if parent in self._folders:
            candidates = [name for name in candidates if parent in _folder_keys(name)]
        if len(candidates) > 1:
            agreement = [_agreement(text, name) for name in candidates]
            best = max(agreement)
            pairs = zip(candidates, agreement, strict=True)
            candidates = [name for name, count in pairs if count == best]
        if len(candidates) > 1:
            of_part = [name for name in candidates if _part_of_path(name) == part]
            candidates = of_part or candidates
        return candidates

    def _listed(self) -> dict[str, list[str]]:
        if self._by_name is None:
            self._by_name = {}
            for name in _image_names(self.folder):
                file_name = name.rsplit("/", 1)[-1]
                self._by_name.setdefault(_key(file_name), []).append(name)
                self._folders.update(_folder_keys(name))
                stem = _key(file_name.rpartition(".")[0])
                self._by_stem.setdefault(stem, []).append(name)
                if stem.isascii() and stem.isdigit():
                    self._by_number.setdefault(int(stem), []).append(name)
        return self._by_name

    def _file(self, path: str, mark: Stamp | None) -> ImageFile:
        """Return a file with its name relative to the folder."""
        prefix = self._root + os.sep
        inside = path.startswith(prefix)
        name = path[len(prefix) :] if inside else os.path.relpath(path, self._root)
        return ImageFile(Path(path), name.replace(os.sep, "/"), mark)


def _stamp(path: str) -> Stamp | None:
    """Return the stamp of a file; None if there is no such file."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return stamp(status) if stat.S_ISREG(status.st_mode) else None


def _image_names(folder: Path, is_deep: bool = True) -> list[str]:
    """Return the visible image files in a folder and, if `is_deep`, below it; relative to it."""
    names = []
    visited: set[tuple[int, int]] = set()
    for place, subfolders, file_names in os.walk(folder, followlinks=True):
        place_stat = os.stat(place)
        if (place_stat.st_dev, place_stat.st_ino) in visited:  # links can form a circle
            subfolders.clear()
            continue
        visited.add((place_stat.st_dev, place_stat.st_ino))
        subfolders[:] = sorted(
            name
            for name in subfolders
            if is_deep and not name.startswith((".", "@", "#", "__MACOSX"))
        )
        prefix = Path(os.path.relpath(place, folder)).as_posix()
        for name in sorted(file_names):
            if not name.startswith(".") and is_image(name):
                names.append(name if prefix == "." else f"{prefix}/{name}")
    return names


def _agreement(text: str, name: str) -> int:
    """Return how many names at the end of two paths agree, apart from the suffix of the file."""
    count = 0
    pairs = zip(reversed(text.split("/")[:-1]), reversed(name.split("/")[:-1]), strict=False)
    for left, right in pairs:
        if _key(left) != _key(right):
            break
        count += 1
    return count


def _folder_keys(name: str) -> list[str]:
    """Return the keys of the folders of a path."""
    return [_key(folder) for folder in name.split("/")[:-1]]


def _part_of_path(name: str) -> PartName | None:
    """Return the part that the innermost folder of a path with a part stands for."""
    for folder in reversed(name.split("/")[:-1]):
        if part := part_in(folder):
            return part
    return None


def _key(name: str) -> str:
    """Return a name without regard to case and to how its accents are encoded."""
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", name).casefold()
