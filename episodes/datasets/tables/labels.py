"""Labels of a table, of whatever type: numbers, text, booleans, dictionaries or one-hot vectors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from episodes.datasets.source import few
from episodes.datasets.tables.columns import LabelColumn, kind_of
from episodes.datasets.tables.table import Table
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_LIKE_MISSING = ("nan", "NaN", "None", "null", "NULL", "<NA>", "#N/A")
# What separates several labels in one cell; white space alone does not, as in "sea lion".
_SEPARATOR = re.compile(r"\s*[|;,/+][|;,/+\s]*")
Key = int | str  # a label as it is stored
MISSING = -1  # code of a row without a label; Hugging Face's files store the same number


class Labels(NamedTuple):
    """The labels of one table.

    Attributes:
        keys: labels that occur, in no particular order.
        codes: index into `keys` of each row, int64 [n]; MISSING for a row without a label.
    """

    keys: list[Key]
    codes: np.ndarray


def labels_of(table: Table, column: str) -> Labels:
    """Read the labels of a table.

    Raises:
        UserError: the values of the column are not labels.
    """
    values = _plain(table.read(column))
    kind = kind_of(values.type)
    if kind == "list":
        values = _of_lists(table, column, values)
    elif kind == "float":
        values = _whole(table, column, values)
    elif kind == "text":
        values = _stripped(values)
    elif kind == "boolean":
        values = values.cast("string")  # true and false
    elif kind != "integer":
        raise UserError(
            f"{table.path} has values of the type {values.type} in {column!r}: expected the class "
            "of each image as text or as a whole number."
        )
    encoded = values.combine_chunks().dictionary_encode()
    keys: list[Key] = encoded.dictionary.to_pylist()
    codes = encoded.indices.cast("int64").fill_null(MISSING).to_numpy(zero_copy_only=False)
    if kind == "text":
        _check_single(table, column, keys)
    if -1 in keys and set(keys) != {-1, 1}:  # -1 is no label, unless there are just -1 and 1
        codes = np.where(codes == keys.index(-1), MISSING, codes)
    return Labels(keys, codes)


def _check_single(table: Table, column: str, keys: list[Key]) -> None:
    """Raise UserError if a text such as `cat|dog` consists of other labels of the column."""
    single = set(keys)
    for key in keys:
        pieces = _SEPARATOR.split(str(key))
        if len(pieces) > 1 and all(piece in single for piece in pieces):
            raise UserError(
                f"{table.path} has several labels in one cell of {column!r}, such as {key}: "
                "expected one class for each image; if it is one class, rename it, for example to "
                f"{' '.join(pieces)!r}."
            )


def has_labels(table: Table, column: str) -> bool:
    """Return whether a table has a column of labels in which not all values are missing."""
    if column not in table.schema.names:
        return False
    if table.n_missing(column) == table.n_rows:
        return False
    if kind_of(table.schema.field(column).type) not in ("integer", "float", "text"):
        return True
    return bool((labels_of(table, column).codes != MISSING).any())


def notes_on_missing(tables: Sequence[Table], column: str) -> list[str]:
    """Return a note about labels that look like missing values: text such as `nan`."""
    counts: Counter[str] = Counter()
    for table in tables:
        if kind_of(table.schema.field(column).type) == "text":
            labels = labels_of(table, column)
            for index, key in enumerate(labels.keys):
                if key in _LIKE_MISSING:
                    counts[str(key)] += int((labels.codes == index).sum())
    return [
        f"{count:,} {'row has' if count == 1 else 'rows have'} the label {key!r}, which is how "
        "programs write a missing value"
        for key, count in counts.items()
    ]


def names_beside(tables: list[Table], label: LabelColumn) -> dict[str, str]:
    """Return the name of each label that is a number from the column of names beside it.

    Returns:
        Label -> name; empty if there is no such column, if a label has several names, or if several
        labels have one.
    """
    names: dict[str, set[str]] = {}
    for table in tables:
        if label.names_column not in table.schema.names:
            return {}
        labels, others = labels_of(table, label.name), labels_of(table, str(label.names_column))
        for code, other in np.unique(np.stack([labels.codes, others.codes], axis=1), axis=0):
            if code != MISSING and other != MISSING:
                key = str(labels.keys[code])
                names.setdefault(key, set()).add(str(others.keys[other]))
    is_one_to_one = all(len(own) == 1 for own in names.values())
    all_names = {name for own in names.values() for name in own}
    are_numbers = all(_order(key)[0] == 0 for key in names)
    if not (is_one_to_one and are_numbers and len(all_names) == len(names)):
        return {}
    return {key: own.pop() for key, own in names.items()}


def classes_of(
    tables: list[Table],
    labels: list[Labels],
    row_numbers: list[np.ndarray],
    declared: tuple[str, ...] | None,
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the classes of all tables, and the labels of each as indices into them, int64 [n].

    Args:
        tables: the tables, for messages.
        labels: labels of rows of each table.
        row_numbers: number of each of these rows in its table, int64 [n].
        declared: class names that numbers index, if the files declare them.

    Raises:
        UserError: a row has no label, or one outside the declared classes.
    """
    if declared is not None:
        classes = declared
        by_name = {name: index for index, name in enumerate(declared)}
    else:
        used = {
            str(own.keys[code]) for own in labels for code in np.unique(own.codes[own.codes >= 0])
        }
        classes = tuple(sorted(used, key=_order))
        by_name = {name: index for index, name in enumerate(classes)}
    indices = []
    for table, own, rows in zip(tables, labels, row_numbers, strict=True):
        new = [_index(key, by_name, is_declared=declared is not None) for key in own.keys]
        values = np.array([*new, MISSING], dtype=np.int64)[own.codes]
        _check(table, rows, values, declared)
        indices.append(values)
    return classes, indices


def _index(key: Key, by_name: dict[str, int], is_declared: bool) -> int:
    if is_declared and isinstance(key, int):
        return key if 0 <= key < len(by_name) else MISSING
    return by_name.get(str(key), MISSING)


def _check(
    table: Table, rows: np.ndarray, values: np.ndarray, declared: tuple[str, ...] | None
) -> None:
    missing = rows[values == MISSING]
    if len(missing):
        names = few([str(row + table.first_row) for row in missing])
        problem = "no label"
        if declared is not None:
            problem = f"labels outside 0..{len(declared) - 1}, or none,"
        raise UserError(
            f"{table.path} has {problem} in {len(missing):,} of {len(values):,} rows "
            f"(row {names}): correct or remove these rows."
        )


def _order(text: str) -> tuple[int, int, str]:
    """Sort whole numbers by their value, before other text."""
    digits = text.removeprefix("-")
    if digits.isascii() and digits.isdigit():
        return 0, int(text), text
    return 1, 0, text


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values without dictionary encoding or extension type."""
    import pyarrow as pa

    if isinstance(values.type, pa.BaseExtensionType):
        values = values.cast(values.type.storage_type)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_decimal(values.type):
        values = values.cast("float64")
    return values


def _stripped(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return text without white space at its ends; empty text becomes a missing value."""
    import pyarrow as pa
    import pyarrow.compute as pc

    text = pc.utf8_trim_whitespace(values.cast(pa.large_string()))
    return pc.if_else(pc.equal(text, ""), None, text)


def _whole(table: Table, column: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return floating-point numbers as integers.

    Raises:
        UserError: some of them are no whole numbers.
    """
    import pyarrow as pa

    numbers = values.cast("float64").fill_null(np.nan).to_numpy()
    is_number = ~np.isnan(numbers)
    fractions = numbers[is_number & (numbers != np.round(numbers))]
    if len(fractions) or np.isinf(numbers).any():
        example = fractions[0] if len(fractions) else np.inf
        raise UserError(
            f"{table.path} has numbers such as {example:g} in {column!r}: expected classes, as "
            "text or as whole numbers."
        )
    whole = np.where(is_number, numbers, 0).astype(np.int64)
    return pa.chunked_array([pa.array(whole, mask=~is_number)])


def _of_lists(table: Table, column: str, values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the only value of each list, or the place of the one in one-hot vectors.

    Raises:
        UserError: some lists are neither.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lists = values.combine_chunks()
    lengths = pc.list_value_length(lists).fill_null(-1).to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths == 1).all():
        return pa.chunked_array([lists.flatten()])
    is_regular = len(lengths) > 0 and lengths[0] > 1 and (lengths == lengths[0]).all()
    if is_regular and kind_of(lists.type.value_type) in ("integer", "float", "boolean"):
        flat = lists.flatten().cast("float64").to_numpy(zero_copy_only=False)
        vectors = flat.reshape(len(lengths), -1)
        if np.isin(vectors, (0, 1)).all() and (vectors.sum(axis=1) == 1).all():
            return pa.chunked_array([pa.array(vectors.argmax(axis=1))])
    n_several = int((lengths != 1).sum())
    raise UserError(
        f"{table.path} has lists in {column!r}, {n_several:,} of {len(lengths):,} without exactly "
        "one label: expected one class for each image."
    )
