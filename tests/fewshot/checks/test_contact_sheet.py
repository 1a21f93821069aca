"""Oracle: flat images, whose colours must appear at known positions of the sheet."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from episodes.types import ImageSet
from fewshot.checks import contact_sheet
from fewshot.checks.contact_sheet import CELL, IMAGES_PER_CLASS, MARGIN, MOST_CLASSES, NAME_WIDTH


def flat_images(labels: list[int], n_classes: int) -> ImageSet:
    """Return images whose grey level is ten times their index."""
    n = len(labels)
    images = (10 * torch.arange(n, dtype=torch.uint8)).view(n, 1, 1, 1).expand(n, 3, 4, 4).clone()
    classes = tuple(f"class {i}" for i in range(n_classes))
    return ImageSet("flat", images, torch.tensor(labels), classes, "none", {})


def cell(sheet: Image.Image, row: int, column: int) -> np.ndarray:
    left, top = NAME_WIDTH + column * (CELL + MARGIN), MARGIN + row * (CELL + MARGIN)
    return np.asarray(sheet.crop((left, top, left + CELL, top + CELL)))


def test_every_class_has_a_row_with_its_first_images() -> None:
    sheet = contact_sheet.draw(flat_images([0, 1, 0, 1, 1], 3))
    for (row, column), level in {(0, 0): 0, (0, 1): 20, (1, 0): 10, (1, 1): 30, (1, 2): 40}.items():
        assert (cell(sheet, row, column) == level).all()
    for row, column in ((0, 2), (2, 0)):
        assert (cell(sheet, row, column) == 255).all()


def test_names_are_written_to_the_left_of_the_images() -> None:
    sheet = np.asarray(contact_sheet.draw(flat_images([1], 2)).convert("L"))
    step = CELL + MARGIN
    for row in range(2):
        assert sheet[MARGIN + row * step : MARGIN + row * step + CELL, :NAME_WIDTH].min() < 128


def test_large_data_sets_show_a_limited_number_of_classes_and_images() -> None:
    labels = [0] * 30 + list(range(1, MOST_CLASSES + 5))
    sheet = contact_sheet.draw(flat_images(labels, MOST_CLASSES + 5))
    step = CELL + MARGIN
    assert sheet.size == (
        NAME_WIDTH + IMAGES_PER_CLASS * step + MARGIN,
        MOST_CLASSES * step + MARGIN,
    )


@pytest.mark.parametrize("folder", [".", "new/folder"])
def test_the_file_is_a_png_and_its_folder_is_created(tmp_path: Path, folder: str) -> None:
    images = flat_images([0, 1], 2)
    contact_sheet.write(images, tmp_path / folder / "sheet.png")
    with Image.open(tmp_path / folder / "sheet.png") as image:
        assert image.format == "PNG"
        np.testing.assert_array_equal(np.asarray(image), np.asarray(contact_sheet.draw(images)))
