"""Read CSV and TSV files with a column for each pixel."""

from __future__ import annotations

import csv
from collections.abc import Callable
from functools import lru_cache
from math import isqrt
from pathlib import Path
from typing import NamedTuple

from episodes.datasets.part_names import PartName
from episodes.datasets.stamps import Stamp, stamp
from episodes.datasets.tables import dialects
from episodes.datasets.tables.table import MemoryTable
from episodes.datasets.tables.wide_tables import (
    holds_lists,
    pixel_columns,
    with_image_and_label,
)

_HEAD = 1 << 20  # bytes that are enough for a header with a column for each pixel
_FEWEST_PIXELS = 64
_BLOCK = 1 << 24  # bytes that are read at a time
_LARGEST_HELD = 1 << 29  # bytes of a file whose pixels stay in memory, about a third of them


class _Header(NamedTuple):
    """The first lines of a table of pixels.

    Attributes:
        names: names of the columns.
        n_lines: number of lines above the first image.
        first_row: number of the first image in messages.
        delimiter: what separates the cells.
        encoding: encoding of the file.
    """

    names: tuple[str, ...]
    n_lines: int
    first_row: int
    delimiter: str
    encoding: str


def read(path: Path, part: PartName | None, is_image: Callable[[str], bool]) -> MemoryTable | None:
    """Return a table of pixels, joined into images; None for another table.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        is_image: whether a text names an image file; such a table has no pixels.

    Raises:
        UserError: the file is not in UTF-8, or its pixels are not those of square images.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = dialects.decode(path, head, is_whole=False)
    lines, delimiter = dialects.lines_and_delimiter(path, text)
    n_above = text.count("\n") - lines.getvalue().count("\n")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        first = next((row for row in reader if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return None
    cells = [cell.strip() for cell in first]
    has_header = not are_pixels(cells)
    names = cells if has_header else names_of_pixels(cells)
    if not pixel_columns(names) or any(bool(cell) and is_image(cell) for cell in cells):
        return None
    n_lines = n_above + reader.line_num - (not has_header)
    unique = tuple(dialects.unique_names(path, names))
    encoding = dialects.encoding_of(head)
    header = _Header(unique, n_lines, 1 + has_header, delimiter, encoding)
    state = stamp(path.stat())
    if state.size > _LARGEST_HELD:
        return _read(path, part, header, state)
    return _read_once(path, part, header, state)


def _read(path: Path, part: PartName | None, header: _Header, state: Stamp) -> MemoryTable | None:
    """Read a table of pixels by pyarrow, without a text of Python for each pixel.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        header: its first lines.
        state: stamp of the file, so that `_read_once` reads it again if it changes.

    Returns:
        The table with its pixels joined into images; None if it has cells or rows that pyarrow
        reads otherwise than the csv module.

    Raises:
        UserError: the pixels are not those of square images.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    pixels = pixel_columns(header.names)
    of_pixels = set(pixels)
    others = [name for name in header.names if name not in of_pixels]
    texts = others if len(pixels) > 1 else header.names
    types = {**dict.fromkeys(pixels, pa.uint8()), **dict.fromkeys(texts, pa.string())}
    if not header.delimiter.isascii():
        return None
    try:
        content = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(
                column_names=header.names,
                skip_rows=header.n_lines,
                encoding=header.encoding,
                block_size=_BLOCK,
            ),
            arrow_csv.ParseOptions(delimiter=header.delimiter),
            arrow_csv.ConvertOptions(
                column_types=types, null_values=[""], strings_can_be_null=True
            ),
        )
    except (pa.ArrowException, UnicodeDecodeError):
        return None
    has_gaps = any(content.column(name).null_count for name in pixels)
    if has_gaps or any(pc.any(pc.match_substring(content[name], '"')).as_py() for name in texts):
        return None
    if len(pixels) == 1 and not holds_lists(content.column(pixels[0])):
        return None
    columns = {name: content.column(name) for name in header.names}
    for name in others:
        columns[name] = dialects.array_of([cell or "" for cell in columns[name].to_pylist()])
    return with_image_and_label(MemoryTable(path, part, pa.table(columns), header.first_row))


_read_once = lru_cache(maxsize=2)(_read)  # a command locates a data set several times


def are_pixels(cells: list[str]) -> bool:
    """Return whether cells are a label and the pixels of a square image, as in a CSV of EMNIST."""
    n_pixels = len(cells) - 1
    is_square = n_pixels >= _FEWEST_PIXELS and isqrt(n_pixels) ** 2 == n_pixels
    return is_square and all(cell.isascii() and cell.isdigit() for cell in cells)


def names_of_pixels(cells: list[str]) -> list[str]:
    """Return names for the columns of a label and its pixels without a header."""
    return ["label", *(f"pixel{number}" for number in range(len(cells) - 1))]
