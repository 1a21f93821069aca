"""Oracles: arrays that NumPy and SciPy write here, and pixels computed by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from episodes.datasets import available, load
from episodes.errors import NotHere, UserError
from episodes.types import TrainTest
from tests.episodes.datasets.samples import save_classes, save_image

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
Y = np.arange(12) % 3
X_TEST = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
Y_TEST = Y[::-1][:6]


def _loaded(path: Path, **arrays: object) -> TrainTest:
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return load(str(path), test=None)


def _check(data: TrainTest) -> None:
    np.testing.assert_array_equal(data.train.images.permute(0, 2, 3, 1).numpy(), X)
    np.testing.assert_array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), X_TEST)
    assert data.train.labels.tolist() == Y.tolist()
    assert data.test.labels.tolist() == Y_TEST.tolist()
    assert data.train.classes == ("0", "1", "2")


@pytest.mark.parametrize(
    "names",
    [
        ("x_train", "y_train", "x_test", "y_test"),
        ("X_train", "Y_train", "X_test", "Y_test"),
        ("Xtr", "ytr", "Xte", "yte"),
        ("xtrain", "ytrain", "xtest", "ytest"),
        ("trainX", "trainY", "testX", "testY"),
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("images_train", "labels_train", "images_val", "labels_val"),
        ("training_data", "training_targets", "validation_data", "validation_targets"),
        ("train_set_x_orig", "train_set_y_orig", "test_set_x_orig", "test_set_y_orig"),
        ("X", "y", "X_test", "y_test"),
        ("arr_0", "arr_1", "arr_2", "arr_3"),
        ("alpha", "beta", "gamma", "delta"),
    ],
)
def test_parts_are_recognised_by_the_names_of_arrays(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    arrays = dict(zip(names, (X, Y, X_TEST, Y_TEST), strict=True))
    _check(_loaded(tmp_path / "mine.npz", **arrays))


def test_separate_npy_and_npz_files_are_one_data_set(tmp_path: Path) -> None:
    for folder in ("npy", "npz"):
        (tmp_path / folder).mkdir()
    for part, images, labels in [("train", X, Y), ("test", X_TEST, Y_TEST)]:
        np.save(tmp_path / f"npy/X_{part}.npy", images)
        np.save(tmp_path / f"npy/y_{part}.npy", labels)
        np.savez(tmp_path / f"npz/cells-{part}-imgs.npz", images)  # each has arr_0, as Kuzushiji-49
        np.savez(tmp_path / f"npz/cells-{part}-labels.npz", labels)
    _check(load(str(tmp_path / "npy")))
    _check(load(str(tmp_path / "npz")))


def test_files_in_the_root_are_listed_and_suggested(tmp_path: Path) -> None:
    np.savez(tmp_path / "cells.npz", x=X, y=Y)
    np.savez(tmp_path / "weights.npz", w=X)
    assert available(tmp_path)[2:] == [("cells.npz", f"arrays in {tmp_path / 'cells.npz'}")]
    assert len(load("cells.npz", root=tmp_path, test=None).train) == 12
    with pytest.raises(NotHere, match=r"Did you mean cells\.npz"):
        load("cells", root=tmp_path)


def test_folders_of_parts_may_hold_the_files(tmp_path: Path) -> None:
    for part, images, labels in [("Training", X, Y), ("Testing", X_TEST, Y_TEST)]:
        (tmp_path / part).mkdir()
        np.save(tmp_path / part / "x.npy", images)
        np.save(tmp_path / part / "labels.npy", labels)
    _check(load(str(tmp_path)))


def test_class_folders_come_before_arrays_beside_them(tmp_path: Path) -> None:
    save_classes(tmp_path, {"cat": 3, "dog": 3})
    np.savez(tmp_path / "features.npz", x=X, y=Y)
    assert load(str(tmp_path)).train.classes == ("cat", "dog")


def test_images_beside_the_arrays_are_counted(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    for number in range(3):
        save_image(tmp_path / f"{number}.png", number)
    train, _ = load(str(tmp_path), test=None)
    assert train.notes == ("3 image files beside the arrays are not used",)


def test_files_of_matlab_are_read_as_svhn_has_them(tmp_path: Path) -> None:
    for part, images, labels in [("train", X, Y), ("test", X_TEST, Y_TEST)]:
        content = {
            "X": images.transpose(1, 2, 3, 0),
            "y": np.where(labels == 0, 10, labels)[:, None],
        }
        scipy.io.savemat(tmp_path / f"{part}_32x32.mat", content)
    data = load(str(tmp_path))
    _check(data)
    assert not data.train.mirror


def test_medmnist_files_have_a_validation_part_and_columns_of_labels(tmp_path: Path) -> None:
    arrays = {"train_images": X, "train_labels": Y[:, None].astype(np.uint8)}
    arrays |= {"val_images": X[:4], "val_labels": Y[:4, None].astype(np.uint8)}
    arrays |= {"test_images": X_TEST, "test_labels": Y_TEST[:, None].astype(np.uint8)}
    data = _loaded(tmp_path / "pathmnist.npz", **arrays)
    _check(data)
    assert data.train.notes[0] == "pathmnist.npz: val_images: 4 images that are not used"
    assert data.train.mirror


@pytest.mark.parametrize(
    "images",
    [
        X.transpose(0, 3, 1, 2),
        X / 255,
        (X / 255).astype(np.float32),
        X.astype(np.float64),
        X.astype(np.int64),
        X / 127.5 - 1,
        np.concatenate([X, np.full((*X.shape[:3], 1), 255, np.uint8)], axis=3),
    ],
    ids=["channels first", "0..1", "float32", "0..255", "int64", "-1..1", "RGBA"],
)
def test_layouts_and_ranges_give_the_same_pixels(tmp_path: Path, images: np.ndarray) -> None:
    train, _ = _loaded(tmp_path / "mine.npz", x=images, y=Y)
    np.testing.assert_array_equal(train.images.permute(0, 2, 3, 1).numpy(), X)


def test_names_of_classes_are_used(tmp_path: Path) -> None:
    names = ["cat", "dog", "newt"]
    for number, own in enumerate([np.array(names), np.array(names, dtype="S")]):
        data = _loaded(tmp_path / f"{number}.npz", x=X, y=Y, class_names=own)
        assert data.train.classes == tuple(names)
    data = _loaded(tmp_path / "text.npz", x=X, y=np.array(names)[Y])
    assert data.train.classes == tuple(names)
    assert data.train.labels.tolist() == Y.tolist()


def test_labels_may_be_called_classes(tmp_path: Path) -> None:
    data = _loaded(tmp_path / "mine.npz", images=X, classes=np.array(["cat", "dog", "newt"])[Y])
    assert data.train.classes == ("cat", "dog", "newt")


def test_arrays_with_a_value_for_each_image_are_columns_to_group_by(tmp_path: Path) -> None:
    patients = 10 + np.arange(12) // 2
    np.savez(tmp_path / "whole.npz", x=X, y=Y, patient=patients)
    whole = load(str(tmp_path / "whole.npz"), test=None, group_by="patient").train
    assert whole.clusters is not None
    assert whole.clusters.tolist() == (patients - 10).tolist()
    arrays = {"x_train": X, "y_train": Y, "x_test": X_TEST, "y_test": Y_TEST}
    np.savez(tmp_path / "two.npz", **arrays, patient_train=patients, patient_test=patients[:6] + 9)
    train, test = load(str(tmp_path / "two.npz"), group_by="patient")
    assert train.clusters is not None
    assert test.clusters is not None
    assert train.clusters.tolist() == (patients - 10).tolist()
    assert test.clusters.tolist() == [6, 6, 7, 7, 8, 8]
    with pytest.raises(UserError, match=r"has no array 'age' .* it has patient_train"):
        load(str(tmp_path / "two.npz"), group_by="age")


@pytest.mark.parametrize(
    ("images", "white"),
    [(X // 128, 1), (X // 16, 15), (X // 16 / 1.0, 15), (X.astype(np.uint16) * 16, 4095)],
)
def test_another_white_is_noted_and_used_for_all_images(
    tmp_path: Path, images: np.ndarray, white: int
) -> None:
    train, _ = _loaded(tmp_path / "mine.npz", x=images, y=Y)
    expected = np.floor(images / white * 255 + 0.5).astype(np.uint8)
    np.testing.assert_array_equal(train.images.permute(0, 2, 3, 1).numpy(), expected)
    again = load(str(tmp_path / "mine.npz"), test=None).train  # from the cache
    for notes in (train.notes, again.notes):
        assert any(f"were scaled, so that {white:,} is white" in note for note in notes)


def test_mnist_is_recognised_by_its_first_labels(tmp_path: Path) -> None:
    for first, classes, mirror in [
        ([5, 0, 4, 1, 9, 2, 1, 3, 1, 4], "0", False),
        ([9, 0, 0, 3, 0, 2, 7, 2, 5, 5], "T-shirt/top", True),
    ]:
        labels = np.resize(np.arange(10), 60_000)
        labels[:10] = first
        images = np.zeros((60_000, 4, 4), np.uint8)
        train, _ = _loaded(tmp_path / f"{classes[0]}.npz", x_train=images, y_train=labels)
        assert train.classes[0] == classes
        assert train.mirror is mirror


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "mine.npz: x but not its labels, expected arrays named x_train"),
        ({"weights": Y}, r"has the arrays weights \[12\]: expected arrays named x_train"),
        ({"x": X, "y": Y[:7]}, "y has 7 labels: save one label for each image"),
        ({"x": X, "y": Y / 2}, "labels that are not whole numbers"),
        ({"x": X, "y": Y - 2}, "has 8 labels below 0"),
        ({"x": X, "y": np.ones((12, 3))}, "gives 12 of 12 images no class, several or parts"),
        ({"x": X, "y": Y, "classes": ["cat", "dog"]}, r"labels outside 0\.\.1"),
        ({"x": X / 100, "y": Y}, "pixel values from 0 to 2.55, expected 0 to 1"),
        (
            {"x_train": X, "y_train": Y, "x_test": X / 255, "y_test": Y},
            "a part with pixel values up to 1 and another with values up to 255",
        ),
        ({"x": X[:0], "y": Y[:0]}, "needs images of at least two classes, but has none"),
        ({"x": X, "y": np.array(["2026-01-01"] * 12, dtype="M8[D]")}, "the type datetime64"),
        ({"x": X, "y": np.array([*"abcabcabcab", " "])}, "has 1 empty labels"),
        ({"x": X * 1j, "y": Y}, "holds values of type complex128"),
        ({"x": X / 255 * np.nan, "y": Y}, "infinite or not numbers"),
        ({"x": X[..., :2], "y": Y}, r"shape \[12, 8, 8, 2\], expected \[images, height"),
        ({"x": X[:, None], "y": Y}, r"shape \[12, 1, 8, 8, 3\].*choose single slices"),
        ({"x": X[:, 0, :, 0][:, :7], "y": Y}, r"shape \[12, 7\].*reshape it"),
        ({"x_test": X, "y_test": Y}, "no training images"),
        ({"x": X, "X": X, "y": Y}, "several arrays of images .* mine.npz: x, mine.npz: X"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    tmp_path: Path, arrays: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        _loaded(tmp_path / "mine.npz", **arrays)


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["ATTACK"],)


def test_arrays_of_objects_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTACK", str(tmp_path / "attacked"))
    for key in ("x", "y"):
        arrays = {"x": X, "y": Y} | {key: np.array([_Attack()] * 12, dtype=object)}
        with pytest.raises(UserError, match=f"{key} holds Python objects, which could run code"):
            _loaded(tmp_path / "mine.npz", **arrays)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("name", ["mine.npz", "mine.npy", "mine.mat"])
def test_damaged_files_are_reported(tmp_path: Path, name: str) -> None:
    for content in (b"", b"nothing of the kind" * 100):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name} cannot be read .*copy it again"):
            load(str(tmp_path / name))


def test_a_sentence_about_a_damaged_file_has_a_bounded_length(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    content = bytearray((tmp_path / "mine.npz").read_bytes())
    content[26:28] = (60_000).to_bytes(2, "little")  # the length of the first name
    (tmp_path / "mine.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"mine\.npz cannot be read") as error:
        load(str(tmp_path / "mine.npz"))
    assert len(str(error.value)) < 600


def test_a_cut_off_file_is_reported(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", x=X, y=Y)
    content = (tmp_path / "mine.npz").read_bytes()
    (tmp_path / "mine.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"mine\.npz cannot be read"):
        load(str(tmp_path / "mine.npz"))


def test_what_is_not_used_is_noted(tmp_path: Path) -> None:
    arrays = {"x": X, "y": Y, "x_test": X_TEST, "mean": np.zeros(3)}
    data = _loaded(tmp_path / "mine.npz", **arrays)
    assert data.is_whole
    assert data.train.notes == (
        "mine.npz: x_test has no labels, so not used",
        "mine.npz: mean: not used",
    )


def test_an_unused_part_may_be_no_array_at_all(tmp_path: Path) -> None:
    parts = {"x_train": X, "y_train": Y, "x_test": X_TEST, "y_test": Y[: len(X_TEST)]}
    data = _loaded(tmp_path / "mine.npz", **parts, x_val=np.array(1), y_val=np.array(1))
    assert data.train.notes == ("mine.npz: x_val: 0 images that are not used",)
