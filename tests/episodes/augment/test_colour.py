"""Oracles: torchvision's colour functions, and Kolmogorov-Smirnov tests of the random factors."""

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import functional as tv

from episodes import augment
from episodes.augment import colour
from tests.episodes.augment.samples import pictures, seeded


@pytest.mark.parametrize(
    ("ours", "theirs", "factors"),
    [
        (colour.brightened, tv.adjust_brightness, [0.0, 0.6, 1.0, 1.7]),
        (colour.contrasted, tv.adjust_contrast, [0.0, 0.6, 1.0, 3.0]),
        (colour.saturated, tv.adjust_saturation, [0.0, 0.6, 1.0, 1.7]),
        (colour.hue_shifted, tv.adjust_hue, [-0.5, -0.13, 0.0, 0.4]),
    ],
)
def test_colour_changes_agree_with_torchvision(
    ours: Callable[[Tensor, Tensor], Tensor],
    theirs: Callable[[Tensor, float], Tensor],
    factors: list[float],
) -> None:
    images = pictures(4)
    images[:, :, 0] = 0.5  # grey, which has no hue
    images[:, 2, 1] = images[:, 1, 1]  # two equal channels
    expected = [theirs(image, factor) for image, factor in zip(images, factors, strict=True)]
    result = ours(images, torch.tensor(factors))
    torch.testing.assert_close(result, torch.stack(expected), atol=2e-5, rtol=0)


def test_jitter_chooses_each_factor_uniformly_from_its_range() -> None:
    half_grey = torch.full((1000, 3, 2, 2), 0.5)
    factors = augment.jitter(half_grey, seeded(), 0.4, 0.0, 0.0, 0.0)[:, 0, 0, 0] / 0.5
    assert stats.kstest(factors, "uniform", (0.6, 0.8)).pvalue > 0.001
    images = torch.tensor([0.4, 0.6, 0.5]).view(1, 3, 1, 1).expand(1000, 3, 1, 1)
    for options in ((0.0, 0.3, 0.0, 0.0), (0.0, 0.0, 0.3, 0.0)):
        result = augment.jitter(images, seeded(), *options)
        factors = (result[:, 1] - result[:, 0]).flatten() / 0.2
        assert stats.kstest(factors, "uniform", (0.7, 0.6)).pvalue > 0.001
    shifted = augment.jitter(images, seeded(), 0.0, 0.0, 0.0, 0.05)
    # The hue is 150 degrees. Around it, a sixth of the circle changes blue by 0.2.
    blue = shifted[:, 2].flatten()
    assert stats.kstest(blue, "uniform", (0.44, 0.12)).pvalue > 0.001


def test_jitter_of_zero_changes_nothing() -> None:
    images = pictures(4)
    assert torch.equal(augment.jitter(images, seeded(), 0.0, 0.0, 0.0, 0.0), images)


def test_contrast_increases_by_a_uniform_factor_and_agrees_with_torchvision() -> None:
    image = pictures(1)[0] * 0.1 + 0.45  # too flat for any value to be clipped
    result = augment.contrast(image.expand(1000, -1, -1, -1), seeded(), most=2.0)
    factors = (result[:, 0, 3, 4] - result[:, 0, 20, 9]) / (image[0, 3, 4] - image[0, 20, 9])
    assert stats.kstest(factors, "uniform", (1, 2)).pvalue > 0.001
    for i in range(20):
        expected = tv.adjust_contrast(image, float(factors[i]))
        torch.testing.assert_close(result[i], expected, atol=1e-4, rtol=0)


def test_grey_agrees_with_torchvision_for_its_share_of_the_images() -> None:
    images = pictures(300)
    result = augment.grey(images, seeded(), p=0.3)
    is_grey = torch.isclose(result, tv.rgb_to_grayscale(images, 3)).flatten(1).all(1)
    assert torch.equal(result[~is_grey], images[~is_grey])
    assert 0.22 < is_grey.float().mean() < 0.38


def test_noise_has_a_mean_of_zero_and_a_deviation_up_to_the_largest() -> None:
    result = augment.noise(torch.full((500, 1, 30, 30), 0.5), seeded(), most=0.1) - 0.5
    deviations = result.std((1, 2, 3))
    assert abs(result.mean()) < 1e-3
    assert 0 <= deviations.min() < 0.002
    assert 0.098 < deviations.max() < 0.105
