"""Oracles: every possible box made by a plain loop, and tests of the distribution of boxes."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from episodes import augment
from tests.episodes.augment.samples import distinct, pictures, seeded


def test_blacken_border_agrees_with_a_loop_and_widths_are_equally_likely() -> None:
    widths_of_image = {}
    for height in range(3):
        for width in range(5):
            frame = np.zeros((1, 10, 20), np.float32)
            for row in range(height, 10 - height):
                for column in range(width, 20 - width):
                    frame[0, row, column] = 1
            widths_of_image[frame.tobytes()] = height, width
    result = augment.blacken_border(torch.ones(900, 1, 10, 20), seeded())
    widths = [widths_of_image[image.numpy().tobytes()] for image in result]
    counts = [widths.count(border) for border in widths_of_image.values()]
    assert stats.chisquare(counts).pvalue > 0.001


def test_blacken_border_of_a_half_can_hide_the_whole_image() -> None:
    result = augment.blacken_border(torch.ones(300, 1, 10, 20), seeded(), fraction=0.5)
    assert result.sum((1, 2, 3)).min() == 0


@pytest.mark.parametrize(("size", "side"), [(3, 3), (0.5, 4), (1, 1), (1.0, 8)])
def test_cutout_hides_a_square_around_every_possible_pixel(size: float, side: int) -> None:
    expected = set()
    for y in range(8):
        for x in range(9):
            image = np.ones((1, 8, 9), np.float32)
            for row in range(max(0, y - side // 2), min(8, y - side // 2 + side)):
                for column in range(max(0, x - side // 2), min(9, x - side // 2 + side)):
                    image[0, row, column] = 0
            expected.add(image.tobytes())
    assert distinct(augment.cutout(torch.ones(2000, 1, 8, 9), seeded(), size=size)) == expected


def test_cutout_can_fill_with_the_mean_colour() -> None:
    images = pictures(50)
    black = augment.cutout(images, seeded(), 8)
    mean = augment.cutout(images, seeded(), 8, fill="mean")
    for image, hidden, filled in zip(images, black, mean, strict=True):
        hole = (hidden == 0).all(0)
        colours = image.mean((1, 2))[:, None].expand(3, int(hole.sum()))
        torch.testing.assert_close(filled[:, hole], colours)
        assert torch.equal(filled[:, ~hole], image[:, ~hole])


def test_erase_hides_whole_boxes_of_uniform_area_anywhere_in_the_image() -> None:
    h, w, n = 64, 48, 1000
    images = torch.ones(n, 1, h, w)
    result = augment.erase(images, seeded(), p=0.7, area=(0.1, 0.3), ratio=(0.5, 2.0))
    areas, ratios, edges = [], [], set()
    for hole in result[:, 0] == 0:
        rows, columns = (hole.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
        if rows:
            height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
            assert hole.sum() == height * width
            areas.append(height * width / (h * w))
            ratios.append(math.log(width / height))
            edges |= {("top", rows[0]), ("bottom", rows[-1])}
            edges |= {("left", columns[0]), ("right", columns[-1])}
    assert 0.65 < len(areas) / n < 0.75
    assert stats.kstest(areas, "uniform", (0.1, 0.2)).statistic < 0.06
    assert stats.kstest(ratios, "uniform", (-math.log(2), 2 * math.log(2))).statistic < 0.06
    assert {("top", 0), ("bottom", h - 1), ("left", 0), ("right", w - 1)} <= edges


def test_erase_clamps_a_ratio_that_does_not_fit() -> None:
    images = torch.ones(500, 1, 10, 40)
    result = augment.erase(images, seeded(), p=1.0, area=(0.5, 0.5), ratio=(0.1, 0.1))
    # The narrowest box of half the area is 10 x 20.
    assert torch.equal(result.sum((1, 2, 3)), torch.full((500,), 200.0))


def test_erase_can_fill_with_noise() -> None:
    result = augment.erase(torch.zeros(400, 3, 20, 20), seeded(), p=1.0, fill="noise")
    noise = result[result > 0]
    assert stats.kstest(noise, "uniform").statistic < 0.01
    assert 0.12 < len(noise) / result.numel() < 0.23
