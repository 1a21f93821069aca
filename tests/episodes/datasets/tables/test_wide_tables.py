"""Oracle: images and labels that the test writes into the columns itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from episodes.datasets.tables import wide_tables
from episodes.datasets.tables.table import MemoryTable
from episodes.datasets.tables.wide_tables import has_pixels, with_image_and_label
from episodes.errors import UserError

RNG = np.random.default_rng(0)


def joined(columns: dict[str, object]) -> pa.Table:
    return with_image_and_label(MemoryTable(Path("x.csv"), None, pa.table(columns))).content


@pytest.mark.parametrize("shape", [(5, 4, 4, 1), (5, 6, 6, 3)])
@pytest.mark.parametrize("form", ["pixel{}", "{}", "columns of text", "one column"])
def test_pixels_become_images(shape: tuple[int, ...], form: str) -> None:
    images = RNG.integers(0, 256, shape)
    flat = images.reshape(len(images), -1)
    columns: dict[str, object] = {"label": ["a", "b", "a", "b", "a"]}
    if form == "one column":
        columns["pixels"] = [" ".join(map(str, row)) for row in flat]
    else:
        name = "px{}" if form == "columns of text" else form
        kind = str if form == "columns of text" else int
        columns |= {name.format(i): list(map(kind, flat[:, i])) for i in range(flat.shape[1])}
    assert has_pixels(list(columns))
    content = joined(columns)
    assert content.column_names == ["label", "image"]
    stored = content.column("image").combine_chunks().to_numpy_ndarray()
    np.testing.assert_array_equal(stored, images)


@pytest.mark.parametrize("value", [-1, 256, 0.5])
def test_other_values_and_shapes_are_no_pixels(value: float) -> None:
    columns = {f"pixel{i}": [0.0, float(value)] for i in range(16)}
    with pytest.raises(UserError, match="not the whole numbers from 0 to 255 of square images"):
        joined(columns)
    with pytest.raises(UserError, match="square images"):
        joined({f"pixel{i}": [0] for i in range(17)})


@pytest.mark.parametrize("text", ["", "1 2", "1 2 3 x", "1 2 3 256", "1 2 3 0.5"])
def test_texts_of_other_numbers_are_no_pixels(text: str) -> None:
    with pytest.raises(UserError, match="not the whole numbers from 0 to 255 of square images"):
        joined({"pixels": ["1 2 3 4", text]})


def test_pixels_beside_a_column_of_images_are_an_error() -> None:
    columns = {f"pixel{i}": [0] for i in range(16)} | {"image": ["a.png"]}
    with pytest.raises(UserError, match="columns of pixels and a column 'image', so it is not"):
        joined(columns)


def test_columns_of_pixels_without_rows_are_an_error() -> None:
    with pytest.raises(UserError, match="is empty: expected a row for each image"):
        joined({f"pixel{i}": pa.array([], pa.string()) for i in range(16)})


def test_pixels_in_text_are_read_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wide_tables, "CHUNK", 2)
    content = joined({"pixels": [f"{i} 0 0 255" for i in range(5)]})
    images = content.column("image").combine_chunks().to_numpy_ndarray()
    assert images.reshape(5, 4).tolist() == [[i, 0, 0, 255] for i in range(5)]
    with pytest.raises(UserError, match="square images"):
        joined({"pixels": ["1 2 3 4", "1 2 3 4", "1"]})


def test_one_column_of_ones_for_each_class_is_a_label() -> None:
    columns: dict[str, object] = {"image": ["1.png", "2.png"], "cat": [0, 1], "dog": ["1.0", "0.0"]}
    content = joined(columns)
    assert content.column_names == ["image", "label"]
    assert content.column("label").to_pylist() == ["dog", "cat"]
    both = {**columns, "dog": [1, 1]}
    assert joined(both).column_names == list(both)
    named = {**columns, "label": ["x", "y"]}
    assert joined(named).column_names == list(named)
