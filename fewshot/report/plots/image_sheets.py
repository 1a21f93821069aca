"""Sheets of images that tell about a run: the most confident mistakes, the labelled images nearest to a query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fewshot.report.plots.style import BLUE, GREY, VERMILION, short

WIDTH, MARGIN, LETTER = 1400, 16, 24  # pixels; shown at half the size
COLUMNS = 5  # of the mistakes
Size = tuple[int, int]


class Mistake(NamedTuple):
    """A test image by its index, the true and the predicted class, by number, and the probability of the latter."""

    image: int
    true: int
    predicted: int
    probability: float


class Neighbour(NamedTuple):
    """A labelled image: its index among the training images, its class, and its distance, 1 - cosine, in 0..2."""

    image: int
    label: int
    distance: float


def mistakes(probabilities: np.ndarray, labels: np.ndarray, most: int) -> list[Mistake]:
    """The images taken for a wrong class with the greatest probability, of equal ones the first; [n, n_way] and [n]."""
    predicted = probabilities.argmax(1)
    sure = probabilities.max(1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-sure[wrong], kind="stable")][:most]
    return [
        Mistake(int(each), int(labels[each]), int(predicted[each]), float(sure[each]))
        for each in order
    ]


def of_mistakes(
    found: Sequence[Mistake], pictures: np.ndarray, classes: Sequence[str]
) -> Image.Image:
    """Five in a row, each with its true class, the predicted one and its probability; pictures uint8 [n, h, w, c]."""
    side = (WIDTH - (COLUMNS + 1) * MARGIN) // COLUMNS
    step = side + 3 * (LETTER + 6) + MARGIN
    rows = -(-len(found) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH, rows * step + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (mistake, pixels) in enumerate(zip(found, pictures, strict=True)):
        row, column = divmod(number, COLUMNS)
        left, top = MARGIN + column * (side + MARGIN), MARGIN + row * step
        sheet.paste(_cell(pixels, side), (left, top))
        lines = [
            (f"is {classes[mistake.true]}", "black"),
            (f"said {classes[mistake.predicted]}", VERMILION),
            (f"{100 * mistake.probability:.1f}% sure", VERMILION),
        ]
        for line, (text, colour) in enumerate(lines):
            _write(pen, (left, top + side + 4 + line * (LETTER + 6)), text, side, colour)
    return sheet


def of_neighbours(
    found: Sequence[tuple[Mistake, Sequence[Neighbour]]],
    queries: np.ndarray,
    neighbours: Sequence[np.ndarray],
    classes: Sequence[str],
) -> Image.Image:
    """A row for each query: the test image, then its neighbours, framed by whose class they have.

    queries uint8 [n, h, w, c]; neighbours: the same of each query's. Blue: the true class, vermilion: the predicted
    one, grey: another.
    """
    columns = 1 + max(len(each) for _, each in found)
    gap = 2 * MARGIN  # between a query and its neighbours
    side = (WIDTH - gap - (columns + 1) * MARGIN) // columns
    step, top_line = side + 2 * (LETTER + 6) + 2 * MARGIN, 2 * (LETTER + 8) + 2 * MARGIN
    sheet = Image.new("RGB", (WIDTH, top_line + len(found) * step + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    _legend(pen, MARGIN + side + gap + MARGIN)
    for row, ((query, near), pixels, others) in enumerate(
        zip(found, queries, neighbours, strict=True)
    ):
        top = top_line + row * step
        sheet.paste(_cell(pixels, side), (MARGIN, top))
        _write(pen, (MARGIN, top + side + 4), f"is {classes[query.true]}", side, BLUE)
        said = f"said {classes[query.predicted]}"
        _write(pen, (MARGIN, top + side + LETTER + 10), said, side, VERMILION)
        for column, (each, picture) in enumerate(zip(near, others, strict=True), start=1):
            left = MARGIN + gap + column * (side + MARGIN)
            colour = (
                BLUE
                if each.label == query.true
                else VERMILION
                if each.label == query.predicted
                else GREY
            )
            pen.rectangle((left - 5, top - 5, left + side + 4, top + side + 4), fill=colour)
            sheet.paste(_cell(picture, side), (left, top))
            _write(pen, (left, top + side + 8), classes[each.label], side, "black")
            _write(pen, (left, top + side + LETTER + 14), f"{each.distance:.3f}", side, "#444444")
    return sheet


def _legend(pen: Any, left: int) -> None:
    pen.text((MARGIN, MARGIN), "test image", fill="black", font=_font(LETTER))
    pen.text(
        (left, MARGIN),
        "nearest labelled images, class and distance; frame:",
        fill="black",
        font=_font(LETTER),
    )
    place = float(left)
    for text, colour in (
        ("true class", BLUE),
        ("predicted class", VERMILION),
        ("another class", GREY),
    ):
        pen.rectangle(
            (place, MARGIN + LETTER + 10, place + LETTER - 4, MARGIN + 2 * LETTER + 6), fill=colour
        )
        pen.text((place + LETTER + 4, MARGIN + LETTER + 6), text, fill="black", font=_font(LETTER))
        place += 3 * LETTER + pen.textlength(text, font=_font(LETTER))


def _cell(pixels: np.ndarray, side: int) -> Image.Image:
    """An image at the sheet's size: its pixels as they are where it is small, smoothed where it is large."""
    picture = Image.fromarray(pixels)
    small = 2 * max(picture.size) <= side
    return picture.resize(
        (side, side), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    )


def _write(pen: Any, place: Size, text: str, width: int, colour: str) -> None:
    """A line of text, shortened to what fits."""
    most = len(text)
    while most > 4 and pen.textlength(short(text, most), font=_font(LETTER)) > width:
        most -= 1
    pen.text(place, short(text, most), fill=colour, font=_font(LETTER))


@cache
def _font(size: int) -> Any:
    """The letters of the charts, which know more alphabets than Pillow's own."""
    import matplotlib

    return ImageFont.truetype(
        str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size
    )
