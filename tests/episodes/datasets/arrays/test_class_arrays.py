"""Oracles: arrays that NumPy writes here, one for each class."""

from pathlib import Path

import numpy as np
import pytest

from episodes.datasets import load
from episodes.errors import UserError

RNG = np.random.default_rng(0)
CAT, DOG = (RNG.integers(0, 256, (n, 28, 28), dtype=np.uint8) for n in (5, 4))


def _check(path: Path) -> None:
    train, _ = load(str(path), test=None)
    assert train.classes == ("cat", "dog")
    assert train.labels.tolist() == [0] * 5 + [1] * 4
    np.testing.assert_array_equal(train.images.numpy()[:, 0], np.concatenate([CAT, DOG]))
    assert "each of the 2 arrays is a class: no name says training or test" in train.notes


def test_files_of_one_class_each_are_read_as_quick_draw_has_them(tmp_path: Path) -> None:
    for name, array in [("cat", CAT), ("dog", DOG)]:
        np.save(tmp_path / f"full_numpy_bitmap_{name}.npy", array.reshape(len(array), 784))
    _check(tmp_path)


def test_arrays_of_one_file_may_be_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "pets.npz", dog=DOG, cat=CAT)
    _check(tmp_path / "pets.npz")


def test_one_range_holds_for_all_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "pets.npz", dog=DOG / 255, cat=CAT / 510)
    train, _ = load(str(tmp_path / "pets.npz"), test=None)
    assert int(train.images[train.labels == 0].max()) == 128  # half of 255, rounded up
    np.savez(tmp_path / "odd.npz", dog=DOG / 100, cat=CAT / 100)
    with pytest.raises(UserError, match=r"odd\.npz has pixel values from 0 to 2\.55"):
        load(str(tmp_path / "odd.npz"))


@pytest.mark.parametrize(
    "arrays",
    [
        {"cat": CAT},
        {"cat_train": CAT, "cat_test": DOG},
        {"cat": CAT, "dog": DOG[:, :20]},
        {"cat": CAT, "dog": DOG, "mean": DOG[0, 0]},
        {"cat": CAT[:, 0], "dog": DOG[:, 0]},
        {"cat": CAT.astype(str), "dog": DOG.astype(str)},
    ],
)
def test_other_arrays_are_no_classes(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(tmp_path / "pets.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"pets\.npz has the arrays cat"):
        load(str(tmp_path / "pets.npz"))


def test_arrays_without_names_are_no_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "pets.npz", CAT, DOG)
    with pytest.raises(UserError, match=r"pets\.npz has the arrays arr_0"):
        load(str(tmp_path / "pets.npz"))
