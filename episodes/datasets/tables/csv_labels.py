"""CSV and JSON files with the path and the label of an image in each row.

This covers a CSV of `image_path,label`, the `metadata.csv` and `metadata.jsonl` of Hugging Face's
image folders, and Kaggle's `train.csv` of `id,label` beside the images in train/.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from episodes.datasets.folders import class_folders
from episodes.datasets.part_names import PartName
from episodes.datasets.source import Source, few
from episodes.datasets.tables.columns import (
    IMAGE_NAMES,
    LABEL_NAMES,
    by_usual_names,
    is_text,
)
from episodes.datasets.tables.files import (
    IMAGE_SUFFIX,
    TEST_NAMES,
    files_near,
    not_used,
    part_of_file,
)
from episodes.datasets.tables.image_files import ImageFiles
from episodes.datasets.tables.images import images_of
from episodes.datasets.tables.labels import MISSING, has_labels, labels_of
from episodes.datasets.tables.table import MemoryTable
from episodes.datasets.tables.table_source import columns_of, source_of_tables
from episodes.datasets.tables.text_tables import SUFFIXES, head_of, read_table
from episodes.datasets.tables.wide_tables import has_pixels, with_image_and_label
from episodes.errors import UserError

_NO_LABELS = re.compile(r"submission|prediction", re.IGNORECASE)
_MOST_TABLES = 50  # of one kind in one folder
_SAMPLE = 1000  # rows that show whether labels are the names of folders


def source(place: Path, name: str) -> Source | None:
    """Locate files of images and labels in a folder or one level below it; or one file.

    A folder that also has class folders is read as class folders if the labels are their names, or
    if the files name other images.

    Returns:
        None if there is no such file.

    Raises:
        UserError: the columns or images of a file are unclear, or several files fit.
    """
    if place.is_file():
        return _of_file(place, name) if place.name.lower().endswith(SUFFIXES) else None
    paths = [path for path in _few_of_a_kind(files_near(place, SUFFIXES)) if _may_name_images(path)]
    if not paths:
        return None
    files = ImageFiles(place)
    tables: list[MemoryTable] = []
    reasons: dict[Path, str] = {}  # why a file is not used
    problems: list[UserError] = []
    for path in paths:
        if _NO_LABELS.search(path.stem):
            reasons[path] = "its name says that its labels are predictions"
            continue
        try:
            tables.append(_labelled(path, place, files))
        except UserError as error:
            reasons[path] = str(error).removeprefix(f"{path} ").rstrip(".")
            problems += [error] if _is_meant(path) else []
    notes = [
        f"{path.relative_to(place).as_posix()} is not used: {reason}"
        for path, reason in reasons.items()
    ]
    folders = _class_folders(place, name)
    if not any(table.part in ("train", None) for table in tables):
        if not problems:
            return None
        if folders is None:
            raise problems[0]
        return replace(folders, notes=(*folders.notes, *notes))
    if folders is not None:
        if len(tables) == 1 and _says_folders(tables[0], files):
            return None
        names = ", ".join(table.path.relative_to(place).as_posix() for table in tables)
        notes.append(f"the labels are those of {names}, and not the names of the folders")
    train, tests, part_notes = _parts(place, tables)
    return source_of_tables(
        name, place, train, tests, [*notes, *part_notes], also_read=list(reasons), files=files
    )


def _few_of_a_kind(paths: list[Path]) -> list[Path]:
    """Return the files without those of which a folder has many: one for each image."""
    counts = Counter((path.parent, path.suffix) for path in paths)
    return [path for path in paths if counts[path.parent, path.suffix] <= _MOST_TABLES]


def _of_file(path: Path, name: str) -> Source | None:
    """Return the data set of one file; None for a text file that names no images."""
    if path.suffix.lower() in (".txt", ".json") and not _may_name_images(path):
        return None
    files = ImageFiles(path.parent)
    return source_of_tables(name, path.parent, [_read(path, None, files)], [], list_all=False)


def _read(path: Path, part: PartName | None, files: ImageFiles) -> MemoryTable:
    """Read a file, with columns of pixels or of one-hot labels joined into one."""

    def is_image(text: str) -> bool:
        return bool(IMAGE_SUFFIX.search(text)) and files.find(text, path, part).stamp is not None

    return with_image_and_label(read_table(path, part, is_image))


def _labelled(path: Path, folder: Path, files: ImageFiles) -> MemoryTable:
    """Read a file with labels.

    Raises:
        UserError: it names no images that are there, or it has no labels.
    """
    table = _read(path, part_of_file(path, folder), files)
    if not has_labels(table, columns_of(table, files).label.name):
        raise UserError(f"{path} has no labels.")
    return table


def _may_name_images(path: Path) -> bool:
    """Return whether a file has a usual name of images in its header, or images in its rows.

    Lists in text and JSON files are common, so that those have to name images in their first rows.
    """
    try:
        header, first_row = head_of(path)
    except UserError:  # reading it gives the reason
        return path.suffix.lower() not in (".txt", ".json")
    if any(map(IMAGE_SUFFIX.search, [*header, *first_row])):
        return len(header) > 1
    if path.suffix.lower() in (".txt", ".json"):
        return False
    return len(header) > 1 and bool(by_usual_names(header, IMAGE_NAMES) or has_pixels(header))


def _is_meant(path: Path) -> bool:
    """Return whether a file is meant as labels: it names files, or a column has a usual name."""
    try:
        header, first_row = head_of(path)
    except UserError:
        return True
    names_images = any(map(IMAGE_SUFFIX.search, [*header, *first_row]))
    return names_images or bool(by_usual_names(header, LABEL_NAMES))


def _class_folders(folder: Path, name: str) -> Source | None:
    """Return the data set of at least two class folders in a folder, or None."""
    try:
        source = class_folders.source(folder, name)
        return source if source and len(source.read().classes) > 1 else None
    except UserError:
        return None


def _says_folders(table: MemoryTable, files: ImageFiles) -> bool:
    """Return whether each label of a table stands for one folder of its images."""
    columns = columns_of(table, files)
    if columns.split is not None or not is_text(table.schema.field(columns.image).type):
        return False
    head = MemoryTable(table.path, table.part, table.content.slice(0, _SAMPLE))
    labels = labels_of(head, columns.label.name)
    named = images_of(head, columns.image, files).files
    pairs = {
        (int(code), file.path.parent)
        for code, file in zip(labels.codes, named, strict=True)
        if file and code != MISSING
    }
    return len(pairs) == len({code for code, _ in pairs}) == len({folder for _, folder in pairs})


def _parts(
    folder: Path, tables: list[MemoryTable]
) -> tuple[list[MemoryTable], list[list[MemoryTable]], list[str]]:
    """Return the training tables, those of each test part, best first, and notes.

    Raises:
        UserError: several tables could be the training part or the test part.
    """
    by_part: dict[PartName | None, list[MemoryTable]] = {}
    for table in tables:
        by_part.setdefault(table.part, []).append(table)
    train = by_part.pop("train", None) or by_part.pop(None)
    tests = [by_part[part] for part in TEST_NAMES if part in by_part]
    for part in (train, *tests):
        if len(part) > 1:
            names = few([table.path.relative_to(folder).as_posix() for table in part])
            raise UserError(
                f"{folder} has several files of images and labels ({names}): give one as data."
            )
    unused = [table.path for table in by_part.get(None, [])]
    return train, tests, [not_used(unused, folder)] if unused else []
