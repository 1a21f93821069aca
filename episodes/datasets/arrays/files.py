"""List and read the arrays in files of NumPy, MATLAB and HDF5, without unpickling anything."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from episodes.errors import UserError

HDF5 = (".h5", ".hdf5")
SUFFIXES = (".npz", ".npy", ".mat", *HDF5)


class Array(NamedTuple):
    """One array of a file, not yet read.

    Attributes:
        path: the file.
        key: name of the array; the file's name without suffix for a .npy file.
        shape: its shape.
        dtype: its type; None if it is known only after reading.
        read: return its content.
    """

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    read: Callable[[], np.ndarray]

    @property
    def label(self) -> str:
        """The name of the array in messages."""
        return self.path.name if self.path.suffix == ".npy" else f"{self.path.name}: {self.key}"


def arrays_in(path: Path) -> list[Array]:
    """Return the arrays of a file, in the order in which they are stored.

    Raises:
        UserError: the file is damaged.
    """
    with _reading(path):
        if path.suffix.lower() == ".npz":
            return list(_of_npz(path))
        if path.suffix.lower() == ".npy":
            with path.open("rb") as file:
                shape, dtype = _header(file)
            return [Array(path, path.stem, shape, dtype, partial(_load, path, mmap=True))]
        return list(_of_hdf5(path) if path.suffix.lower() in HDF5 else _of_mat(path))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, UserError):
        raise
    except Exception as error:  # NumPy and SciPy raise errors of many types for damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200].rstrip(".")
        raise UserError(
            f"{path} cannot be read ({reason}): it may be incomplete, copy it again."
        ) from error


def _of_npz(path: Path) -> Iterator[Array]:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith(".npy")]
        for name in names:
            key = name.removesuffix(".npy")
            with archive.open(name) as file:
                shape, dtype = _header(file)
            # NumPy calls an array without a name arr_0: then the name of the file says what it is.
            shown = path.stem if names == ["arr_0.npy"] else key
            yield Array(path, shown, shape, dtype, partial(_load, path, key))


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return the shape and type of a .npy file, of which only the header is read."""
    version = np.lib.format.read_magic(file)
    # Version 3 differs from version 2 only in the encoding of field names.
    read = np.lib.format.read_array_header_1_0
    if version != (1, 0):
        read = np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _load(path: Path, key: str | None = None, mmap: bool = False) -> np.ndarray:
    with _reading(path):
        content = np.load(path, allow_pickle=False, mmap_mode="r" if mmap else None)
        if key is None:
            return np.asarray(content)
        with content:
            return np.asarray(content[key])


def _of_mat(path: Path) -> Iterator[Array]:
    from scipy.io import whosmat

    try:
        variables = whosmat(str(path))
    except NotImplementedError as error:
        raise UserError(
            f"{path} is a MATLAB file of version 7.3, which cannot be read: save it with -v7."
        ) from error

    for key, shape, _ in variables:
        yield Array(path, key, tuple(shape), None, partial(_load_mat, path, key))


def _load_mat(path: Path, key: str) -> np.ndarray:
    from scipy.io import loadmat

    with _reading(path):
        return np.asarray(loadmat(str(path), variable_names=[key])[key])


def _of_hdf5(path: Path) -> Iterator[Array]:
    with _hdf5(path) as file:
        names: list[str] = []
        file.visit(names.append)
        kinds = {name: file.get(name, getclass=True).__name__ for name in names}
        arrays = {name: file[name] for name, kind in kinds.items() if kind == "Dataset"}
        described = [(name, array.shape, array.dtype) for name, array in arrays.items()]
    for name, shape, dtype in described:
        # Text of varying length is stored as objects, which are read as bytes.
        known = None if dtype.hasobject else dtype
        yield Array(path, name, shape, known, partial(_load_hdf5, path, name))


def _load_hdf5(path: Path, name: str) -> np.ndarray:
    with _reading(path), _hdf5(path) as file:
        values = np.asarray(file[name][()])
        return values.astype("S") if values.dtype.hasobject else values


@contextmanager
def _hdf5(path: Path) -> Iterator[Any]:
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise UserError(
            f"{path} is an HDF5 file, and h5py is not installed: run pip install 'fewshot[hdf5]', "
            "or save the arrays as .npz."
        ) from error
    with h5py.File(path, "r") as file:
        yield file
