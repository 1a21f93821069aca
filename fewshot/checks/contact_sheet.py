"""What a data set looks like: its sizes in words, its classes in a contact sheet."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from episodes import datasets
from episodes.types import ImageSet, TrainTest
from fewshot.io import make_folder, write_bytes

COLUMNS, CELL, MARGIN, NAMES, MOST_CLASSES = 10, 64, 4, 150, 40


def describe(name: str, image_size: int | None, sheet: Path | None) -> tuple[str, Path]:
    """Sizes and classes as text, and where the contact sheet was written."""
    data = datasets.load(name, image_size=image_size, progress=True)
    place = sheet or Path(f"{data.train.name}-contact-sheet.png")
    buffer = io.BytesIO()
    draw(data.train).save(buffer, "PNG")
    make_folder(place.parent)
    write_bytes(place, buffer.getvalue())
    return text(data), place


def text(data: TrainTest) -> str:
    """Counts by class, the working size, superclasses, and the notes of the loader."""
    train, test = data
    _, _, height, width = train.images.shape
    counts = [part.labels.bincount(minlength=len(train.classes)).tolist() for part in data]
    lines = [
        f"{train.name}: {len(train):,} training and {len(test):,} test images of {width}x{height} pixels, "
        f"{len(train.classes)} classes",
        f"fingerprint: {train.fingerprint}",
    ]
    widest = max(len(name) for name in train.classes)
    lines += [
        f"  {name:<{widest}}  {n_train:>6,} train  {n_test:>6,} test"
        for name, n_train, n_test in zip(train.classes, *counts, strict=True)
    ]
    lines += [
        f"superclass {group}: {', '.join(members)}" for group, members in train.groups.items()
    ]
    return "\n".join(lines + [f"note: {note}" for note in dict.fromkeys(train.notes + test.notes)])


def draw(images: ImageSet) -> Image.Image:
    """A row of ten images for each class (of the first 40), enlarged without smoothing, with its name."""
    classes = images.classes[:MOST_CLASSES]
    step = CELL + MARGIN
    sheet = Image.new(
        "RGB", (NAMES + COLUMNS * step + MARGIN, len(classes) * step + MARGIN), "white"
    )
    pen = ImageDraw.Draw(sheet)
    labels = images.labels.numpy()
    for row, name in enumerate(classes):
        top = MARGIN + row * step
        pen.text((MARGIN, top + CELL // 2 - 7), name[:22], fill="black", font_size=13)
        for column, index in enumerate(np.flatnonzero(labels == row)[:COLUMNS].tolist()):
            pixels = images.images[index].permute(1, 2, 0).numpy()
            cell = Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.NEAREST)
            sheet.paste(cell, (NAMES + column * step, top))
    return sheet
