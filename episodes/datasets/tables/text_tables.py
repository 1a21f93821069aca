"""Read CSV, TSV and JSON files of any dialect as tables."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from episodes.datasets.part_names import PartName
from episodes.datasets.tables import dialects, json_tables, pixel_tables
from episodes.datasets.tables.table import MemoryTable
from episodes.errors import DAMAGED_JSON, UserError

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".json")
_JSON = (".jsonl", ".ndjson", ".json")
_HEAD = 1 << 16  # bytes that are enough for the header
_FEW_ROWS = 10  # which may have a label of their own each
_LARGEST_JSON = 1 << 26  # bytes of a JSON file in a folder


def head_of(path: Path) -> tuple[list[str], list[str]]:
    """Return the cells of the first two rows of a file, or the keys and values of its first object.

    Raises:
        UserError: the file is not in UTF-8.
    """
    if path.suffix.lower() == ".json":
        return _head_of_json(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = dialects.decode(path, head, is_whole=False)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        try:
            first = json.loads(text.strip().partition("\n")[0])
        except DAMAGED_JSON:
            return [], []
        is_object = isinstance(first, dict)
        return (list(first), [str(value) for value in first.values()]) if is_object else ([], [])
    lines, delimiter = dialects.lines_and_delimiter(path, text)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        return next(reader, []), next(reader, [])
    except csv.Error:  # reading the whole file gives the reason
        return [], []


def _head_of_json(path: Path) -> tuple[list[str], list[str]]:
    """Return the keys and values of the first object of a file of objects; empty for other JSON."""
    if path.stat().st_size > _LARGEST_JSON:
        return [], []
    try:
        text = dialects.decode(path, path.read_bytes(), is_whole=True)
        first = json_tables.objects_in_file(path, text)[0]
    except (UserError, IndexError):
        return [], []
    return list(first), [str(value) for value in first.values()]


def read_table(path: Path, part: PartName | None, is_image: Callable[[str], bool]) -> MemoryTable:
    """Read a file with one image in each row, or in each object.

    Columns of pixels may be joined into one of images.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        is_image: whether a text names an image file; such a first row is not a header.

    Raises:
        UserError: the file is not in UTF-8, or is not a table.
    """
    try:
        is_json = path.suffix.lower() in _JSON
        if not is_json and (table := pixel_tables.read(path, part, is_image)):
            return table
        text = dialects.decode(path, path.read_bytes(), is_whole=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return json_tables.table_of(path, part, json_tables.objects_in_lines(path, text))
    if path.suffix.lower() == ".json":
        return json_tables.table_of(path, part, json_tables.objects_in_file(path, text))
    return _of_rows(path, part, text, is_image)


def _of_rows(
    path: Path, part: PartName | None, text: str, is_image: Callable[[str], bool]
) -> MemoryTable:
    import pyarrow as pa

    lines, delimiter = dialects.lines_and_delimiter(path, text)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    rows: list[list[str]] = []
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append(row)
    except csv.Error as error:
        raise UserError(f"{path} is not a table (line {reader.line_num}: {error}).") from error
    if not rows:
        raise UserError(f"{path} is empty: expected a row for each image.")
    header, n_header = [cell.strip() for cell in rows[0]], 1
    images = [bool(cell) and is_image(cell) for cell in header]
    if any(images):
        header, n_header = _default_names(images, rows), 0
    elif pixel_tables.are_pixels(header):
        header, n_header = pixel_tables.names_of_pixels(header), 0
    names = dialects.unique_names(path, header)
    for number, row in enumerate(islice(rows, n_header, None), n_header + 1):
        if len(row) != len(header):
            if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
                raise UserError(
                    f"{path} has {len(row)} cells in row {number}, but {len(header)} columns: "
                    "correct this row, and put text with commas in quotation marks."
                )
            del row[len(header) :]
    columns = zip(*rows[n_header:], strict=True) if len(rows) > n_header else [()] * len(header)
    arrays = [dialects.array_of(list(cells)) for cells in columns]
    content = pa.table(dict(zip(names, arrays, strict=True)))
    return MemoryTable(path, part, content, first_row=n_header + 1)


def _default_names(images: list[bool], rows: list[list[str]]) -> list[str]:
    """Return names for the columns of a table without a header.

    Of two columns, the other one has labels, unless it numbers the images.
    """
    names = [f"column {number}" for number in range(1, len(images) + 1)]
    names[images.index(True)] = "image"
    if len(images) == 2:
        other = 1 - images.index(True)
        values = {row[other] for row in rows if len(row) == 2}
        if len(values) < len(rows) or len(rows) < _FEW_ROWS:
            names[other] = "label"
    return names
