"""The images to predict: files, and all images in folders and in the folders below them."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from episodes.datasets.decoding.image_formats import (
    begins_as_image,
    is_image_file,
    may_be_image,
    why_skipped,
)
from episodes.datasets.folders import folder_tree
from episodes.datasets.names import readable_line
from episodes.datasets.source import few
from fewshot.errors import UserError


class NotRead(NamedTuple):
    """A file that is not used, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{readable_line(self.name)} ({self.reason})"


def summary(files: Sequence[NotRead]) -> str:
    """Return up to five files with their reasons; of more, the number for each reason, and some."""
    names = [str(file) for file in files]
    if len(names) <= 5:
        return ", ".join(names)
    reasons = Counter(file.reason for file in files).most_common()
    counts = [f"{number:,} {reason}" for reason, number in reasons]
    return f"{few(counts)}: {few(names)}"


class Listing(NamedTuple):
    """The images to predict, and what else lies beside them.

    Attributes:
        folder: the folder that the names are relative to.
        names: names of the images, with `/`, in the order of the rows to write.
        unreadable: images of formats that cannot be read, and files that do not exist.
        others: files that are not images.
        notes: sentences about folders and links that were left out.
    """

    folder: Path
    names: list[str]
    unreadable: list[NotRead]
    others: list[NotRead]
    notes: list[str]


def listing(places: Sequence[Path], kaggle: bool = False, own: Sequence[Path] = ()) -> Listing:
    """Return the images of files and folders, each once.

    The names of the images of a single file or folder are relative to that folder. Those of several
    begin with the path that was given.

    Args:
        places: image files, and folders.
        kaggle: sort by the integers that the files are named by.
        own: files and folders that the prediction itself writes, which may lie among the images.

    Raises:
        UserError: there is no image, or a name is not an integer.
    """
    if not places:
        raise UserError("no image was named: give image files, or folders that hold them.")
    written = _Written(own)
    if len(places) > 1:
        images = _of_several(places, written)
    elif places[0].is_file():
        images = Listing(places[0].parent, [places[0].name], [], [], [])
        if not is_image_file(places[0]):
            raise UserError(f"{places[0]} cannot be predicted: {why_skipped(places[0])}.")
    else:
        images = _of_folder(places[0], written)
        if not images.names:
            raise UserError(
                f"{places[0]} holds no images{_rest(images)}: name the folder that holds them."
            )
    if kaggle:
        _sort_by_id(images.folder, images.names)
    return images


def _of_several(places: Sequence[Path], written: _Written) -> Listing:
    """Return the images of several files and folders, in the order in which they are given."""
    names: dict[str, None] = {}  # a set in the order of insertion
    unreadable: dict[str, NotRead] = {}
    others: dict[str, NotRead] = {}
    notes: list[str] = []
    for place in places:
        path = place.as_posix()
        if place.is_dir():
            part = _of_folder(place, written)
            names |= dict.fromkeys(f"{path}/{name}" for name in part.names)
            for left_out, of_folder in ((unreadable, part.unreadable), (others, part.others)):
                for file in of_folder:
                    name = f"{path}/{file.name}"
                    left_out[name] = NotRead(name, file.reason)
            notes += part.notes
        elif place.is_file() and is_image_file(place):
            names[path] = None
        else:
            is_other = place.is_file() and not _is_meant_as_image(place)
            (others if is_other else unreadable)[path] = NotRead(path, why_skipped(place))
    images = Listing(Path(), list(names), list(unreadable.values()), list(others.values()), notes)
    if not names:
        raise UserError(f"none of the files and folders holds an image{_rest(images)}.")
    return images


def _of_folder(folder: Path, written: _Written) -> Listing:
    try:
        tree, left_out = folder_tree.scan(folder)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read as a folder of images: {error.strerror}."
        ) from None
    names: list[str] = []
    unreadable: list[NotRead] = []
    others: list[NotRead] = []
    may_be_own = written.may_lie_in(folder)
    for file in tree.all_files():
        path = folder / file.path
        if may_be_own and path in written:
            continue
        if is_image_file(path) if path.suffix else begins_as_image(path):
            names.append(file.path)
        else:
            is_image = _is_meant_as_image(path)
            (unreadable if is_image else others).append(NotRead(file.path, why_skipped(path)))
    notes = [f"{folder}: {note}" for note in left_out.notes()]
    return Listing(folder, names, unreadable, others, notes)


def _is_meant_as_image(path: Path) -> bool:
    return folder_tree.is_image(path.name) or may_be_image(path)


def _rest(images: Listing) -> str:
    """Return what there is instead of images, in brackets."""
    left_out = images.unreadable + images.others
    parts = [*([summary(left_out)] if left_out else []), *images.notes]
    return f" ({'; '.join(parts)})" if parts else ""


class _Written:
    """Files and folders that are written: `path in written`, also for what lies below them."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = {os.path.realpath(path) for path in paths}

    def may_lie_in(self, folder: Path) -> bool:
        """Return whether one of them lies in a folder, so that its files must be compared."""
        start = os.path.join(os.path.realpath(folder), "")
        return any(path.startswith(start) for path in self.paths)

    def __contains__(self, path: Path) -> bool:
        full = os.path.realpath(path)
        return any(full == own or full.startswith(os.path.join(own, "")) for own in self.paths)


def _sort_by_id(folder: Path, names: list[str]) -> None:
    """Sort files that are named by integers in place, and refuse other names and equal ids."""
    for name in names:
        if not _stem(name).encode(errors="replace").isdigit():
            raise UserError(
                f"{folder / name}: --kaggle needs files named by integers, such as 1.png; or use "
                "--out."
            )
    names.sort(key=id_of)
    for name, following in pairwise(names):
        if id_of(name) == id_of(following):
            raise UserError(
                f"{folder}: {name} and {following} have the same id: remove or rename one."
            )


def id_of(name: str) -> int:
    """Return the integer that a file is named by."""
    return int(_stem(name))


def _stem(name: str) -> str:
    # Many times faster than Path, for hundreds of thousands of names.
    return os.path.splitext(name.rpartition("/")[2])[0]
