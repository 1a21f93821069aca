"""Oracle: the column that a person would point at, for tables as people publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from episodes.datasets import load
from episodes.errors import UserError
from episodes.types import ImageSet
from tests.episodes.datasets.tables.test_parquet import png

KINDS = ["benign", "malignant"] * 4
AGES = [30, 31, 32, 33, 30, 31, 32, 33]


def loaded(folder: Path, columns: dict[str, Any], image: str = "image") -> ImageSet:
    images = pa.array([{"bytes": png(i), "path": f"{i}.png"} for i in range(8)])
    pq.write_table(pa.table({image: images, **columns}), folder / "train-0.parquet")
    return load(str(folder), test=None).train


@pytest.mark.parametrize(
    "columns",
    [
        {"label": KINDS, "patient_age": AGES},
        {"patient_age": AGES, "Label": KINDS},
        {"image_id": list(range(8)), "diagnosis": KINDS, "age": AGES, "sex": ["f", "m"] * 4},
        {"class_name": KINDS, "width": AGES, "height": AGES},
        {"lesion kind": KINDS, "age": AGES},
        {"__index_level_0__": list(range(8)), "benign_or_malignant_type": KINDS, "year": AGES},
        {"condition": KINDS, "patient_id": AGES, "file": [f"{i}.png" for i in range(8)]},
        {"label": [i % 2 for i in range(8)], "label_text": KINDS},
        {"split": ["train"] * 8, "target": KINDS, "caption": [f"text {i}" for i in range(8)]},
    ],
)
def test_the_column_of_labels(tmp_path: Path, columns: dict[str, Any]) -> None:
    train = loaded(tmp_path, columns)
    assert train.classes == ("benign", "malignant")
    assert train.labels.tolist() == [0, 1] * 4


@pytest.mark.parametrize(
    "columns",
    [
        {"patient_age": AGES},
        {"age": AGES, "sex": ["f", "m"] * 4},
        {"shape": KINDS, "colour": ["red", "blue"] * 4},
        {"condition": KINDS, "age": AGES},
        {"note": [f"text {i}" for i in range(8)]},
        {"first_label": KINDS, "second_label": KINDS[::-1]},
    ],
)
def test_columns_that_may_not_be_labels_are_refused_by_name(
    tmp_path: Path, columns: dict[str, Any]
) -> None:
    with pytest.raises(UserError, match=r"train-0\.parquet has .*label") as error:
        loaded(tmp_path, columns)
    assert all(name in str(error.value) for name in columns)
    assert "name the" in str(error.value)


def test_a_guess_and_an_unused_column_of_labels_are_noted(tmp_path: Path) -> None:
    train = loaded(tmp_path, {"condition": KINDS, "width": AGES})
    assert train.notes == ("the labels are the values of 'condition' in train-0.parquet",)
    train = loaded(tmp_path, {"label": KINDS, "species": ["x", "y", "z", "z"] * 2})
    assert train.notes == (
        "the labels are the values of 'label' in train-0.parquet; 'species': not used",
    )


@pytest.mark.parametrize("image", ["picture", "the photo", "pixel_values"])
def test_the_only_column_of_images_may_have_any_name(tmp_path: Path, image: str) -> None:
    assert len(loaded(tmp_path, {"label": KINDS}, image)) == 8


def test_several_columns_of_images(tmp_path: Path) -> None:
    masks = pa.array([png(100 + i) for i in range(8)], pa.binary())
    assert len(loaded(tmp_path, {"label": KINDS, "mask": masks})) == 8
    with pytest.raises(UserError, match=r"several image columns \(mask, scan\)"):
        loaded(tmp_path, {"label": KINDS, "mask": masks}, "scan")


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 1), (1, 8, 8), (8, 8, 3), (3, 8, 8)])
@pytest.mark.parametrize("is_tensor", [False, True])
def test_nested_pixels(tmp_path: Path, shape: tuple[int, ...], is_tensor: bool) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, *shape), dtype=np.uint8)
    column = pa.FixedShapeTensorArray.from_numpy_ndarray(pixels)
    if not is_tensor:
        column = pa.array(pixels.tolist())
    pq.write_table(pa.table({"image": column, "label": [0, 1] * 150}), tmp_path / "a.parquet")
    images = load(str(tmp_path), test=None).train.images.numpy()
    first = (
        pixels
        if len(shape) == 3 and shape[0] < 8
        else np.moveaxis(pixels.reshape(300, 8, 8, -1), 3, 1)
    )
    np.testing.assert_array_equal(images, np.broadcast_to(first, (300, 3, 8, 8)))
