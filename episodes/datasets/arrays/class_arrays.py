"""Arrays of images that are a class each, such as cat.npy and dog.npy of Quick, Draw!"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from episodes.datasets.arrays.files import Array
from episodes.datasets.arrays.pixels import Unfit, channels_last, rgb_chunks, value_range
from episodes.datasets.part_names import part_in
from episodes.datasets.source import Content, Part, Payload, Source
from episodes.datasets.stamps import stamp
from episodes.errors import UserError

_NO_NAME = re.compile(r"(arr|array|x|data)?[-_]?\d*", re.IGNORECASE)
QUICK_DRAW = "full_numpy_bitmap_"  # what the names of its files begin with


def source(place: Path, name: str, arrays: list[Array]) -> Source | None:
    """Locate arrays of images that differ in their number only; each is a class of its name.

    Returns:
        None if there are fewer than two, or if one of the arrays is something else.
    """
    shapes = {array.shape[1:] for array in arrays}
    is_plain = all(array.dtype is not None and array.dtype.kind in "buif" for array in arrays)
    is_named = not any(part_in(array.key) or _NO_NAME.fullmatch(array.key) for array in arrays)
    if len(arrays) < 2 or len(shapes) != 1 or not is_plain or not is_named:
        return None
    try:
        channels_last(np.empty((1, *shapes.pop()), np.uint8))
    except Unfit:
        return None
    paths = dict.fromkeys(array.path for array in arrays)
    files = tuple((path.name, stamp(path.stat())) for path in paths)
    note = f"each of the {len(arrays)} arrays is a class: no name says training or test"
    read = partial(_read, sorted(arrays, key=_class_name))
    return Source(name, "rows", files, (note,), read, mirror=True, has_test=False)


def _class_name(array: Array) -> str:
    return array.key.removeprefix(QUICK_DRAW)


def _read(arrays: list[Array]) -> Content:
    images = [channels_last(array.read()) for array in arrays]
    try:
        values = value_range(images)
    except Unfit as error:
        folder = os.path.commonpath([array.path for array in arrays])
        raise UserError(f"{folder} {error}.") from error
    starts = np.cumsum([0, *map(len, images)])

    def name_of(i: int) -> str:
        number = int(np.searchsorted(starts, i, side="right")) - 1
        return f"{arrays[number].label} row {i - starts[number]}"

    def chunks() -> Iterator[list[Payload]]:
        for own in images:
            yield from rgb_chunks(own, values)

    labels = np.repeat(np.arange(len(arrays)), np.diff(starts)).astype(np.int64)
    notes = (values.note,) if values.note else ()
    classes = tuple(map(_class_name, arrays))
    return Content(classes, Part(labels, name_of, chunks), None, notes)
