"""Rows of numbers that are too many for memory: they lie in a file that has no name.

The file disappears with the array, also when the process is killed. It is written and then mapped
into memory, because writing to a map on a full disk kills the process.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from itertools import chain

import numpy as np

from episodes.datasets.locations import cache_root
from episodes.errors import UserError

MOST_BYTES = 2**28  # of rows that stay in memory


def joined(chunks: Iterable[np.ndarray], n_rows: int) -> np.ndarray:
    """Join chunks of rows, in memory if they are few and otherwise on disk.

    Args:
        chunks: arrays [m, ...] of one type, whose rows have one shape; there is at least one.
        n_rows: number of rows of all chunks; those of the last chunk beyond it are left out.

    Returns:
        [n_rows, ...]; memory that is mapped from a file can be changed without changing the file.

    Raises:
        UserError: the rows belong on disk, and the cache's folder cannot be written.
    """
    remaining = iter(chunks)
    first = next(remaining)
    size = first.itemsize * int(np.prod(first.shape[1:])) * n_rows
    if size <= MOST_BYTES:
        # Filled chunk by chunk: chunks that were collected would lie in the gaps between large
        # temporary arrays, and be there twice while they are joined.
        rows, start = np.empty((n_rows, *first.shape[1:]), first.dtype), 0
        for chunk in chain([first], remaining):
            end = min(start + len(chunk), n_rows)
            rows[start:end] = chunk[: end - start]
            start = end
        if start != n_rows:
            raise ValueError(f"the chunks have {start} rows, not {n_rows}")
        return rows
    folder = cache_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            for chunk in chain([first], remaining):
                file.write(np.ascontiguousarray(chunk).data)
            file.flush()
            return np.memmap(file, first.dtype, "c", shape=(n_rows, *first.shape[1:]))
    except OSError as error:
        raise UserError(
            f"{size / 1e9:.1f} GB of numbers could not be stored in {folder} "
            f"({error.strerror or error}): free some space there, or set FEWSHOT_CACHE to a "
            "folder that can be written."
        ) from error
