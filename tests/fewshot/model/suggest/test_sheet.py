"""The sheet shows every suggested image in its place. Oracle: colours of pictures that differ."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fewshot.model.suggest import sheet


def test_each_picture_lies_in_its_cell_above_its_caption() -> None:
    colours = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (0, 250, 250)] * 2
    pictures = [np.full((30, 30, 3), colour, dtype=np.uint8) for colour in colours]
    content = sheet.png(pictures, [f"folder/{i}.png" for i in range(8)])
    drawn = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    for position, colour in enumerate(colours):
        row, column = divmod(position, sheet.COLUMNS)
        left = sheet.MARGIN + column * (sheet.CELL + sheet.MARGIN)
        top = sheet.MARGIN + row * (sheet.CELL + sheet.CAPTION + sheet.MARGIN)
        cell = drawn[top : top + sheet.CELL, left : left + sheet.CELL]
        assert (cell == colour).all()
        caption = drawn[top + sheet.CELL : top + sheet.CELL + sheet.CAPTION, left : left + 60]
        assert caption.min() < 128, "a number is written below"


def test_a_picture_that_is_not_square_is_shown_as_a_whole() -> None:
    picture = np.zeros((20, 60, 3), dtype=np.uint8)
    drawn = np.asarray(sheet.draw([picture], ["a"]))
    dark = (drawn[: sheet.MARGIN + sheet.CELL] < 50).all(2)
    assert abs(dark.sum() - sheet.CELL * sheet.CELL / 3) < 0.03 * sheet.CELL**2


def test_long_names_do_not_reach_the_next_image() -> None:
    names = ["W" * 30 + ".JPEG", "i" * 60 + ".JPEG", "n03394916_35457.JPEG"] * 2
    picture = np.full((20, 20, 3), 255, dtype=np.uint8)
    drawn = np.asarray(sheet.draw([picture] * 6, names))
    step = sheet.CELL + sheet.MARGIN
    gaps = [drawn[:, column * step + 1 : column * step + sheet.MARGIN] for column in range(1, 6)]
    assert all((gap > 200).all() for gap in gaps)


def test_a_large_number_is_cut() -> None:
    pictures = [np.zeros((4, 4, 3), dtype=np.uint8)] * (sheet.MOST + 1)
    content = sheet.png(pictures, ["a"] * len(pictures))
    n_rows = -(-sheet.MOST // sheet.COLUMNS)
    height = n_rows * (sheet.CELL + sheet.CAPTION + sheet.MARGIN) + sheet.MARGIN
    assert Image.open(io.BytesIO(content)).size[1] == height
