"""Copies of images in a folder for each class; nothing is overwritten, nothing lies elsewhere."""

from __future__ import annotations

import filecmp
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from itertools import chain, count
from pathlib import Path

from episodes.datasets import drafts
from episodes.datasets.names import numbered, readable_line
from fewshot import io
from fewshot.errors import UserError

REFUSED = "none of these"
MOST_BYTES = 100  # of a folder's name; file systems take 255
# What some system does not take in a name, or takes for a path.
_NOT_IN_NAMES = re.compile(r'[/\\:*?"<>|]')
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class SortedCopies:
    """A folder with a folder of copies for each class, and one for refused images.

    A copy has the name of its image; images of equal names are numbered, as in `cat (2).jpg`. A
    copy that is already there, of an interrupted call, is not made again.

    Args:
        folder: where the folders are made.
        classes: class names, which may be anything.

    Raises:
        UserError: `folder` is a file, or cannot be made.
    """

    def __init__(self, folder: Path, classes: tuple[str, ...]) -> None:
        if folder.is_file():
            raise UserError(f"--copy-to {folder}: this is a file; name a folder.")
        io.make_folder(folder, "name another folder with --copy-to")
        *names, refused = folder_names([*classes, REFUSED])
        self.folders = [folder / name for name in names]
        self.refused = folder / refused
        self.taken: set[Path] = set()
        # By the path without a number: those paths that had a file of another image before this
        # call, and an iterator over those that no image has tried yet.
        self.places: dict[Path, tuple[dict[Path, None], Iterator[Path]]] = {}

    def add(self, image: Path, label: int, refused: bool | None) -> None:
        """Copy an image into the folder of its class, or into that of the refused ones.

        Raises:
            UserError: it cannot be read, or the copy cannot be written.
        """
        folder = self.refused if refused else self.folders[label]
        io.make_folder(folder, "name another folder with --copy-to")
        try:
            self._copy(image, folder)
        except OSError as error:
            raise UserError(
                f"{image} could not be copied to {folder} ({error.strerror}): free some space, or "
                "name another folder with --copy-to."
            ) from error

    def _copy(self, image: Path, folder: Path) -> None:
        first = folder / image.name
        others, untried = self.places.setdefault(first, ({}, numbered(first)))
        for place in chain(list(others), untried):
            if place in self.taken:
                continue
            if os.path.lexists(place):
                if not _equal(image, place):
                    others[place] = None
                    continue
            else:
                with drafts.draft(place) as copy, image.open("rb") as original:
                    shutil.copyfileobj(original, copy)
                    copy.flush()
                    shutil.copystat(image, copy.name)
            self.taken.add(place)
            return


def folder_names(classes: Iterable[str]) -> list[str]:
    """Return a name for the folder of each class, each another one on every file system.

    Names that no folder may have, such as `..`, `a/b` or one of 300 letters, are changed.
    """
    used: set[str] = set()
    names = []
    for name in classes:
        plain = plain_name(name)
        unique = next(
            text
            for number in count(1)
            if (text := plain if number == 1 else f"{plain} ({number})").casefold() not in used
        )
        used.add(unique.casefold())
        names.append(unique)
    return names


def plain_name(name: str) -> str:
    """Return a name as a file system takes it: no path, not hidden, not too long."""
    text = _NOT_IN_NAMES.sub("_", readable_line(name)).strip()
    text = text.encode()[:MOST_BYTES].decode(errors="ignore").rstrip(". ")
    if not text or text.startswith(".") or _OF_WINDOWS.fullmatch(text):
        return f"_{text}"
    return text


def _equal(image: Path, copy: Path) -> bool:
    return copy.is_file() and not copy.is_symlink() and filecmp.cmp(image, copy, shallow=False)
