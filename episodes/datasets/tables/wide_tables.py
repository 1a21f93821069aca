"""Tables with a column for each pixel or for each class, as on Kaggle: joined into one column."""

from __future__ import annotations

import re
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from episodes.datasets.tables.columns import LABEL_NAMES, by_usual_names, is_text, plain
from episodes.datasets.tables.table import MemoryTable
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_PIXEL = re.compile(r"(pixel|px|pix|p)?[ _-]?\d+(x\d+)?", re.IGNORECASE)
_FEWEST_PIXELS = 16
_FLAGS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "true": 1, "false": 0}


def has_pixels(header: list[str]) -> bool:
    """Return whether columns hold pixels: one column each, or all in one called `pixels`."""
    return len(_pixel_columns(header)) >= _FEWEST_PIXELS or "pixels" in map(plain, header)


def with_image_and_label(table: MemoryTable) -> MemoryTable:
    """Join columns of pixels into images, and one-hot columns into labels.

    Raises:
        UserError: there are pixels, but not as many as a square image has.
    """
    content = table.content
    pixels = _pixel_columns(content.column_names)
    if len(pixels) >= _FEWEST_PIXELS:
        values = np.stack([_numbers(table, content.column(name)) for name in pixels], axis=1)
        content = _with_images(table, content.drop_columns(pixels), values)
    elif name := _column_of_all_pixels(content.schema):
        values = _numbers_in_text(table, content.column(name))
        content = _with_images(table, content.drop_columns([name]), values)
    if not by_usual_names(content.column_names, LABEL_NAMES):
        content = _with_label_of_flags(content)
    return MemoryTable(table.path, table.part, content, table.first_row)


def _pixel_columns(header: list[str]) -> list[str]:
    return [name for name in header if _PIXEL.fullmatch(name.strip())]


def _column_of_all_pixels(schema: pa.Schema) -> str | None:
    """Return the column of texts that hold all pixels of an image each, or None."""
    names = [f.name for f in schema if plain(f.name) == "pixels" and is_text(f.type)]
    return names[0] if names else None


def _numbers(table: MemoryTable, column: pa.ChunkedArray) -> np.ndarray:
    """Return the values of a column of pixels, float [n]."""
    import pyarrow as pa

    try:
        values: np.ndarray = column.cast("float64").fill_null(np.nan).to_numpy()
    except pa.ArrowException as error:
        raise _no_pixels(table) from error
    return values


def _numbers_in_text(table: MemoryTable, column: pa.ChunkedArray) -> np.ndarray:
    """Return the pixels in texts of numbers separated by spaces, float [n, pixels]."""
    try:
        rows = [np.array((text or "").split(), dtype=np.float64) for text in column.to_pylist()]
        return np.stack(rows)
    except ValueError as error:
        raise _no_pixels(table) from error


def _with_images(table: MemoryTable, content: pa.Table, values: np.ndarray) -> pa.Table:
    """Add square images, grey or with three channels at the end, as the column `image`."""
    import pyarrow as pa

    n_pixels = values.shape[1]
    channels = 3 if isqrt(n_pixels) ** 2 != n_pixels and n_pixels % 3 == 0 else 1
    side = isqrt(n_pixels // channels)
    is_byte = (values == np.round(values)) & (values >= 0) & (values <= 255)
    if side * side * channels != n_pixels or not is_byte.all():
        raise _no_pixels(table)
    images = values.astype(np.uint8).reshape(-1, side, side, channels)
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
        if pa.types.is_nested(content.schema.field(name).type):
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
