"""Images in a column of a table: encoded bytes, paths of files, base64 text or nested pixels."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np

from episodes.datasets.source import Payload, chunked, few
from episodes.datasets.tables.columns import kind_of, text_image_columns
from episodes.datasets.tables.files import IMAGE_SUFFIX
from episodes.datasets.tables.image_files import ImageFile, ImageFiles
from episodes.datasets.tables.table import Table
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_ADDRESS = re.compile(r"(https?|s3|gs|ftp|hf)://", re.IGNORECASE)
# The first bytes of JPEG, PNG, GIF, BMP and WebP files in base64, or a data URL.
_BASE64 = re.compile(r"(data:image/\w+;base64,)?(/9j/|iVBORw0KGgo|R0lGOD|Qk[0-3]|UklGR)")
_SAMPLE = 200  # rows that are tried to recognise a column of paths


@dataclass(frozen=True, eq=False)
class Images:
    """The images of one table.

    Attributes:
        chunks: start a pass over all payloads in order, in lists.
        files: the file of each row, or None for a row with an image in the table itself.
    """

    chunks: Callable[[], Iterator[list[Payload]]]
    files: Sequence[ImageFile | None] = ()


def images_of(table: Table, column: str, files: ImageFiles) -> Images:
    """Return the images in a column; the files that it names are located, but not read.

    Args:
        table: the table.
        column: name of its column of images.
        files: files of the data set.

    Raises:
        UserError: the column names files or addresses of which none is there.
    """
    type_ = table.schema.field(column).type
    if kind_of(type_) == "list" or can_hold_pixels(type_):
        return Images(lambda: (list(pixels_of(table, piece)) for piece in table.pieces(column)))
    if not _is_struct(type_):
        if can_hold_images(type_):
            return Images(lambda: _encoded(table.pieces(column)))
        return _named_files(table, column, table.read(column), files)
    names = {type_.field(i).name for i in range(type_.num_fields)}
    if "bytes" in names and not ("path" in names and table.n_missing(column, "bytes")):
        return Images(lambda: _encoded(table.pieces(column, "bytes")))
    if "bytes" in names and table.n_missing(column, "bytes") < table.n_rows:
        return _bytes_or_files(table, column, files)
    return _named_files(table, column, table.read(column, "path"), files)


def path_column(table: Table, files: ImageFiles) -> str:
    """Return the column whose values name image files, or hold images in base64.

    Usual names come first. Of paths, one that exists is enough: others may be missing. Of other
    values, such as numbers, most have to name a file.

    Raises:
        UserError: there is no such column, or none of the files that it names is there.
    """
    best, most = None, 0.5
    missing = ""
    for column in text_image_columns(table):
        values = [text for text in _texts(table.read(column).slice(0, _SAMPLE)) if text]
        are_paths = bool(values) and all(IMAGE_SUFFIX.search(text) for text in values)
        share = sum(_is_image(text, table, files) for text in values) / max(1, len(values))
        if share == 1 or (are_paths and share > 0):
            return column
        if share > most or (share == most and best is None):
            best, most = column, share
        if values and _ADDRESS.match(values[0]):
            missing = missing or _of_addresses(values[0], column)
        elif are_paths and not missing:
            missing = (
                f"names image files such as {values[0]} in {column!r}, but none of the first "
                f"{len(values):,} is there: put them below {files.folder}, or correct the paths"
            )
    if best is not None:
        return best
    if missing:
        raise UserError(f"{table.path} {missing}.")
    names = few([repr(field.name) for field in table.schema])
    raise UserError(
        f"{table.path} has no image column: none of its columns ({names}) holds encoded images or "
        f"names image files in {files.folder}."
    )


def can_hold_images(type_: pa.DataType) -> bool:
    """Return whether a column of this type can hold encoded images."""
    import pyarrow.types as types

    if _is_struct(type_):
        return bool(type_.get_field_index("bytes") >= 0 or type_.get_field_index("path") >= 0)
    if types.is_dictionary(type_):
        type_ = type_.value_type
    tests = (types.is_binary, types.is_large_binary, types.is_fixed_size_binary)
    return any(test(type_) for test in tests) or types.is_binary_view(type_)


def can_hold_pixels(type_: pa.DataType) -> bool:
    """Return whether a column of this type can hold pixels: nested lists of whole numbers."""
    import pyarrow as pa

    depth = 0
    if isinstance(type_, pa.FixedShapeTensorType):
        depth, type_ = len(type_.shape) - 1, type_.storage_type
    elif isinstance(type_, pa.BaseExtensionType):
        type_ = type_.storage_type
    while kind_of(type_) == "list":
        depth, type_ = depth + 1, type_.value_type
    return depth >= 2 and bool(pa.types.is_integer(type_))


def pixels_of(table: Table, piece: pa.Array) -> np.ndarray:
    """Return nested lists of pixels as uint8 [n, h, w, 3].

    Raises:
        UserError: the images of the table differ in shape, or have other values than 0 to 255.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    shape, is_regular = [len(piece)], piece.null_count == 0
    if isinstance(piece.type, pa.FixedShapeTensorType):
        shape += piece.type.shape
        piece = piece.storage.flatten()
    elif isinstance(piece.type, pa.BaseExtensionType):
        piece = piece.storage
    while kind_of(piece.type) == "list":
        lengths = pc.unique(pc.list_value_length(piece)).to_pylist()
        is_regular = is_regular and len(lengths) == 1 and piece.null_count == 0
        shape += lengths[:1]
        piece = piece.flatten()
    values = piece.to_numpy(zero_copy_only=False)
    rgb = _as_rgb(values.reshape(shape)) if is_regular else None
    is_whole = np.issubdtype(values.dtype, np.integer)
    if rgb is None or not is_whole or values.min(initial=0) < 0 or values.max(initial=0) > 255:
        raise UserError(
            f"{table.path} has images as lists of numbers, but not of whole numbers from 0 to 255 "
            "in the shape [height, width], [height, width, 3] or [3, height, width]: store them as "
            "PNG bytes."
        )
    return rgb.astype(np.uint8)


def _as_rgb(values: np.ndarray) -> np.ndarray | None:
    """Return grey or colour images, channels first or last, as [n, h, w, 3]."""
    if values.ndim == 2:
        side = isqrt(values.shape[1])
        if side * side != values.shape[1]:
            return None
        values = values.reshape(-1, side, side)
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4:
        return None
    if values.shape[3] not in (1, 3) and values.shape[1] in (1, 3):
        values = values.transpose(0, 2, 3, 1)
    if values.shape[3] not in (1, 3):
        return None
    return np.broadcast_to(values, (*values.shape[:3], 3))


def _is_struct(type_: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_struct(type_))


def _encoded(pieces: Iterator[pa.Array]) -> Iterator[list[Payload]]:
    for piece in pieces:
        yield [data or b"" for data in piece.to_pylist()]


def _texts(values: pa.ChunkedArray) -> list[str | None]:
    return [None if value is None else str(value) for value in values.to_pylist()]


def _is_image(text: str, table: Table, files: ImageFiles) -> bool:
    if _BASE64.match(text):
        return True
    try:
        return files.find(text, table.path, table.part).stamp is not None
    except UserError:  # several files fit, so it names files
        return True


def _named_files(table: Table, column: str, values: pa.ChunkedArray, files: ImageFiles) -> Images:
    """Return images that are files, or base64 text."""
    texts = _texts(values)
    examples = [text for text in texts if text]
    if examples and _BASE64.match(examples[0]):
        return Images(lambda: chunked([_from_base64(text or "") for text in texts]))
    if examples and _ADDRESS.match(examples[0]):
        raise UserError(f"{table.path} {_of_addresses(examples[0], column)}.")
    named = [files.find(text or "", table.path, table.part) for text in texts]
    if named and not any(file.stamp for file in named):
        raise UserError(
            f"{table.path} names image files such as {few(examples[:1]) or 'none'} in {column!r}, "
            f"but none of the {len(texts):,} is there: put them below {files.folder}, or correct "
            "the paths."
        )
    paths: list[Payload] = [file.path for file in named]
    return Images(lambda: chunked(paths), named)


def _of_addresses(example: str, column: str) -> str:
    """Return the problem of a column of addresses, as the end of a sentence."""
    return (
        f"names addresses such as {example} in {column!r}: download the images, and write the "
        "paths of the files"
    )


def _bytes_or_files(table: Table, column: str, files: ImageFiles) -> Images:
    """Return images of which some are in the table and others are files."""
    texts = _texts(table.read(column, "path"))
    is_missing = table.read(column, "bytes").is_null().to_pylist()
    named = [
        files.find(text, table.path, table.part) if missing and text else None
        for text, missing in zip(texts, is_missing, strict=True)
    ]

    def chunks() -> Iterator[list[Payload]]:
        row = 0
        for piece in table.pieces(column, "bytes"):
            of_piece = zip(piece.to_pylist(), named[row : row + len(piece)], strict=True)
            row += len(piece)
            yield [file.path if file else data or b"" for data, file in of_piece]

    return Images(chunks, named)


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.partition("base64,")[2] or text)
    except (binascii.Error, ValueError):
        return b""
