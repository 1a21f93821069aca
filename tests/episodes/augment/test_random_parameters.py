"""Oracles: Kolmogorov-Smirnov and chi-square tests, and boxes whose size is known by hand."""

import math

import pytest
import torch
from scipy import stats

from episodes.augment import random_parameters
from tests.episodes.augment.samples import seeded

IMAGES = torch.empty(2000, 1, 10, 40)


def test_uniform_numbers_fill_their_range() -> None:
    values = random_parameters.uniform(IMAGES, seeded(), -1, 3)
    assert values.shape == (2000,)
    assert stats.kstest(values, "uniform", (-1, 4)).pvalue > 0.001


def test_uniform_numbers_do_not_depend_on_the_precision_of_the_images() -> None:
    half = random_parameters.uniform(IMAGES.half(), seeded())
    assert torch.equal(half, random_parameters.uniform(IMAGES.double(), seeded()))
    assert half.dtype == torch.float32


def test_integers_include_both_ends_and_are_uniform() -> None:
    values = random_parameters.integers(IMAGES, seeded(), -1, 2)
    assert values.dtype == torch.int64
    assert (int(values.min()), int(values.max())) == (-1, 2)
    assert stats.chisquare((values + 1).bincount().numpy()).pvalue > 0.001


def test_a_random_mask_selects_its_share_and_broadcasts_over_pixels() -> None:
    mask = random_parameters.random_mask(IMAGES, seeded(), 0.3)
    assert mask.shape == (2000, 1, 1, 1)
    assert float(mask.float().mean()) == pytest.approx(0.3, abs=0.04)


@pytest.mark.parametrize(
    ("fraction", "size", "expected"), [(0.29, 100, 29), (0.2, 8, 1), (1.0, 7, 7), (0, 5, 0)]
)
def test_whole_pixels_rounds_down_in_spite_of_binary_fractions(
    fraction: float, size: int, expected: int
) -> None:
    assert random_parameters.whole_pixels(fraction, size) == expected


def test_a_box_of_an_impossible_ratio_has_its_area_and_the_nearest_ratio_that_fits() -> None:
    height, width = random_parameters.random_box(IMAGES, seeded(), (0.5, 0.5), (0.1, 0.1))
    torch.testing.assert_close(height, torch.full((2000,), 10.0))
    torch.testing.assert_close(width, torch.full((2000,), 20.0))


def test_boxes_have_a_uniform_area_and_a_log_uniform_ratio() -> None:
    height, width = random_parameters.random_box(IMAGES, seeded(), (0.01, 0.1), (0.5, 2.0))
    assert stats.kstest(height * width / 400, "uniform", (0.01, 0.09)).pvalue > 0.001
    ratios = (width / height).log()
    assert stats.kstest(ratios, "uniform", (-math.log(2), 2 * math.log(2))).pvalue > 0.001
