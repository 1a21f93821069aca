"""Turn arrays of labels, whatever their type, into class names and int64 labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from episodes.datasets.arrays.pixels import Unfit


def plain(labels: np.ndarray) -> np.ndarray:
    """Return one label for each image: int64 [n], or text [n].

    Args:
        labels: [n] or [n, 1] numbers, booleans or text; or [n, classes] with a one for the class of
            each image and zeros otherwise.

    Raises:
        Unfit: the labels are not classes, or an image has none or several.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 1 and labels.dtype.kind in "SU":
        return _texts(labels)
    if labels.ndim > 2 or labels.ndim < 1 or labels.dtype.kind not in "buif":
        raise Unfit(
            f"has the shape {list(labels.shape)} and the type {labels.dtype}, expected one number "
            "or text for each image: save the labels as such"
        )
    if labels.ndim == 2:
        is_set = labels == 1
        wrong = int(((is_set.sum(1) != 1) | ~np.isin(labels, (0, 1)).all(1)).sum())
        if wrong:
            raise Unfit(
                f"gives {wrong:,} of {len(labels):,} images no class, several or parts of classes: "
                "save one number for each image"
            )
        return np.asarray(is_set.argmax(1), dtype=np.int64)
    if labels.dtype.kind == "b":
        return labels.astype(str)
    whole = labels.astype(np.int64) if np.isfinite(labels).all() else None
    if whole is None or (whole != labels).any():
        raise Unfit("has labels that are not whole numbers: save the number of the class instead")
    if set(np.unique(whole)) != {-1, 1} and (n_negative := int((whole < 0).sum())):
        raise Unfit(f"has {n_negative:,} labels below 0: remove these images")
    return whole


def _texts(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind == "S":
        labels = np.array([label.decode("utf-8", "replace") for label in labels.tolist()])
    if n_empty := sum(not label.strip() for label in labels.tolist()):
        raise Unfit(f"has {n_empty:,} empty labels: name their classes or remove the images")
    return labels.astype(str)


def numbered(
    parts: Sequence[np.ndarray], names: Sequence[str] | None
) -> tuple[tuple[str, ...], list[np.ndarray]]:
    """Return the class names of all parts, and the labels of each part, int64 [n].

    Without names, the classes are the labels that occur, sorted, numbers by their value.

    Args:
        parts: labels as `plain` returns them.
        names: name of each class, if the labels are numbers that count from 0.

    Raises:
        Unfit: a label has no name.
    """
    labels = np.concatenate(parts)
    ends = np.cumsum([len(part) for part in parts])[:-1]
    if names is not None and labels.dtype.kind == "i":
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(names):
            raise Unfit(f"has labels outside 0..{len(names) - 1}, the classes that have names")
        return tuple(names), np.split(labels, ends)
    classes, numbers = np.unique(labels, return_inverse=True)
    return tuple(str(name) for name in classes), np.split(numbers.astype(np.int64), ends)
