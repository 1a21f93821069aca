"""Features that the user brings along, in place of images and a network."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fewshot import io
from fewshot.errors import UserError

LARGEST = 1e15  # size of a value; the squares of larger ones overflow in single precision
KEYS = "features [n, d] and labels [n], and perhaps classes and base_features [m, d]"


@dataclass(frozen=True, eq=False)
class GivenFeatures:
    """A pool whose features are given.

    Attributes:
        name: name of the data, for records.
        features_ND: float32 [n, d].
        labels: int64 [n], from 0 to n_classes - 1.
        classes: class names, in the order of the labels.
        base_mean_D: mean feature of the base classes, [d]; None without them.
        fingerprint: hash of all values.
        notes: sentences about the data.
    """

    name: str
    features_ND: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    base_mean_D: Tensor | None
    fingerprint: str
    notes: tuple[str, ...] = ("features were given",)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def identity(self) -> str:
        """Hash of all values."""
        return self.fingerprint


def read(path: Path, base: Path | None = None) -> GivenFeatures:
    """Read the arrays of an .npz file.

    Args:
        path: the file, with the keys `features` and `labels`, and perhaps `classes` (the name of
            each label) and `base_features`.
        base: another file with the features of the base classes: the key `features` of an .npz
            file, or the array of an .npy file.

    Raises:
        UserError: the file cannot be read, or its arrays are not what was expected.
    """
    arrays = _arrays(path)
    if not {"features", "labels"} <= set(arrays):
        raise UserError(f"{path} has the arrays {sorted(arrays)}: expected {KEYS}.")
    if base is not None:
        base_arrays = _arrays(base, only="features")
        if "features" not in base_arrays:
            raise UserError(f"{base} has the arrays {sorted(base_arrays)}: expected features.")
        arrays["base_features"] = base_arrays["features"]
    return of_arrays(arrays, path.stem)


def _arrays(path: Path, only: str | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an .npz file; the one of an .npy file has the name `only`."""
    try:
        with path.open("rb") as opened:
            file = np.load(opened, allow_pickle=False)
            if only is not None and isinstance(file, np.ndarray):
                return {only: file}
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise UserError(f"the file of features {path} does not exist.") from None
    except (*io.DAMAGED_ARRAYS, AttributeError) as error:
        raise UserError(
            f"{path} cannot be read as an .npz file ({error}): write it with numpy.savez({KEYS})."
        ) from None


def of_arrays(arrays: Mapping[str, Any], name: str = "features") -> GivenFeatures:
    """Return a pool of arrays; labels may be numbers or names.

    Args:
        arrays: `features` [n, d], `labels` [n], and perhaps `classes`, the name of each label, and
            `base_features` [m, d].
        name: name of the data.

    Raises:
        UserError: a shape, a type or a value is wrong.
    """
    features = _numbers(arrays["features"], "features")
    raw = np.asarray(arrays["labels"])
    if raw.shape != (len(features),) or not len(raw):
        raise UserError(
            f"labels: expected one for each of the {len(features)} features, not an array of shape "
            f"{list(raw.shape)}."
        )
    if np.issubdtype(raw.dtype, np.inexact) and not np.isfinite(raw).all():
        raise UserError("labels: a label is not finite: give every feature a class.")
    values, labels = np.unique(raw, return_inverse=True)
    classes = _names(values, arrays.get("classes"))
    digest = hashlib.sha256(features.tobytes() + labels.tobytes() + repr(classes).encode())
    base_mean = None
    if arrays.get("base_features") is not None:
        base = _numbers(arrays["base_features"], "base_features")
        if base.shape[1] != features.shape[1] or not len(base):
            raise UserError(
                f"base_features: expected [m, {features.shape[1]}] with at least one row, as wide "
                f"as the features, not {list(base.shape)}."
            )
        base_mean = torch.from_numpy(base).mean(0, dtype=torch.float64).float()
        digest.update(base_mean.numpy().tobytes())
    return GivenFeatures(
        name,
        torch.from_numpy(features),
        torch.from_numpy(labels.astype(np.int64)),
        classes,
        base_mean,
        digest.hexdigest()[:32],
    )


def _numbers(values: Any, name: str) -> np.ndarray:
    array = np.asarray(values)
    real = np.issubdtype(array.dtype, np.floating) or np.issubdtype(array.dtype, np.integer)
    if not real or array.ndim != 2 or not array.shape[1]:
        raise UserError(
            f"{name}: expected numbers [n, d], not {array.dtype} of shape {list(array.shape)}."
        )
    if not np.isfinite(array).all():
        raise UserError(f"{name}: a value is not finite: remove or repair its image.")
    if array.size and (largest := max(abs(float(array.max())), abs(float(array.min())))) > LARGEST:
        raise UserError(
            f"{name}: a value has the size {largest:.1g}, and squares beyond {LARGEST:.0e} do not "
            "fit in single precision: divide the features by a number."
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def _names(values: np.ndarray, names: Sequence[Any] | np.ndarray | None) -> tuple[str, ...]:
    """Return the names of the classes that occur."""
    if names is None:
        return tuple(str(value) for value in values)
    words = [str(name) for name in np.atleast_1d(np.asarray(names)).ravel()]
    if np.asarray(names).ndim != 1 or len(set(words)) < len(words):
        raise UserError(f"classes: expected a list of different names, not {names!r}.")
    if (
        not np.issubdtype(values.dtype, np.integer)
        or values.min() < 0
        or values.max() >= len(names)
    ):
        raise UserError(
            f"labels: with {len(names)} classes they are whole numbers from 0 to "
            f"{len(names) - 1}, not {values[0]} to {values[-1]}."
        )
    return tuple(str(names[int(value)]) for value in values)
