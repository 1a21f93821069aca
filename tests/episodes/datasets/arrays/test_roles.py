"""Oracle: names of arrays in public data sets and tutorials, and what they hold, by hand."""

from pathlib import Path

import numpy as np
import pytest

from episodes.datasets.arrays.files import Array
from episodes.datasets.arrays.roles import role_of


def _role(key: str, file: str = "mine.npz") -> tuple[str, str] | None:
    return role_of(Array(Path(file), key, (1,), np.dtype(np.uint8), lambda: np.zeros(1)))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("x_train", ("train", "images")),
        ("Ytest", ("test", "labels")),
        ("val_images", ("validation", "images")),
        ("dev_labels", ("validation", "labels")),
        ("train_set_x_orig", ("train", "images")),
        ("trainTargets", ("train", "labels")),
        ("image_labels", ("", "labels")),
        ("data", ("", "images")),
        ("target_names", ("", "names")),
        ("list_classes", ("", "names")),
        ("x_train_mean", None),
        ("train", None),
        ("mean", None),
        ("ids_train", None),
    ],
)
def test_names_say_the_part_and_the_content(key: str, expected: tuple[str, str] | None) -> None:
    assert _role(key) == expected


@pytest.mark.parametrize(
    ("key", "file", "expected"),
    [
        ("X", "train_32x32.mat", ("train", "images")),
        ("y", "extra_32x32.mat", ("extra", "labels")),
        ("x", "camelyonpatch_level_2_split_valid_x.h5", ("validation", "images")),
        ("x", "data/Testing/arrays.npz", ("test", "images")),
        ("x_train", "data/Testing/arrays.npz", ("train", "images")),
        ("kmnist-test-imgs", "kmnist-test-imgs.npz", ("test", "images")),
        ("cells_x_train", "cells_x_train.npy", ("train", "images")),
        ("x_train_mean", "x_train_mean.npy", None),
    ],
)
def test_the_file_or_its_folder_says_the_part_otherwise(
    key: str, file: str, expected: tuple[str, str] | None
) -> None:
    assert _role(key, file) == expected
