"""Tables with a column for each pixel or for each class, as on Kaggle: joined into one column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from episodes.datasets.source import CHUNK
from episodes.datasets.tables.columns import LABEL_NAMES, by_usual_names, is_text, plain
from episodes.datasets.tables.table import MemoryTable
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_PIXEL = re.compile(r"(pixel|px|pix|p)?[ _-]?\d+(x\d+)?", re.IGNORECASE)
_FEWEST_PIXELS = 16
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "true": 1, "false": 0}


def pixel_columns(header: Sequence[str]) -> list[str]:
    """Return the columns that hold one pixel each, or the one called `pixels` that holds all."""
    columns = [name for name in header if _PIXEL.fullmatch(name.strip())]
    if len(columns) >= _FEWEST_PIXELS:
        return columns
    return [name for name in header if plain(name) == "pixels"][:1]


def has_pixels(header: Sequence[str]) -> bool:
    """Return whether columns hold pixels: one column each, or all in one called `pixels`."""
    return bool(pixel_columns(header))


def with_image_and_label(table: MemoryTable) -> MemoryTable:
    """Join columns of pixels into images, and one-hot columns into labels.

    Raises:
        UserError: there are pixels, but not those of square images, columns without rows, or
            another column of images.
    """
    content = table.content
    pixels = pixel_columns(content.column_names)
    if pixels and not table.n_rows:
        raise UserError(f"{table.path} is empty: expected a row for each image.")
    if len(pixels) > 1:
        values = np.stack([_pixels(table, content.column(name)) for name in pixels], axis=1)
        joined = set(pixels)  # `drop_columns` would search the names once per column
        content = content.select([name for name in content.column_names if name not in joined])
        content = _with_images(table, content, values)
    elif pixels and holds_lists(content.column(pixels[0])):
        values = _pixels_in_text(table, content.column(pixels[0]))
        content = _with_images(table, content.drop_columns(pixels), values)
    if not by_usual_names(content.column_names, LABEL_NAMES):
        content = _with_label_of_flags(content)
    return MemoryTable(table.path, table.part, content, table.first_row)


def holds_lists(column: pa.ChunkedArray) -> bool:
    """Return whether texts of a column hold several numbers, separated by white space."""
    import pyarrow.compute as pc

    if column.null_count == len(column) or not is_text(column.type):
        return False
    trimmed = pc.ascii_trim_whitespace(column)
    return bool(pc.any(pc.match_substring_regex(trimmed, r"\s")).as_py())


def _pixels(table: MemoryTable, column: pa.ChunkedArray) -> np.ndarray:
    """Return the values of a column of pixels, uint8 [n]."""
    import pyarrow as pa

    try:
        values = column.cast("float64").fill_null(np.nan).to_numpy()
    except pa.ArrowException as error:
        raise _no_pixels(table) from error
    is_byte = (values == np.round(values)) & (values >= 0) & (values <= 255)
    if not is_byte.all():
        raise _no_pixels(table)
    pixels: np.ndarray = values.astype(np.uint8)
    return pixels


def _pixels_in_text(table: MemoryTable, column: pa.ChunkedArray) -> np.ndarray:
    """Return the pixels in texts of numbers separated by white space, uint8 [n, pixels]."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pieces = []
    for start in range(0, len(column), CHUNK):  # the texts of all numbers need a lot of memory
        piece = column.slice(start, CHUNK)
        numbers = pc.ascii_split_whitespace(pc.ascii_trim_whitespace(piece))
        if len(pc.unique(pc.list_value_length(numbers))) > 1:
            raise _no_pixels(table)
        flat = _pixels(table, pa.chunked_array(pc.list_flatten(numbers)))
        pieces.append(flat.reshape(len(piece), -1))
    if len({piece.shape[1] for piece in pieces}) != 1:
        raise _no_pixels(table)
    return np.concatenate(pieces)


def _with_images(table: MemoryTable, content: pa.Table, pixels: np.ndarray) -> pa.Table:
    """Add square images, grey or with three channels at the end, as the column `image`."""
    import pyarrow as pa

    if "image" in content.column_names:
        raise UserError(
            f"{table.path} has columns of pixels and a column 'image', so it is not clear which "
            "are the images: remove the one or the other."
        )
    n_pixels = pixels.shape[1]
    channels = 3 if isqrt(n_pixels) ** 2 != n_pixels and n_pixels % 3 == 0 else 1
    side = isqrt(n_pixels // channels)
    if side * side * channels != n_pixels:
        raise _no_pixels(table)
    images = pixels.reshape(-1, side, side, channels)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(np.ascontiguousarray(images))
    return content.append_column("image", column)


def _no_pixels(table: MemoryTable) -> UserError:
    return UserError(
        f"{table.path} has columns of pixels, but not the whole numbers from 0 to 255 of square "
        "images in grey or colour: save the images as PNG files, and write their paths."
    )


def _with_label_of_flags(content: pa.Table) -> pa.Table:
    """Add the column `label` if columns of 0 and 1 have exactly one 1 in each row."""
    import pyarrow as pa

    names, flags = [], []
    for name in content.column_names:
        kind = content.schema.field(name).type
        if pa.types.is_nested(kind) or isinstance(kind, pa.BaseExtensionType):
            continue
        texts = [str(value).strip().lower() for value in content.column(name).to_pylist()]
        if all(text in _FLAGS for text in texts):
            names.append(name)
            flags.append([_FLAGS[text] for text in texts])
    table = np.array(flags)
    if len(names) < 2 or table.size == 0 or not (table.sum(axis=0) == 1).all():
        return content
    labels = pa.array(np.array(names)[table.argmax(axis=0)].tolist(), pa.large_string())
    return content.drop_columns(names).append_column("label", labels)
