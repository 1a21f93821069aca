"""The images to predict: one file, or all in a folder and in the folders below it."""

from __future__ import annotations

import os
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
from episodes.datasets.names import readable
from episodes.datasets.source import few
from fewshot.errors import UserError
from fewshot.model import partial_file


class Listing(NamedTuple):
    """The images to predict, and what else lies beside them.

    Attributes:
        folder: the folder that the names are relative to.
        names: names of the images, with `/`, in the order of the rows to write.
        unreadable: images of formats that cannot be read, with the reason.
        others: files that are not images, with the reason.
        notes: sentences about folders and links that were left out.
    """

    folder: Path
    names: list[str]
    unreadable: list[str]
    others: list[str]
    notes: list[str]


def listing(place: Path, kaggle: bool, out: Path) -> Listing:
    """Return the images of a file or folder.

    Args:
        place: an image file, or a folder.
        kaggle: sort by the integers that the files are named by.
        out: the CSV file to write, which may lie in the folder.

    Raises:
        UserError: there is no image, or a name is not an integer.
    """
    if place.is_file():
        images = Listing(place.parent, [place.name], [], [], [])
        if not is_image_file(place):
            raise UserError(f"{place} cannot be predicted: {why_skipped(place)}.")
    else:
        images = _of_folder(place, out)
    if kaggle:
        _sort_by_id(images.folder, images.names)
    return images


def _of_folder(folder: Path, out: Path) -> Listing:
    try:
        tree, left_out = folder_tree.scan(folder)
    except OSError as error:
        raise UserError(
            f"{error.filename or folder} cannot be read as a folder of images: {error.strerror}."
        ) from None
    own = {_full(out), _full(out.with_name(out.name + partial_file.SUFFIX))}
    names: list[str] = []
    unreadable: list[str] = []
    others: list[str] = []
    for file in tree.all_files():
        path = folder / file.path
        if is_image_file(path) if path.suffix else begins_as_image(path):
            names.append(file.path)
        elif _full(path) not in own:
            text = f"{readable(file.path)} ({why_skipped(path)})"
            is_image = file.is_named_as_image or may_be_image(path)
            (unreadable if is_image else others).append(text)
    notes = left_out.notes()
    if not names:
        rest = [few(unreadable + others)] if unreadable or others else []
        listed = f" ({'; '.join([*rest, *notes])})" if rest or notes else ""
        raise UserError(f"{folder} holds no images{listed}: name the folder that holds them.")
    return Listing(folder, names, unreadable, others, notes)


def _full(path: Path) -> str:
    return os.path.realpath(path)


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
