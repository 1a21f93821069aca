"""Read CSV, TSV and JSON files of any dialect as tables."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from episodes.datasets.names import readable
from episodes.datasets.part_names import PartName
from episodes.datasets.stamps import stamp
from episodes.datasets.tables.table import MemoryTable
from episodes.datasets.tables.wide_tables import pixel_columns, with_image_and_label
from episodes.errors import DAMAGED_JSON, UserError

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".txt", ".json")
_JSON = (".jsonl", ".ndjson", ".json")

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DELIMITERS = (",", ";", "\t", "|")
_DECIMAL = re.compile(r"-?\d+\.\d+")
_HEAD = 1 << 16  # bytes that are enough for the header
_WIDE_HEAD = 1 << 20  # the same with a column for each pixel
_FEWEST_PIXELS = 64
_FEW_ROWS = 10  # which may have a label of their own each
_LARGEST_JSON = 1 << 26  # bytes of a JSON file in a folder
_COMMENT = re.compile(
    r"#(?:[^\S\n].*|[^,;\t|\n]*)(?:\n|\Z)"
)  # a line; of `#,label` it is the header

csv.field_size_limit(1 << 28)  # characters of a cell, which may be an image in base64


class _PixelHeader(NamedTuple):
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


def head_of(path: Path) -> tuple[list[str], list[str]]:
    """Return the cells of the first two rows of a file, or the keys and values of its first object.

    Raises:
        UserError: the file is not in UTF-8.
    """
    if path.suffix.lower() == ".json":
        return _head_of_json(path)
    with path.open("rb") as file:
        head = file.read(_HEAD)
    text = _decoded(path, head, is_whole=False)
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        try:
            first = json.loads(text.strip().partition("\n")[0])
        except DAMAGED_JSON:
            return [], []
        is_object = isinstance(first, dict)
        return (list(first), [str(value) for value in first.values()]) if is_object else ([], [])
    lines, delimiter = _lines_and_delimiter(path, text)
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
        first = _objects_in_json(path, _decoded(path, path.read_bytes(), is_whole=True))[0]
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
        if not is_json and (table := _of_pixels(path, part, is_image)):
            return table
        text = _decoded(path, path.read_bytes(), is_whole=True)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from error
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        return _of_objects(path, part, _objects_in_lines(path, text))
    if path.suffix.lower() == ".json":
        return _of_objects(path, part, _objects_in_json(path, text))
    return _of_rows(path, part, text, is_image)


def _encoding(data: bytes) -> str:
    return next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")


def _decoded(path: Path, data: bytes, is_whole: bool) -> str:
    if data.startswith(b"PK\x03\x04"):
        raise UserError(f"{path} is a spreadsheet or an archive: save it as CSV UTF-8.")
    encoding = _encoding(data)
    if encoding == "utf-8" and b"\0" in data:
        raise UserError(f"{path} is not encoded in UTF-8 (it has zero bytes): save it as UTF-8.")
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, final=is_whole)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} is not encoded in UTF-8 (line {line}): save it as UTF-8, which spreadsheets "
            "call CSV UTF-8."
        ) from error
    return text.replace("\r\n", "\n").replace("\r", "\n")  # old programs end lines with \r


def _lines_and_delimiter(path: Path, text: str) -> tuple[io.StringIO, str]:
    """Return the lines of a table and what separates its cells, by its first line."""
    start = 0
    while comment := _COMMENT.match(text, start):
        start = comment.end()
    text = text[start:]
    first, _, rest = text.partition("\n")
    if match := re.fullmatch(r"sep=(.)\s*", first):  # spreadsheets write this line
        return io.StringIO(rest), match[1]
    first = re.sub(r'"[^"]*"', "", first)
    counts = {delimiter: first.count(delimiter) for delimiter in _DELIMITERS}
    best = max(_DELIMITERS, key=counts.__getitem__)
    if counts[best] == 0 and path.suffix.lower() == ".txt":
        text = re.sub(r"[ \t]+(\S+)[ \t]*$", r"\t\1", text, flags=re.MULTILINE)
        return io.StringIO(text), "\t"  # `path label` with a space; the path may have spaces
    return io.StringIO(text), best


def _of_pixels(
    path: Path, part: PartName | None, is_image: Callable[[str], bool]
) -> MemoryTable | None:
    """Return a table of pixels, joined into images; None for another table."""
    with path.open("rb") as file:
        head = file.read(_WIDE_HEAD)
    text = _decoded(path, head, is_whole=False)
    lines, delimiter = _lines_and_delimiter(path, text)
    n_above = text.count("\n") - lines.getvalue().count("\n")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        first = next((row for row in reader if any(cell.strip() for cell in row)), [])
    except csv.Error:
        return None
    cells = [cell.strip() for cell in first]
    has_header = not _are_pixels(cells)
    names = cells if has_header else _names_of_pixels(cells)
    if not pixel_columns(names) or any(bool(cell) and is_image(cell) for cell in cells):
        return None
    n_lines = n_above + reader.line_num - (not has_header)
    header = _PixelHeader(
        tuple(_unique(path, names)), n_lines, 1 + has_header, delimiter, _encoding(head)
    )
    return _table_of_pixels(path, part, header, stamp(path.stat()))


@lru_cache(maxsize=4)  # a command locates a data set several times
def _table_of_pixels(
    path: Path, part: PartName | None, header: _PixelHeader, state: str
) -> MemoryTable | None:
    """Read a table of pixels by pyarrow, without a text of Python for each pixel.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        header: its first lines.
        state: stamp of the file, so that it is read again if it changes.

    Returns:
        The table with its pixels joined into images; None if it has cells or rows that pyarrow
        reads otherwise than `_of_rows`.

    Raises:
        UserError: the pixels are not those of square images.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import csv as arrow_csv

    pixels = pixel_columns(header.names)
    others = [name for name in header.names if name not in set(pixels)]
    texts = others if len(pixels) > 1 else header.names
    types = {**dict.fromkeys(pixels, pa.uint8()), **dict.fromkeys(texts, pa.string())}
    try:
        content = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(
                column_names=header.names, skip_rows=header.n_lines, encoding=header.encoding
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
    columns = {name: content.column(name) for name in header.names}
    for name in others:
        columns[name] = _column([cell or "" for cell in columns[name].to_pylist()])
    return with_image_and_label(MemoryTable(path, part, pa.table(columns), header.first_row))


def _of_rows(
    path: Path, part: PartName | None, text: str, is_image: Callable[[str], bool]
) -> MemoryTable:
    import pyarrow as pa

    lines, delimiter = _lines_and_delimiter(path, text)
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
    elif _are_pixels(header):
        header, n_header = _names_of_pixels(header), 0
    names = _unique(path, header)
    for number, row in enumerate(islice(rows, n_header, None), n_header + 1):
        if len(row) != len(header):
            if len(row) < len(header) or any(cell.strip() for cell in row[len(header) :]):
                raise UserError(
                    f"{path} has {len(row)} cells in row {number}, but {len(header)} columns: "
                    "correct this row, and put text with commas in quotation marks."
                )
            del row[len(header) :]
    columns = zip(*rows[n_header:], strict=True) if len(rows) > n_header else [()] * len(header)
    arrays = [_column(list(cells)) for cells in columns]
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


def _are_pixels(cells: list[str]) -> bool:
    """Return whether cells are a label and the pixels of a square image, as in a CSV of EMNIST."""
    n_pixels = len(cells) - 1
    is_square = n_pixels >= _FEWEST_PIXELS and isqrt(n_pixels) ** 2 == n_pixels
    return is_square and all(cell.isascii() and cell.isdigit() for cell in cells)


def _names_of_pixels(cells: list[str]) -> list[str]:
    return ["label", *(f"pixel{number}" for number in range(len(cells) - 1))]


def _unique(path: Path, header: list[str]) -> list[str]:
    names = [name or f"column {number}" for number, name in enumerate(header, 1)]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise UserError(f"{path} has several columns called {repeated[0]!r}: rename all but one.")
    return names


def _column(cells: list[str]) -> pa.Array:
    """Return cells as text, or as numbers if all of them are decimal fractions such as 1.0."""
    import pyarrow as pa

    texts = [cell.strip() for cell in cells]
    if texts and all(_DECIMAL.fullmatch(text) for text in texts if text) and any(texts):
        return pa.array([float(text) if text else None for text in texts])
    return pa.array([text or None for text in texts], pa.large_string())


def _objects_in_lines(path: Path, text: str) -> list[dict[str, Any]]:
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


def _objects_in_json(path: Path, text: str) -> list[dict[str, Any]]:
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


def _of_objects(path: Path, part: PartName | None, objects: list[dict[str, Any]]) -> MemoryTable:
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
