"""Parquet files in the style of Hugging Face: a column of images and one of labels.

Images are encoded bytes, structs with a field `bytes` or `path`, paths, or nested pixels. Labels
are numbers, text, booleans or dictionaries; Hugging Face's files declare the names of the classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from episodes.datasets.part_names import PartName
from episodes.datasets.source import CHUNK, Source
from episodes.datasets.tables.files import (
    files_below,
    files_near,
    partition_of,
    train_and_tests,
)
from episodes.datasets.tables.table import Table, unreadable
from episodes.datasets.tables.table_source import source_of_tables

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIXES = (".parquet", ".parq", ".pq")


def source(folder: Path, name: str) -> Source | None:
    """Locate Parquet files in a folder, or one level below it; or one file.

    The name of a file (train-*, test-*, validation-*, beans-train-*) or of its folder says which
    part it belongs to.

    Args:
        folder: folder, or path of one file.
        name: name of the data set.

    Returns:
        None if there are no Parquet files.

    Raises:
        UserError: no file belongs to the training set, or one part has files in several folders.
    """
    if folder.is_file():
        if folder.suffix.lower() not in SUFFIXES:
            return None
        return source_of_tables(name, folder.parent, [ParquetTable(folder)], [], list_all=False)
    paths = files_near(folder, SUFFIXES) or files_below(folder, SUFFIXES)
    if not paths:
        return None
    train, tests, notes = train_and_tests(paths, folder, "Parquet")
    return source_of_tables(
        name,
        folder,
        [ParquetTable(path, "train", partition_of(path, folder)) for path in train],
        [[ParquetTable(p, "test", partition_of(p, folder)) for p in test] for test in tests],
        notes,
    )


class ParquetTable(Table):
    """A Parquet file, of which no more than the wanted columns and rows are in memory.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        constants: columns that folders such as `label=cat` stand for, and their value.
    """

    def __init__(
        self,
        path: Path,
        part: PartName | None = None,
        constants: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        import pyarrow as pa

        with _opened(path) as file:
            schema, n_rows = file.schema_arrow, file.metadata.num_rows
        self.constants = {
            name: value for name, value in constants.items() if name not in schema.names
        }
        for name in self.constants:
            schema = schema.append(pa.field(name, pa.string()))
        super().__init__(path, part, schema, n_rows)

    def pieces(self, column: str, field: str | None = None) -> Iterator[pa.Array]:
        """Yield the values of a column, or of a field of it, at most CHUNK at a time."""
        import pyarrow.compute as pc

        name = column if field is None else f"{column}.{field}"
        with _opened(self.path) as file:
            for batch in file.iter_batches(CHUNK, columns=[name]):
                values = batch.column(0)
                yield values if field is None else pc.struct_field(values, field)

    def read(self, column: str, field: str | None = None) -> pa.ChunkedArray:
        """Return all values of a column, or of a field of a column of structs."""
        import pyarrow as pa
        import pyarrow.compute as pc

        if column in self.constants:
            text = pa.array([self.constants[column]])
            return pa.chunked_array([pa.repeat(text[0], self.n_rows)])
        name = column if field is None else f"{column}.{field}"
        with _opened(self.path) as file:
            values = file.read(columns=[name]).column(0)
        return values if field is None else pc.struct_field(values, field)

    def n_missing(self, column: str, field: str | None = None) -> int:
        """Return the number of rows without a value, from the statistics if the file has any."""
        if column in self.constants:
            return 0
        name = column if field is None else f"{column}.{field}"
        with _opened(self.path) as file:
            counts = [
                chunk.statistics.null_count
                for group in range(file.metadata.num_row_groups)
                for chunk in _column_chunks(file.metadata.row_group(group))
                if chunk.path_in_schema == name
                and chunk.statistics is not None
                and chunk.statistics.has_null_count
            ]
            if len(counts) == file.metadata.num_row_groups:
                return sum(counts)
        return sum(piece.null_count for piece in self.pieces(column, field))


def _column_chunks(group: pq.RowGroupMetaData) -> Iterator[pq.ColumnChunkMetaData]:
    for column in range(group.num_columns):
        yield group.column(column)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, "Parquet", error) from error
