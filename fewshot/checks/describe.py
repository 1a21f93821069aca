"""Describe a data set in words, for the command `fewshot data NAME`."""

from __future__ import annotations

from episodes.types import TrainTest


def text(data: TrainTest) -> str:
    """Return the sizes, the images of each class, the superclasses and the notes of a data set."""
    train, test = data
    n_classes = len(train.classes)
    sizes = f"{len(train):,} training and {len(test):,} test images"
    columns = {"train": train, "test": test}
    if data.is_whole:
        sizes, columns = f"{len(train):,} images", {"in all": train}
    height, width = train.images.shape[-2:]
    lines = [
        f"{train.name}: {sizes} of {width}x{height} pixels, {n_classes} classes",
        f"fingerprint: {train.fingerprint}",
    ]
    counts = [part.labels.bincount(minlength=n_classes).tolist() for part in columns.values()]
    longest = max(len(name) for name in train.classes)
    for name, *numbers in zip(train.classes, *counts, strict=True):
        cells = [f"{number:>6,} {of}" for number, of in zip(numbers, columns, strict=True)]
        lines.append(f"  {name:<{longest}}  {'  '.join(cells)}")
    for superclass, names in train.groups.items():
        lines.append(f"superclass {superclass}: {', '.join(names)}")
    notes = dict.fromkeys(train.notes + test.notes)  # without repetitions, in order
    if data.is_whole:
        notes[
            "no test part: a run cross-validates, so that every image is tested; --test takes "
            "other images, or a share of these, as the test set"
        ] = None
    return "\n".join([*lines, *(f"note: {note}" for note in notes)])
