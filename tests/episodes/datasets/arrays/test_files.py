"""Oracles: arrays that NumPy, SciPy and h5py write here."""

import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from episodes.datasets.arrays.files import arrays_in
from episodes.errors import UserError

X = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def test_shapes_and_types_are_known_before_reading(tmp_path: Path) -> None:
    path = tmp_path / "mine.npz"
    np.savez(path, x=X, names=np.array(["a", "b"]), objects=np.array([{}], dtype=object))
    described = {array.key: (array.shape, array.dtype) for array in arrays_in(path)}
    assert described["x"] == ((2, 3, 4), np.dtype(np.uint8))
    assert described["names"] == ((2,), np.dtype("<U1"))
    assert described["objects"] == ((1,), np.dtype(object))


def test_arrays_are_read_as_they_were_written(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "mine.npz", x=X, y=X[0])
    np.savez(tmp_path / "single.npz", X)
    np.save(tmp_path / "big.npy", np.asfortranarray(X))
    scipy.io.savemat(tmp_path / "mine.mat", {"x": X})
    for name, key in [
        ("mine.npz", "x"),
        ("single.npz", "single"),
        ("big.npy", "big"),
        ("mine.mat", "x"),
    ]:
        array = arrays_in(tmp_path / name)[0]
        assert array.key == key
        assert array.shape == X.shape
        np.testing.assert_array_equal(array.read(), X)


def test_arrays_of_hdf5_are_read_with_their_groups(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="needs h5py (extra hdf5)")
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["train/x"] = X
        file["list_classes"] = ["cat", "dog"]
    arrays = {array.key: array for array in arrays_in(tmp_path / "mine.h5")}
    np.testing.assert_array_equal(arrays["train/x"].read(), X)
    assert arrays["list_classes"].read().tolist() == [b"cat", b"dog"]


def test_without_h5py_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "mine.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(UserError, match=r"mine\.h5 is an HDF5 file.*pip install 'fewshot\[hdf5\]'"):
        arrays_in(tmp_path / "mine.h5")
