"""Data sets in arrays: .npz, .npy and .mat files with images and labels.

`array_roles` recognises the arrays by their names; if no name is a usual one, two arrays are
recognised by their shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

from episodes.datasets.arrays import class_arrays
from episodes.datasets.arrays.files import SUFFIXES, Array, arrays_in
from episodes.datasets.arrays.labels import numbered, plain
from episodes.datasets.arrays.pixels import Range, Unfit, channels_last, rgb_chunks, value_range
from episodes.datasets.arrays.roles import role_of, words_of
from episodes.datasets.folders.folder_tree import is_image
from episodes.datasets.known_sets import Known, known_set, may_be_mirrored
from episodes.datasets.part_names import part_of
from episodes.datasets.source import Content, Part, Source, few
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

EXPECTED = "expected arrays named x_train, y_train, x_test and y_test, or x and y"


_Given = TypeVar("_Given")
_Result = TypeVar("_Result")


class _Pair(NamedTuple):
    """The images and labels of one part."""

    images: Array
    labels: Array


class _Arrays(NamedTuple):
    """The arrays of a data set.

    Attributes:
        train: those of the training part, or of the whole.
        test: those of the test part; None if there is none.
        names: the class names; None if there are none.
        columns: arrays with a value for each image, such as numbers of patients.
        notes: sentences for the user.
    """

    train: _Pair
    test: _Pair | None
    names: Array | None
    columns: list[Array]
    notes: list[str]


def source(place: Path, name: str) -> Source | None:
    """Locate arrays of images and labels in a file, or in the files of a folder without subfolders.

    Returns:
        None if there are no such files, or if a folder's arrays are something else.

    Raises:
        UserError: a file is damaged, or arrays are missing or ambiguous.
    """
    paths = _paths(place)
    if not paths:
        return None
    arrays = [array for path in paths for array in arrays_in(path)]
    located = _located(place, arrays)
    if located is None:
        if by_class := class_arrays.source(place, name, arrays):
            return by_class
        if place.is_dir():
            return None
        listed = few([f"{array.key} {list(array.shape)}" for array in arrays])
        has = f"the arrays {listed}" if arrays else "no arrays"
        raise UserError(f"{place} has {has}: {EXPECTED}.")
    used = [*located.train, *(located.test or ()), *([located.names] if located.names else [])]
    for array in used:
        if array.dtype is not None and array.dtype.hasobject:
            raise UserError(
                f"{array.path}: {array.key} holds Python objects, which could run code: save it as "
                "numbers or text, for example with numpy.stack(...) or .astype(str)."
            )
    beside = [] if place.is_file() else [p for p in place.iterdir() if is_image(p.name)]
    if beside:
        located.notes.append(f"{len(beside):,} image files beside the arrays are not used")
    paths = list(dict.fromkeys(array.path for array in used))
    files = tuple((f"{path.parent.name}/{path.name}", stamp(path.stat())) for path in paths)
    public_name = f"{name} {located.train.images.path.name}"
    known = _known(public_name, located.train.labels)
    return Source(
        name,
        "rows",
        files,
        tuple(located.notes),
        lambda: _read(located, known),
        mirror=known.mirror if known else may_be_mirrored(public_name),
        has_test=located.test is not None,
    )


def _paths(place: Path) -> list[Path]:
    """Return the files with arrays in a folder, or in its folders of parts; or the one file.

    Other folders say that the arrays are not the data set.
    """
    if place.is_file():
        return [place] if place.suffix.lower() in SUFFIXES else []
    visible = [path for path in sorted(place.iterdir()) if not path.name.startswith(".")]
    paths = [path for path in visible if path.suffix.lower() in SUFFIXES]
    parts = [path for path in visible if part_of(path.name)] if not paths else []
    for part in parts:
        if part.is_dir():
            paths += sorted(path for path in part.iterdir() if path.suffix.lower() in SUFFIXES)
    if not paths or any(path.is_dir() and path not in parts for path in visible):
        return []
    return [path for path in paths if path.is_file()]


def _located(place: Path, arrays: list[Array]) -> _Arrays | None:
    """Choose the arrays of each part by their names, or by their shapes."""
    roles: dict[tuple[str, str], list[Array]] = {}
    unused = []
    for array in arrays:
        role = role_of(array)
        if role is None:
            unused.append(array)
        else:
            roles.setdefault(role, []).append(array)
    for (part, what), own in roles.items():
        if len(own) > 1 and what != "names":
            raise UserError(
                f"{place} has several arrays of {what} of the part {part or 'x'}: "
                f"{few([array.label for array in own])}; give one file as data, or rename them."
            )
    names = roles.pop(("", "names"), [None])[0]
    if (
        names
        and [*roles] == [("", "images")]
        and names.shape[:1] == roles["", "images"][0].shape[:1]
    ):
        roles["", "labels"], names = [names], None
    notes: list[str] = []
    if not roles:
        pairs, notes = _by_shape(unused)
        unused = []
    else:
        pairs = _pairs(place, {role: own[0] for role, own in roles.items()}, notes)
    lengths = {(pair.labels.shape[0],) for pair in pairs.values() if pair.labels.shape}
    columns = [array for array in unused if array.shape in lengths]
    if pairs and (others := [array.label for array in unused if array not in columns]):
        notes.append(f"{few(others)}: not used")
    if "train" not in pairs:
        pairs = {("train" if part == "" else part): pair for part, pair in pairs.items()}
    if not pairs:
        return None
    if "train" not in pairs:
        raise UserError(f"{place} has no training images, {EXPECTED}: add or rename them.")
    train = pairs.pop("train")
    test_name = next((part for part in ("test", "validation") if part in pairs), None)
    test = pairs.pop(test_name) if test_name else None
    for pair in pairs.values():
        shape = pair.labels.shape or (0,)  # MATLAB's may be a row
        n_images = max(shape) if pair.labels.dtype is None else shape[0]
        notes.append(f"{pair.images.label}: {n_images:,} images that are not used")
    return _Arrays(train, test, names, columns, notes)


def _pairs(place: Path, roles: dict[tuple[str, str], Array], notes: list[str]) -> dict[str, _Pair]:
    """Pair the images and labels of each part; images without labels can only be test images."""
    pairs = {}
    for part in dict.fromkeys(part for part, _ in roles):
        images, labels = roles.get((part, "images")), roles.get((part, "labels"))
        if images and labels:
            pairs[part] = _Pair(images, labels)
        elif images and part in ("test", "extra"):
            notes.append(f"{images.label} has no labels, so not used")
        elif images or labels:
            present = images or labels
            other = "labels" if images else "images"
            assert present is not None
            raise UserError(
                f"{place} has {present.label} but not its {other}, {EXPECTED}: add them."
            )
    return pairs


def _by_shape(arrays: list[Array]) -> tuple[dict[str, _Pair], list[str]]:
    """Pair arrays without usual names, such as `arr_0` and `arr_1`, if their shapes allow only one.

    Returns:
        The parts, the first being the training part, and notes about them; empty if several ways
        are possible.
    """
    images = [array for array in arrays if len(array.shape) in (3, 4) and array.shape[0] > 1]
    rows = [array for array in arrays if len(array.shape) == 1 or array.shape[1:] == (1,)]
    lengths = [array.shape[0] for array in images]
    if not 1 <= len(images) <= 2 or len(set(lengths)) < len(lengths):
        return {}, []
    pairs, notes = {}, []
    for part, own in zip(("train", "test"), images, strict=False):
        labels = [array for array in rows if array.shape[0] == own.shape[0]]
        if len(labels) != 1:
            return {}, []
        pairs[part] = _Pair(own, labels[0])
        notes.append(f"{own.label} was taken for the images of {labels[0].label}, by its shape")
    return pairs, notes


def _read(located: _Arrays, known: Known | None) -> Content:
    pairs = [located.train, *([located.test] if located.test else [])]
    labels = [_fitting(pair.labels, plain, _labels(pair.labels)) for pair in pairs]
    images = [_images(pair, len(own)) for pair, own in zip(pairs, labels, strict=True)]
    names = known.classes if known else None
    if located.names:
        names = tuple(map(str, _fitting(located.names, plain, _labels(located.names))))
    values = _fitting(located.train.images, value_range, images)
    named = lambda parts: numbered(parts, names)  # noqa: E731
    classes, numbers = _fitting(located.train.labels, named, labels)
    parts = [
        _part_of(pair.images, own, own_labels, values, located.columns)
        for pair, own, own_labels in zip(pairs, images, numbers, strict=True)
    ]
    notes = (values.note,) if values.note else ()
    return Content(classes, parts[0], parts[1] if located.test else None, notes)


def _known(name: str, labels: Array) -> Known | None:
    """Recognise MNIST and FashionMNIST, which have 60,000 training labels each."""
    if labels.shape[:1] == (60_000,) and labels.dtype is not None and labels.dtype.kind in "iu":
        return known_set(name, labels.read().reshape(60_000, -1)[:, 0])
    return known_set(name)


def _labels(array: Array) -> np.ndarray:
    """Read labels; those of SVHN have the digit 0 as 10, and those of MATLAB may be a row."""
    labels = array.read()
    if array.path.suffix.lower() == ".mat":
        labels = labels.reshape(-1) if 1 in labels.shape else labels
        if array.path.stem.endswith("_32x32"):
            labels = np.where(labels == 10, 0, labels)
    return labels


def _images(pair: _Pair, n_labels: int) -> np.ndarray:
    """Read the images of a part, as [n, h, w, c].

    Raises:
        UserError: there are more or fewer than labels, or they are not images.
    """
    images = pair.images.read()
    if pair.images.path.suffix.lower() == ".mat" and images.shape[-1] == n_labels != len(images):
        images = np.moveaxis(images, -1, 0)
    if images.ndim == 0 or len(images) != n_labels:
        raise UserError(
            f"{pair.images.label} has the shape {list(images.shape)}, but {pair.labels.label} has "
            f"{n_labels:,} labels: save one label for each image."
        )
    return _fitting(pair.images, channels_last, images)


def _fitting(array: Array, change: Callable[[_Given], _Result], values: _Given) -> _Result:
    """Return changed values; raise UserError, with the name of the array, if they do not fit."""
    try:
        return change(values)
    except Unfit as error:
        raise UserError(f"{array.path}: {array.key} {error}.") from error


def _part_of(
    array: Array, images: np.ndarray, labels: np.ndarray, values: Range, columns: list[Array]
) -> Part:
    def column(name: str) -> Sequence[str]:
        """Return an array of that name, or of that name and the part, as `patient_train`."""
        role = role_of(array)
        own = [other for other in columns if other.shape == labels.shape]
        for other in own:
            if other.key == name or set(words_of(other.key)) == {*words_of(name), role and role[0]}:
                return [str(value) for value in other.read().tolist()]
        raise UserError(
            f"--group-by {name}: {array.path} has no array {name!r} with a value for each of "
            f"{len(labels):,} images; it has {few([other.key for other in own]) or 'none'}."
        )

    return Part(
        labels,
        lambda i: f"{array.label} row {i}",
        lambda: rgb_chunks(images, values),
        column=column,
    )
