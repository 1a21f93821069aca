"""Read the text of CSV and TSV files of any dialect."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DELIMITERS = (",", ";", "\t", "|")
_DECIMAL = re.compile(r"-?\d+\.\d+")
_COMMENT = re.compile(r"#(?:[^\S\n].*|[^,;\t|\n]*)(?:\n|\Z)")  # a line; `#,label` is a header

csv.field_size_limit(1 << 28)  # characters of a cell, which may be an image in base64


def encoding_of(data: bytes) -> str:
    """Return the encoding that the byte order mark names; UTF-8 without one."""
    return next((name for bom, name in _BOMS.items() if data.startswith(bom)), "utf-8")


def decode(path: Path, data: bytes, is_whole: bool) -> str:
    """Return the text of a file with lines that end in a line feed.

    Args:
        path: path of the file.
        data: its bytes, or the first of them.
        is_whole: whether these are all; else the last character may be incomplete.

    Raises:
        UserError: the bytes are not a text in UTF-8, or in UTF-16 with a byte order mark.
    """
    if data.startswith(b"PK\x03\x04"):
        raise UserError(f"{path} is a spreadsheet or an archive: save it as CSV UTF-8.")
    encoding = encoding_of(data)
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


def lines_and_delimiter(path: Path, text: str) -> tuple[io.StringIO, str]:
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


def unique_names(path: Path, header: list[str]) -> list[str]:
    """Return the names of all columns, with numbers for those that have none.

    Raises:
        UserError: two columns have one name.
    """
    names = [name or f"column {number}" for number, name in enumerate(header, 1)]
    repeated = sorted(name for name, count in Counter(names).items() if count > 1)
    if repeated:
        raise UserError(f"{path} has several columns called {repeated[0]!r}: rename all but one.")
    return names


def array_of(cells: list[str]) -> pa.Array:
    """Return cells as text, or as numbers if all of them are decimal fractions such as 1.0."""
    import pyarrow as pa

    texts = [cell.strip() for cell in cells]
    if texts and all(_DECIMAL.fullmatch(text) for text in texts if text) and any(texts):
        return pa.array([float(text) if text else None for text in texts])
    return pa.array([text or None for text in texts], pa.large_string())
