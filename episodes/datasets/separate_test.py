"""Two data sets as one: the first to learn from, the second to test on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from episodes.datasets.source import Content, Part, Source, few
from episodes.errors import UserError


def joined(train: Source, test: Source, place: Path) -> Source:
    """Return a source whose test part is another source.

    The test part of `test` is used if it has one, and otherwise all of it. The test part of `train`
    is not used. Classes are matched by name; the labels are those of `train`.

    Args:
        train: the images to learn from.
        test: the images to test on.
        place: path of the test images, for messages.

    Raises:
        UserError: files of the training images are among the test images.
    """
    if not test.has_test:
        _check_distinct(train, test, place)
    notes = [*train.notes, *(f"{place.name}: {note}" for note in test.notes)]
    if train.has_test:
        notes.append(f"the test part of {train.name} is not used: {place.name} is the test set")
    if test.has_test:
        notes.append(f"{place.name} has a test part: that part is the test set")
    files = (*train.files, *((f"test:{path}", mark) for path, mark in test.files))
    return replace(
        train,
        files=files,
        notes=tuple(notes),
        read=_read(train.read, test.read, place),
        has_test=True,
    )


def _check_distinct(train: Source, test: Source, place: Path) -> None:
    learned = {mark.identity for _, mark in train.files} - {None}
    shared = [path for path, mark in test.files if mark.identity in learned]
    if shared:
        raise UserError(
            f"{len(shared):,} of {len(test.files):,} files in {place} hold training images, such "
            f"as {shared[0]}: name other images with --test, or a share to set aside."
        )


def _read(
    read_train: Callable[[], Content], read_test: Callable[[], Content], place: Path
) -> Callable[[], Content]:
    def read() -> Content:
        train, other = read_train(), read_test()
        part = other.test or other.train
        label_of = {name: label for label, name in enumerate(train.classes)}
        tested = [other.classes[label] for label in np.unique(part.labels)]
        if unknown := [name for name in tested if name not in label_of]:
            suggestions = get_close_matches(unknown[0], train.classes, n=1, cutoff=0.5)
            hint = f" (did you mean {suggestions[0]}?)" if suggestions else ""
            raise UserError(
                f"{place} has test images of {few(unknown)}{hint}, which the training images do "
                f"not have: their classes are {few(list(train.classes))}."
            )
        new_labels = np.array([label_of.get(name, -1) for name in other.classes], dtype=np.int64)
        test_part = _named(part, new_labels[part.labels], place)
        return Content(train.classes, train.train, test_part, (*train.notes, *other.notes))

    return read


def _named(part: Part, labels: np.ndarray, place: Path) -> Part:
    return replace(part, labels=labels, name_of=lambda i: f"{place.name}/{part.name_of(i)}")
