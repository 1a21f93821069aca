"""Labels of images as users have them, and the class names of a classifier."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from fewshot.errors import UserError


class Labels(NamedTuple):
    """The labels of some images.

    Attributes:
        classes: the different labels, sorted, [n_classes].
        positions: position of each image's label in `classes`, int64 [n].
    """

    classes: np.ndarray
    positions: Tensor

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(str(label) for label in self.classes)

    @property
    def are_integers(self) -> bool:
        """Whether the labels are integers."""
        return self.classes.dtype.kind in "iu"


def labels_of(y: ArrayLike, n_images: int, known: np.ndarray | None = None) -> Labels:
    """Return the labels of some images: strings, integers or other discrete values.

    Args:
        y: the labels, [n].
        n_images: how many there must be.
        known: further classes, which may have no image here.

    Raises:
        UserError: their number is another, or two labels have the same name.
        ValueError: they are not the labels of classes.
    """
    # scikit-learn takes a while to import, and `fewshot eval` does without it.
    from sklearn.utils import column_or_1d
    from sklearn.utils.multiclass import check_classification_targets

    values = column_or_1d(y)
    if len(values) != n_images:
        raise UserError(
            f"expected one label for each image: {n_images} images, {len(values)} labels."
        )
    check_classification_targets(values)
    joined = values if known is None else np.concatenate([known, values])
    classes, positions = np.unique(joined, return_inverse=True)
    result = Labels(classes, torch.from_numpy(positions[len(joined) - n_images :]))
    if len(set(result.names)) < len(classes):
        raise UserError(f"two labels have the same name: {', '.join(result.names)}.")
    return result


def are_integers(names: Sequence[str]) -> bool:
    """Return whether all names are integers as Python writes them: `1` and `-2`, but not `01`."""
    return all(re.fullmatch("0|-?[1-9][0-9]*", name) for name in names)


def as_classes(names: Sequence[str], were_integers: bool) -> np.ndarray:
    """Return the classes of a classifier as a user has them.

    Args:
        names: class names.
        were_integers: whether the classifier was fitted to integers. A class that was added later
            may have another name, and then all classes are strings.
    """
    if were_integers and are_integers(names):
        return np.array([int(name) for name in names])
    return np.array(names)
