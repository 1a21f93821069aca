"""Parquet files in the style of Hugging Face: a column of images and one of labels.

Images are encoded bytes, structs with a field `bytes` or `path`, paths, or nested pixels. Labels
are numbers, text, booleans or dictionaries; Hugging Face's files declare the names of the classes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from episodes.datasets.part_names import PartName
from episodes.datasets.source import CHUNK, Source
from episodes.datasets.table_files import files_near, train_and_tests
from episodes.datasets.table_source import source_of_tables
from episodes.datasets.tables import Table
from episodes.errors import UserError

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
    paths = files_near(folder, SUFFIXES)
    if not paths:
        return None
    train, tests, notes = train_and_tests(paths, folder, "Parquet")
    return source_of_tables(
        name,
        folder,
        [ParquetTable(path, "train") for path in train],
        [[ParquetTable(path, "test") for path in test] for test in tests],
        notes,
    )


class ParquetTable(Table):
    """A Parquet file, of which no more than the wanted columns and rows are in memory."""

    def __init__(self, path: Path, part: PartName | None = None) -> None:
        with _opened(path) as file:
            super().__init__(path, part, file.schema_arrow, file.metadata.num_rows)

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
        import pyarrow.compute as pc

        name = column if field is None else f"{column}.{field}"
        with _opened(self.path) as file:
            values = file.read(columns=[name]).column(0)
        return values if field is None else pc.struct_field(values, field)

    def n_missing(self, column: str, field: str | None = None) -> int:
        """Return the number of rows without a value, from the statistics if the file has any."""
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
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"{path} cannot be read as Parquet ({reason}): it may be incomplete, copy it again."
        ) from error
