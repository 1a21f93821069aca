"""The development split. Oracle: a table of numbered rows, written and read with pyarrow."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from scripts import development_split


def test_the_split_is_disjoint_complete_and_repeatable(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"row": range(50)}), source)
    for name in ("first", "second"):
        development_split.split(source, tmp_path / name, n_train=40)
    train, test = (
        pq.read_table(tmp_path / "first" / f"{part}-0.parquet")["row"].to_pylist()
        for part in ("train", "test")
    )
    assert (len(train), len(test)) == (40, 10)
    assert sorted(train + test) == list(range(50))
    assert train != sorted(train)
    again = pq.read_table(tmp_path / "second" / "train-0.parquet")["row"].to_pylist()
    assert again == train
