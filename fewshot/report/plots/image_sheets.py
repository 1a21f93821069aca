"""Sheets of images about a run: confident mistakes, and the labelled images nearest to a query."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from fewshot.report.formatting import shortened
from fewshot.report.plots.style import BLUE, GREY, ORANGE

WIDTH, MARGIN, LETTER = 1400, 16, 24  # pixels; the sheet is shown at half its size
COLUMNS = 5  # of the mistakes
LEGEND = (("true class", BLUE), ("predicted class", ORANGE), ("another class", GREY))
Size = tuple[int, int]


class Mistake(NamedTuple):
    """A test image by its index, its true and predicted class by number, and the probability."""

    image: int
    true: int
    predicted: int
    probability: float


class Neighbour(NamedTuple):
    """A training image by its index, its class, and its distance, 1 - cosine, from 0 to 2."""

    image: int
    label: int
    distance: float


def mistakes(probabilities: np.ndarray, labels: np.ndarray, most: int) -> list[Mistake]:
    """Return the wrong predictions with the greatest probability; of equal ones the first.

    Args:
        probabilities: [n, n_way].
        labels: [n].
        most: how many at most.
    """
    predicted, confidence = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != labels)
    order = wrong[np.argsort(-confidence[wrong], kind="stable")][:most]
    return [Mistake(int(i), int(labels[i]), int(predicted[i]), float(confidence[i])) for i in order]


def of_mistakes(
    wrong: Sequence[Mistake], pictures: np.ndarray, classes: Sequence[str]
) -> Image.Image:
    """Return a sheet of mistakes, five in a row, with true class, predicted class and probability.

    Args:
        wrong: the mistakes.
        pictures: their images, uint8 [n, h, w, c].
        classes: the class names.
    """
    side = (WIDTH - (COLUMNS + 1) * MARGIN) // COLUMNS
    step = side + 3 * (LETTER + 6) + MARGIN
    rows = -(-len(wrong) // COLUMNS)
    sheet = Image.new("RGB", (WIDTH, rows * step + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    for number, (mistake, pixels) in enumerate(zip(wrong, pictures, strict=True)):
        row, column = divmod(number, COLUMNS)
        left, top = MARGIN + column * (side + MARGIN), MARGIN + row * step
        sheet.paste(_enlarged(pixels, side), (left, top))
        lines = [
            (f"true: {classes[mistake.true]}", "black"),
            (f"predicted: {classes[mistake.predicted]}", ORANGE),
            (f"probability {100 * mistake.probability:.1f}%", ORANGE),
        ]
        for line, (text, colour) in enumerate(lines):
            _write(pen, (left, top + side + 4 + line * (LETTER + 6)), text, side, colour)
    return sheet


def of_neighbours(
    pairs: Sequence[tuple[Mistake, Sequence[Neighbour]]],
    queries: np.ndarray,
    neighbours: Sequence[np.ndarray],
    classes: Sequence[str],
) -> Image.Image:
    """Return a sheet with a row per query: the test image, then its neighbours in frames.

    A frame is blue for the true class, orange for the predicted class, grey for another one.

    Args:
        pairs: each query with its neighbours.
        queries: the images of the queries, uint8 [n, h, w, c].
        neighbours: for each query the images of its neighbours, uint8 [k, h, w, c].
        classes: the class names.
    """
    columns = 1 + max(len(near) for _, near in pairs)
    gap = 2 * MARGIN  # between a query and its neighbours
    side = (WIDTH - gap - (columns + 1) * MARGIN) // columns
    step, top_line = side + 2 * (LETTER + 6) + 2 * MARGIN, 2 * (LETTER + 8) + 2 * MARGIN
    sheet = Image.new("RGB", (WIDTH, top_line + len(pairs) * step + MARGIN), "white")
    pen = ImageDraw.Draw(sheet)
    _legend(pen, MARGIN + side + gap + MARGIN)
    for row, ((query, near), pixels, others) in enumerate(
        zip(pairs, queries, neighbours, strict=True)
    ):
        top = top_line + row * step
        sheet.paste(_enlarged(pixels, side), (MARGIN, top))
        _write(pen, (MARGIN, top + side + 4), f"true: {classes[query.true]}", side, BLUE)
        predicted = f"predicted: {classes[query.predicted]}"
        _write(pen, (MARGIN, top + side + LETTER + 10), predicted, side, ORANGE)
        for column, (neighbour, picture) in enumerate(zip(near, others, strict=True), start=1):
            left = MARGIN + gap + column * (side + MARGIN)
            frame = (left - 5, top - 5, left + side + 4, top + side + 4)
            pen.rectangle(frame, fill=_colour(neighbour, query))
            sheet.paste(_enlarged(picture, side), (left, top))
            _write(pen, (left, top + side + 8), classes[neighbour.label], side, "black")
            distance = f"{neighbour.distance:.3f}"
            _write(pen, (left, top + side + LETTER + 14), distance, side, "#444444")
    return sheet


def _colour(neighbour: Neighbour, query: Mistake) -> str:
    if neighbour.label == query.true:
        return BLUE
    return ORANGE if neighbour.label == query.predicted else GREY


def _legend(pen: Any, left: int) -> None:
    font = _font(LETTER)
    pen.text((MARGIN, MARGIN), "test image", fill="black", font=font)
    title = "nearest labelled images, class and distance; frame:"
    pen.text((left, MARGIN), title, fill="black", font=font)
    x = float(left)
    for text, colour in LEGEND:
        box = (x, MARGIN + LETTER + 10, x + LETTER - 4, MARGIN + 2 * LETTER + 6)
        pen.rectangle(box, fill=colour)
        pen.text((x + LETTER + 4, MARGIN + LETTER + 6), text, fill="black", font=font)
        x += 3 * LETTER + pen.textlength(text, font=font)


def _enlarged(pixels: np.ndarray, side: int) -> Image.Image:
    """Return an image at the size of the sheet: small ones with visible pixels, others smoothed."""
    picture = Image.fromarray(pixels)
    small = 2 * max(picture.size) <= side
    method = Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS
    return picture.resize((side, side), method)


def _write(pen: Any, corner: Size, text: str, width: int, colour: str) -> None:
    """Write a line of text, shortened to the width."""
    most = len(text)
    while most > 4 and pen.textlength(shortened(text, most), font=_font(LETTER)) > width:
        most -= 1
    pen.text(corner, shortened(text, most), fill=colour, font=_font(LETTER))


@cache
def _font(size: int) -> Any:
    """Return the font of the charts, which covers more alphabets than the default of Pillow."""
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return ImageFont.truetype(str(path), size)
