"""Combine the decoded parts of a data set into image sets with one list of classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from episodes.datasets import grouping
from episodes.datasets.class_names import alike
from episodes.datasets.decoding.image_cache import Entry
from episodes.datasets.decoding.notes import decoding_notes, skip_note
from episodes.datasets.names import distinct, readable_line
from episodes.datasets.source import TEST_SHARE, LoadOptions, Source, few
from episodes.datasets.superclasses import superclasses_in_names, superclasses_of
from episodes.errors import UserError
from episodes.types import ImageSet, TrainTest


def assembled(source: Source, place: Path, entries: list[Entry], options: LoadOptions) -> TrainTest:
    """Combine the decoded parts under one list of classes: those with at least one image.

    Args:
        source: the data set.
        place: its folder, which may hold `groups.yaml`.
        entries: the training part and the test part; or the whole, for both.
        options: how it was read.

    Raises:
        UserError: fewer than two classes can be trained and tested.
    """
    train, test = entries[0], entries[-1]
    in_train = np.bincount(train.labels, minlength=len(train.classes)) > 0
    in_test = np.bincount(test.labels, minlength=len(test.classes)) > 0
    names = np.array(distinct(train.classes))
    skipped = skip_note(source.unit, entries)
    explanation = "; ".join([*source.notes, *([skipped] if skipped else [])])
    _check_classes(place, names, in_train, in_test, explanation)
    _check_test_part(place, in_test, source.has_test, explanation)
    classes = tuple(str(name) for name in names[in_train])
    if source.superclass_in_name:
        groups = superclasses_in_names(classes)
    else:
        groups = superclasses_of(place, classes)
    notes = [*source.notes, *([skipped] if skipped else [])]
    notes += [*train.notes, *decoding_notes(entries)]
    notes += _notes_on_parts(source, entries, options)
    if train.jpeg and source.name == "cifar10":
        notes.append("these CIFAR-10 images are a JPEG re-encoding, not the original pixels")
    if same := [", ".join(map(repr, group)) for group in alike(classes)]:
        notes.append(f"class names that differ only in case or spaces: {few(same)}")
    if unused := list(names[~in_train]):
        notes.append(f"no images of {few(unused)}, so not a class")
    if untested := list(names[in_train & ~in_test]):
        notes.append(f"no test images of {few(untested)}")
    # Labels of the source -> labels of the classes that have images, int64 [classes of the source].
    new_labels = np.cumsum(in_train) - 1

    def image_set(entry: Entry, notes: list[str]) -> ImageSet:
        return ImageSet(
            name=readable_line(source.name),
            images=torch.from_numpy(entry.images),
            labels=torch.from_numpy(new_labels[entry.labels]),
            classes=classes,
            fingerprint=entry.fingerprint,
            groups=groups,
            mirror=source.mirror,
            notes=tuple(map(readable_line, notes)),
            clusters=None if entry.clusters is None else torch.from_numpy(entry.clusters),
            decoding=entry.decoding,
            identity=entry.identity,
        )

    first = image_set(train, notes)
    return TrainTest(first, first if len(entries) == 1 else image_set(test, []))


def _notes_on_parts(source: Source, entries: list[Entry], options: LoadOptions) -> list[str]:
    """Return sentences about the test part and about groups of images."""
    train, test = entries[0], entries[-1]
    share = options.test_share
    notes = []
    if share is not None and not source.has_test and train.clusters is None:
        notes.append(
            f"{source.name} has no test set: a fixed, stratified {share:.0%} of its images is used "
            "as one"
        )
    elif share is not None and not source.has_test:
        share = len(test.labels) / (len(train.labels) + len(test.labels))
        notes.append(
            f"{source.name} has no test set: a fixed {share:.0%} of its images is used as one, in "
            "whole groups"
        )
    elif share not in (None, TEST_SHARE):
        notes.append(f"{source.name} has a test part, so no share of its images was set aside")
    if options.group_by is not None and train.clusters is not None:
        tested = test.clusters if len(entries) == 2 else None
        notes += grouping.notes(options.group_by, train.clusters, tested)
    return notes


def _check_classes(
    place: Path, names: np.ndarray, in_train: np.ndarray, in_test: np.ndarray, explanation: str
) -> None:
    """Raise UserError unless at least two classes can be trained and tested.

    Args:
        place: folder of the data set.
        names: class names, [classes].
        in_train: whether each class has training images, bool [classes].
        in_test: whether each class has test images, bool [classes].
        explanation: what was left out, which may explain the problem; or an empty string.
    """
    reason = f" ({explanation})" if explanation else ""
    unknown = list(names[in_test & ~in_train])
    if unknown:
        raise UserError(
            f"{place} has test images but no training images of {few(unknown)}{reason}: add some."
        )
    n_classes = int(in_train.sum())
    if not n_classes and explanation:
        raise UserError(f"{place} has no training image that can be read: {explanation}.")
    if n_classes < 2:
        has = f"only {str(names[in_train][0])!r}" if n_classes else "none"
        raise UserError(
            f"{place} needs images of at least two classes, but has {has}{reason}: add images of "
            "other classes."
        )


def _check_test_part(place: Path, in_test: np.ndarray, has_test: bool, explanation: str) -> None:
    """Raise UserError unless there are test images, of the data set or set aside."""
    if in_test.any():
        return
    reason = f" ({explanation})" if explanation else ""
    if has_test:
        raise UserError(f"{place} has no test images{reason}: add some.")
    raise UserError(
        f"{place} has no class with two images{reason}, so that no share of them can be set aside "
        "as test images: add images, or name test images with --test."
    )
