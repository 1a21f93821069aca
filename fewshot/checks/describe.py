"""Describe a data set in words, and write its contact sheet: the command `fewshot data NAME`."""

from __future__ import annotations

from pathlib import Path

from episodes import datasets
from episodes.types import TrainTest
from fewshot.checks import contact_sheet


def describe(name: str, image_size: int | None, sheet: Path | None) -> tuple[str, Path]:
    """Load a data set, describe it in words and write its contact sheet.

    Args:
        name: name or path of the data set.
        image_size: side of the images in pixels; None for the default of the data set.
        sheet: where to write the contact sheet; None for NAME-contact-sheet.png in the current
            folder.

    Returns:
        The description, and the path of the contact sheet.

    Raises:
        UserError: the data set is missing or broken, or the contact sheet cannot be written.
    """
    data = datasets.load(name, image_size=image_size, progress=True)
    path = sheet or Path(f"{data.train.name}-contact-sheet.png")
    contact_sheet.write(data.train, path)
    return text(data), path


def text(data: TrainTest) -> str:
    """Return the sizes, the images of each class, the superclasses and the notes of a data set."""
    train, test = data
    height, width = train.images.shape[-2:]
    n_classes = len(train.classes)
    lines = [
        f"{train.name}: {len(train):,} training and {len(test):,} test images of "
        f"{width}x{height} pixels, {n_classes} classes",
        f"fingerprint: {train.fingerprint}",
    ]
    train_counts = train.labels.bincount(minlength=n_classes).tolist()
    test_counts = test.labels.bincount(minlength=n_classes).tolist()
    longest = max(len(name) for name in train.classes)
    for name, n_train, n_test in zip(train.classes, train_counts, test_counts, strict=True):
        lines.append(f"  {name:<{longest}}  {n_train:>6,} train  {n_test:>6,} test")
    for superclass, names in train.groups.items():
        lines.append(f"superclass {superclass}: {', '.join(names)}")
    notes = dict.fromkeys(train.notes + test.notes)  # without repetitions, in order
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])
