"""Tables of images and labels, whatever file they come from: Parquet, Arrow, CSV or JSON lines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from episodes.datasets.part_names import PartName
from episodes.datasets.source import CHUNK
from episodes.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

_LFS = b"version https://git-lfs"


class Table(ABC):
    """One file of a data set: rows with named and typed columns.

    Attributes:
        path: path of the file.
        part: part of the data set that its name stands for; None if it names none.
        schema: names and types of the columns.
        n_rows: number of rows.
        first_row: number of the first row in messages: 0, or the line of a text file.
        remedy: how a user gives a column another name.
    """

    remedy: ClassVar[str] = "rename it"

    def __init__(
        self, path: Path, part: PartName | None, schema: pa.Schema, n_rows: int, first_row: int = 0
    ) -> None:
        self.path = path
        self.part = part
        self.schema = schema
        self.n_rows = n_rows
        self.first_row = first_row

    @abstractmethod
    def pieces(self, column: str, field: str | None = None) -> Iterator[pa.Array]:
        """Yield the values of a column, or of a field of it, at most CHUNK at a time."""

    @abstractmethod
    def read(self, column: str, field: str | None = None) -> pa.ChunkedArray:
        """Return all values of a column, or of a field of a column of structs."""

    @abstractmethod
    def n_missing(self, column: str, field: str | None = None) -> int:
        """Return the number of rows without a value."""

    def row(self, index: int) -> str:
        """Return the name of a row in messages."""
        return f"{self.path.name} row {index + self.first_row}"


def unreadable(path: Path, kind: str, error: Exception) -> UserError:
    """Return the error about a file that is not of the kind that its name says.

    Args:
        path: path of the file.
        kind: what it should be, for the message.
        error: what went wrong.
    """
    try:
        with path.open("rb") as file:
            is_pointer = file.read(len(_LFS)) == _LFS
    except OSError:
        is_pointer = False
    if is_pointer:
        return UserError(
            f"{path} is only a pointer to a file in Git LFS: run git lfs pull in its repository."
        )
    reason = str(error).splitlines()[0].rstrip(".")
    return UserError(
        f"{path} cannot be read as {kind} ({reason}): it may be incomplete, copy it again."
    )


class MemoryTable(Table):
    """A table in memory, or in a memory-mapped file.

    Args:
        path: path of the file.
        part: part of the data set that its name stands for.
        content: rows and columns.
        first_row: number of the first row in messages.
    """

    def __init__(
        self, path: Path, part: PartName | None, content: pa.Table, first_row: int = 0
    ) -> None:
        super().__init__(path, part, content.schema, content.num_rows, first_row)
        self.content = content

    def pieces(self, column: str, field: str | None = None) -> Iterator[pa.Array]:
        """Yield the values of a column, or of a field of it, at most CHUNK at a time."""
        for chunk in self.read(column, field).chunks:
            for start in range(0, len(chunk), CHUNK):
                yield chunk.slice(start, CHUNK)

    def read(self, column: str, field: str | None = None) -> pa.ChunkedArray:
        """Return all values of a column, or of a field of a column of structs."""
        import pyarrow.compute as pc

        values = self.content.column(column)
        return values if field is None else pc.struct_field(values, field)

    def n_missing(self, column: str, field: str | None = None) -> int:
        """Return the number of rows without a value."""
        return int(self.read(column, field).null_count)
