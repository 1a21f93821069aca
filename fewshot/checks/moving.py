"""Move images with faults out of a data set, so that each can be moved back.

Nothing is deleted or overwritten. A line of the table `moved.csv` is written before its image is
moved, so that an interrupted move can be undone as well.
"""

from __future__ import annotations

import csv
import filecmp
import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import NamedTuple, TextIO

from episodes.datasets import drafts
from episodes.datasets.decoding.image_formats import CANNOT_OPEN
from episodes.datasets.names import numbered
from fewshot import io
from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.checks.report import Report
from fewshot.errors import UserError

# Facts; other kinds of faults are moved only if they are asked for by name.
DEFAULT = ("broken", "copy in the test set", "exact copy")
MOVED, NOT_MOVED = "moved.csv", "not-moved.csv"
COLUMNS = ("image", "moved_to", "kind", "same_as", "label", "likely_label", "why")
OTHER_FOLDER = "name another folder with --fix"


class Moved(NamedTuple):
    """What was moved.

    Attributes:
        n_moved: number of images that were moved.
        n_listed: number of findings that are only listed.
        table: the table of the moved images.
    """

    n_moved: int
    n_listed: int
    table: Path

    def __str__(self) -> str:
        images = "1 image" if self.n_moved == 1 else f"{self.n_moved:,} images"
        text = f"{images} moved: see {self.table}"
        if self.n_listed:
            text += f"; {self.n_listed:,} only listed: see {self.table.with_name(NOT_MOVED)}"
        return text


def check_target(data: str, target: Path) -> None:
    """Raise UserError if images of a data set cannot be moved into a folder.

    Args:
        data: the data set as it was given.
        target: the folder.
    """
    folder = Path(os.path.expanduser(data))
    if not folder.is_dir():
        raise UserError(
            f"--fix moves files of a folder, which {data} is not: leave it out, and remove the "
            "rows that the report names."
        )
    if _is_inside(target / MOVED, folder):
        raise UserError(
            f"--fix {target} lies in the data set, so the moved images would still be part of it: "
            "name a folder outside it."
        )
    if target.exists() and not target.is_dir():
        raise UserError(f"--fix {target}: this is a file; name a folder.")


def move(report: Report, target: Path, only: Sequence[str] | None = None) -> Moved:
    """Move the images to remove into a folder, with a table that says from where and why.

    Args:
        report: what was found.
        target: the folder, which is made; images keep their folders in it.
        only: kinds of faults whose images are moved; None for `DEFAULT`.

    Raises:
        UserError: the images are named by a table, or a file cannot be moved; what was moved before
            is in the table.
    """
    folder = report.data.folder
    if folder is None:
        raise UserError(
            f"--fix moves images of class folders, and those of {report.data.data} are named by a "
            "table: leave it out, and remove the rows that the report names."
        )
    kinds = DEFAULT if only is None else tuple(only)
    gone: set[Path] = set()
    links = _links(report.data)
    listed: list[Finding] = []
    io.make_folder(target, OTHER_FOLDER)
    table = target / MOVED
    recorded = _recorded(table)
    with _appending(table) as file:
        writer = csv.writer(file)
        for finding in report.findings:
            source = _to_move(finding, report.data, gone) if finding.kind in kinds else None
            if source is None or not _is_inside(source, folder) or _is_needed(source, links, gone):
                listed.append(finding)
                continue
            name = os.path.relpath(source, folder)
            place = target / name
            if not _is_half_moved(source, place):
                place = _free(place)
            row = _cells(finding, report, name, os.path.relpath(place, target))
            if (row[0], row[1]) not in recorded:  # the row comes first, so that it can be undone
                writer.writerow(row)
                file.flush()
            _move(source, place)
            gone.add(source)
    rows = [_cells(one, report, _name(one, report.data, folder), "") for one in listed]
    _write_table(target / NOT_MOVED, rows)
    return Moved(len(gone), len(listed), table)


def undo(data: Path, target: Path) -> int:
    """Move images back to where they were, as far as no other file is there now.

    Args:
        data: the folder that they were moved from.
        target: the folder that they were moved to.

    Returns:
        How many were moved back. The table lists those that were not; without any, the folder is
        removed if nothing else is in it.

    Raises:
        UserError: there is no such folder or table, or a file cannot be moved.
    """
    if not data.is_dir():
        raise UserError(f"{data} is no folder: name the one from which the images were moved.")
    table = target / MOVED
    try:
        with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except OSError as error:
        raise UserError(
            f"{table} cannot be read ({error.strerror}): name the folder of --fix."
        ) from None
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise UserError(f"{table} is not a table of --fix: name the folder of --fix.")
    n_moved, remaining = 0, []
    for row in rows:
        source, place = target / row["moved_to"], data / row["image"]
        if not os.path.lexists(source):
            continue
        if os.path.lexists(place) and not _is_half_moved(source, place):
            remaining.append([row[column] for column in COLUMNS])
            continue
        _move(source, place)
        n_moved += 1
    if remaining:
        _write_table(table, remaining)
    else:
        _remove_empty(target)
    return n_moved


def _remove_empty(target: Path) -> None:
    """Remove the tables and the empty folders of a move that was undone."""
    for name in (MOVED, NOT_MOVED):
        (target / name).unlink(missing_ok=True)
    for folder, _, _ in os.walk(target, topdown=False):
        with suppress(OSError):  # it holds other files
            os.rmdir(folder)


def _is_inside(path: Path, folder: Path) -> bool:
    """Return whether the folder of a file is really within another one, links resolved."""
    place, root = os.path.realpath(path.parent), os.path.realpath(folder)
    return place == root or place.startswith(os.path.join(root, ""))


def _to_move(finding: Finding, data: Inspected, gone: set[Path]) -> Path | None:
    """Return the file to move.

    None if there is none, if its copies are all gone already, or if the system refused to open it,
    which says nothing about its content.
    """
    if not finding.places or finding.words.startswith(CANNOT_OPEN):
        return None
    first, *others = finding.places
    file = _file(first, data)
    own = [_file(place, data) for place in others if place.part == "data"]
    is_last = bool(own) and len(own) == len(others) and all(other in gone for other in own)
    return None if file is None or file in gone or is_last else file


def _links(data: Inspected) -> dict[str, set[Path]]:
    """Return the links among the images, by the file that they lead to."""
    result: dict[str, set[Path]] = {}
    for file in data.files or ():
        if file.is_symlink():
            result.setdefault(os.path.realpath(file), set()).add(file)
    return result


def _is_needed(source: Path, links: dict[str, set[Path]], gone: set[Path]) -> bool:
    """Return whether a link among the images that are still there leads to a file."""
    if source.is_symlink():
        return False
    return not links.get(os.path.realpath(source), gone) <= gone


def _file(place: Place, data: Inspected) -> Path | None:
    if place.part != "data":
        return None
    if place.position is not None:
        return None if data.files is None else data.files[place.position]
    names = [file.name for file in data.unreadable]
    if len(names) != len(data.unreadable_files):
        return None
    return data.unreadable_files[names.index(place.name)]


def _name(finding: Finding, data: Inspected, folder: Path) -> str:
    """Return the path of the image of a finding in its folder; empty without one."""
    if not finding.places:
        return ""
    file = _file(finding.places[0], data)
    return finding.places[0].name if file is None else os.path.relpath(file, folder)


def _cells(finding: Finding, report: Report, name: str, place: str) -> list[str]:
    others = "; ".join(other.name for other in finding.places[1:])
    label = report.label_of(finding.places[0]) if finding.places else ""
    return [name, place, finding.kind, others, label, finding.advice, finding.words]


def _free(place: Path) -> Path:
    """Return a path, with a number before its suffix if there is a file already."""
    return next(other for other in numbered(place) if not os.path.lexists(other))


def _is_half_moved(source: Path, place: Path) -> bool:
    """Return whether a file is at its new place already, by a move that was killed before its end.

    That can happen to links, and to files that move to another file system.
    """
    if source.is_symlink() or place.is_symlink():
        are_links = source.is_symlink() and place.is_symlink()
        return are_links and os.path.realpath(source) == os.path.realpath(place)
    if not source.is_file() or not place.is_file() or os.path.samefile(source, place):
        return False
    same_time = source.stat().st_mtime_ns == place.stat().st_mtime_ns
    return same_time and filecmp.cmp(source, place, shallow=False)


def _move(source: Path, place: Path) -> None:
    """Move a file; a link becomes a link to the same file from its new place.

    Raises:
        UserError: it cannot be moved; it is then where it was.
    """
    io.make_folder(place.parent, OTHER_FOLDER)
    try:
        if _is_half_moved(source, place):
            source.unlink()
            return
        if source.is_symlink():
            place.symlink_to(os.path.realpath(source))
            source.unlink()
            return
        try:
            os.rename(source, place)
        except OSError:  # on another file system
            with drafts.draft(place) as copy, source.open("rb") as original:
                shutil.copyfileobj(original, copy)
                copy.flush()
                shutil.copystat(source, copy.name)
            source.unlink()
    except OSError as error:
        raise UserError(
            f"{source} could not be moved to {place} ({error.strerror}): check the permissions of "
            "both folders, then repeat the command."
        ) from error


def _recorded(table: Path) -> set[tuple[str, str]]:
    """Return the images in a table with their new places; there may be one that was not moved."""
    if not table.exists():
        return set()
    with table.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return {(row[0], row[1]) for row in csv.reader(file) if len(row) > 1}


def _appending(table: Path) -> TextIO:
    """Open a table to append lines, with its header if it is new."""
    is_new = not table.exists() or not table.stat().st_size
    file = table.open("a", encoding="utf-8", errors="surrogateescape", newline="")
    if is_new:
        csv.writer(file).writerow(COLUMNS)
    return file


def _write_table(path: Path, rows: Iterable[Sequence[str]]) -> None:
    text = StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    io.write_bytes(path, text.getvalue().encode(errors="surrogateescape"), OTHER_FOLDER)
