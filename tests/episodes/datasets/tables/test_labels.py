"""Oracles: the labels that were written, as plain Python lists, and Pillow's pixels."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episodes.datasets import load
from episodes.errors import UserError
from episodes.types import ImageSet
from tests.episodes.datasets.tables.test_parquet import png

TEXT = ["dog", "cat", "dog", "cat", "owl", "owl"]
NUMBERS = [1, 0, 1, 0, 7, 7]


def loaded(folder: Path, columns: dict[str, Any]) -> ImageSet:
    n_rows = len(next(iter(columns.values())))
    images = pa.array([png(i) for i in range(n_rows)], pa.binary())
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table({"image": images, **columns}), folder / "train-0.parquet")
    return load(str(folder), test=None).train


def names(images: ImageSet) -> list[str]:
    return [images.classes[label] for label in images.labels]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array(TEXT), TEXT),
        (pa.array(TEXT, pa.large_string()), TEXT),
        (pa.array(TEXT, pa.string_view()), TEXT),
        (pa.array(TEXT).dictionary_encode(), TEXT),
        (pa.array([f" {name}\n" for name in TEXT]), TEXT),
        (pa.array(NUMBERS, pa.int8()), [str(number) for number in NUMBERS]),
        (pa.array(NUMBERS, pa.uint64()), [str(number) for number in NUMBERS]),
        (pa.array(NUMBERS).dictionary_encode(), [str(number) for number in NUMBERS]),
        (pa.array([float(number) for number in NUMBERS]), [str(number) for number in NUMBERS]),
        (pa.array([Decimal(number) for number in NUMBERS]), [str(number) for number in NUMBERS]),
        (pa.array([True, False] * 3), ["true", "false"] * 3),
        (pa.array([-1, 1] * 3), ["-1", "1"] * 3),
        (pa.array([10**12, 5] * 3), ["1000000000000", "5"] * 3),
        (pa.array([[name] for name in TEXT]), TEXT),
        (pa.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]] * 2), ["1", "0", "2"] * 2),
        (pa.array([[0.0, 1.0], [1.0, 0.0]] * 3, pa.list_(pa.float32(), 2)), ["1", "0"] * 3),
    ],
)
def test_labels_of_every_type(tmp_path: Path, column: pa.Array, expected: list[str]) -> None:
    assert names(loaded(tmp_path, {"label": column})) == expected


def test_a_class_name_of_several_words_is_one_label(tmp_path: Path) -> None:
    labels = ["sea lion", "sea", "lion", "sea lion"]
    assert names(loaded(tmp_path, {"label": labels})) == labels


@pytest.mark.parametrize("label", ["sea|lion", "sea, lion", "sea ; lion", "lion/sea"])
def test_several_labels_in_a_cell_are_refused_with_a_remedy(tmp_path: Path, label: str) -> None:
    with pytest.raises(UserError, match=r"several labels in one cell .*if it is one class, rename"):
        loaded(tmp_path, {"label": ["sea", "lion", label]})


def test_classes_of_numbers_are_those_that_occur_in_numerical_order(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"label": [10, 9, 100, 9]}).classes == ("9", "10", "100")


def test_test_files_may_have_the_classes_in_another_order(tmp_path: Path) -> None:
    for part, labels in (("train", ["b", "a", "c"]), ("test", ["c", "b"])):
        images = pa.array([png(len(part) + i) for i in range(len(labels))], pa.binary())
        pq.write_table(pa.table({"image": images, "label": labels}), tmp_path / f"{part}.parquet")
    train, test = load(str(tmp_path))
    assert (names(train), names(test)) == (["b", "a", "c"], ["c", "b"])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([0.5, 1.0]), r"numbers such as 0\.5 in 'label': expected classes"),
        (pa.array([0.5, float("nan")]), r"numbers such as 0\.5 in 'label'"),
        (pa.array([["a"], ["a", "b"]]), "lists in 'label', 1 of 2 without exactly one label"),
        (pa.array([[0, 1], [1, 1]]), "lists in 'label', 2 of 2 without exactly one label"),
        (pa.array([["a"], None]), "lists in 'label', 1 of 2 without exactly one label"),
        (pa.array(["a", None]), r"no label in 1 of 2 rows \(row 1\)"),
        (pa.array(["a", " "]), r"no label in 1 of 2 rows \(row 1\)"),
        (pa.array([1.0, None]), r"no label in 1 of 2 rows \(row 1\)"),
        (pa.array([{"name": "a"}, {"name": "b"}]), r"of the type struct<name: string> in 'label'"),
    ],
)
def test_what_is_no_label_is_refused(tmp_path: Path, column: pa.Array, message: str) -> None:
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, {"label": column})


@pytest.mark.parametrize(
    "test_column", [{"label": [-1, -1]}, {"label": pa.nulls(2, pa.int64())}, {"id": [1, 2]}]
)
def test_a_test_part_without_labels_is_noted_and_not_used(
    tmp_path: Path, test_column: dict[str, Any]
) -> None:
    images = pa.array([png(i) for i in range(2)], pa.binary())
    for part in ("train", "test", "validation"):
        columns = test_column if part == "test" else {"label": [0, 1]}
        pq.write_table(pa.table({"image": images, **columns}), tmp_path / f"{part}.parquet")
    train, test = load(str(tmp_path))
    assert test.labels.tolist() == [0, 1]
    assert "test.parquet is not used: it has no labels" in train.notes
    (tmp_path / "validation.parquet").unlink()
    assert load(str(tmp_path), test=None).is_whole
