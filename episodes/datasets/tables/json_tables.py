"""Read JSON files with an object for each image."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from episodes.datasets.names import readable
from episodes.datasets.part_names import PartName
from episodes.datasets.tables.table import MemoryTable
from episodes.errors import DAMAGED_JSON, UserError


def objects_in_lines(path: Path, text: str) -> list[dict[str, Any]]:
    """Return the objects of a text with one in each line.

    Raises:
        UserError: a line is not valid JSON, or no object.
    """
    objects = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except DAMAGED_JSON as error:
            raise UserError(f"{path} is not valid JSON in line {number}: {error}.") from error
        if not isinstance(value, dict):
            raise UserError(f"{path} has no object in line {number}: expected one in each line.")
        objects.append(value)
    return objects


def objects_in_file(path: Path, text: str) -> list[dict[str, Any]]:
    """Return the objects of a list, or one for each image of an object of labels.

    Raises:
        UserError: the text is not valid JSON, or something else.
    """
    try:
        content = json.loads(text)
    except DAMAGED_JSON as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from error
    if isinstance(content, dict) and all(isinstance(value, str) for value in content.values()):
        return [{"image": image, "label": label} for image, label in content.items()]
    if isinstance(content, list) and all(isinstance(value, dict) for value in content):
        return content
    raise UserError(
        f"{path} is not a table: expected a list of objects with an image and a label, or an "
        "object with the label of each image."
    )


def table_of(path: Path, part: PartName | None, objects: list[dict[str, Any]]) -> MemoryTable:
    """Return a table with a column for each key.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        objects: an object for each image; keys may be missing.

    Raises:
        UserError: no object has a key.
    """
    import pyarrow as pa

    names = list(dict.fromkeys(name for value in objects for name in value))
    if not names:
        raise UserError(f"{path} is empty: expected an object for each image.")
    columns = {}
    for name in names:
        values = [value.get(name) for value in objects]
        try:
            columns[readable(name)] = pa.array(values)
        except (pa.ArrowException, OverflowError, UnicodeEncodeError):  # of several types, or
            # with letters that no file in UTF-8 can hold
            texts = [None if v is None else readable(str(v)) for v in values]
            columns[readable(name)] = pa.array(texts)
    return MemoryTable(path, part, pa.table(columns), first_row=1)
