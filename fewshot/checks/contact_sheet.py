"""Draw the contact sheet of a data set: a row of images for each class."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from episodes.types import ImageSet
from fewshot.io import make_folder, write_bytes

ANOTHER_FILE = "name another file for the contact sheet with --sheet"
IMAGES_PER_CLASS = 10
MOST_CLASSES = 40
LONGEST_NAME = 22  # characters

# Sizes in pixels.
CELL = 64
MARGIN = 4
NAME_WIDTH = 150
FONT_SIZE = 13


def write(images: ImageSet, path: Path) -> None:
    """Write the contact sheet of a data set as a PNG file; its folder is created if necessary.

    Raises:
        UserError: the file cannot be written.
    """
    buffer = io.BytesIO()
    draw(images).save(buffer, "PNG")
    make_folder(path.parent, ANOTHER_FILE)
    write_bytes(path, buffer.getvalue(), ANOTHER_FILE)


def draw(images: ImageSet) -> Image.Image:
    """Draw the first ten images of each of the first 40 classes, with the names of the classes.

    Images are resized without smoothing, so that their pixels can be seen.
    """
    classes = images.classes[:MOST_CLASSES]
    step = CELL + MARGIN
    width, height = NAME_WIDTH + IMAGES_PER_CLASS * step + MARGIN, len(classes) * step + MARGIN
    sheet = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(sheet)
    labels = images.labels.numpy()
    for label, name in enumerate(classes):
        top = MARGIN + label * step
        position = (MARGIN, top + CELL // 2 - 7)
        pen.text(position, name[:LONGEST_NAME], fill="black", font_size=FONT_SIZE)
        indices = np.flatnonzero(labels == label)[:IMAGES_PER_CLASS]
        for column, index in enumerate(indices.tolist()):
            pixels = images.images[index].permute(1, 2, 0).numpy()
            cell = Image.fromarray(pixels).resize((CELL, CELL), Image.Resampling.NEAREST)
            sheet.paste(cell, (NAME_WIDTH + column * step, top))
    return sheet
