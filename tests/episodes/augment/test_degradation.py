"""Oracles: JPEG files that Pillow writes and reads, and scipy's Gaussian filter."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage, stats
from torch import Tensor

from episodes import augment
from episodes.augment import degradation
from tests.episodes.augment.samples import pictures, seeded


def through_pillow(images: Tensor, quality: int) -> Tensor:
    """Write images as JPEG, 4:2:0, and read them again."""
    results = []
    for image in images:
        pixels = (image * 255).round().byte().permute(1, 2, 0).numpy()
        file = io.BytesIO()
        Image.fromarray(pixels.squeeze()).save(file, "JPEG", quality=quality, subsampling=2)
        read = np.asarray(Image.open(file), np.float32).reshape(pixels.shape)
        results.append(torch.from_numpy(read).permute(2, 0, 1) / 255)
    return torch.stack(results)


@pytest.mark.parametrize("size", [(32, 32), (48, 64), (37, 45), (8, 19)])
@pytest.mark.parametrize("quality", [10, 30, 50, 75, 95])
def test_jpeg_agrees_with_pillow(quality: int, size: tuple[int, int]) -> None:
    images = (pictures(8, *size) * 255).round() / 255
    # Pillow rounds chroma twice more, and may round a coefficient halfway between two steps up or
    # down.
    for given, bound in ((images, 2.5), (images[:, :1], 0.5)):
        ours = degradation.compressed(given, torch.full((8,), float(quality)))
        difference = 255 * (ours - through_pillow(given, quality)).abs()
        assert difference.mean() < bound
    assert (difference > 1.01).float().mean() < 0.1


def test_jpeg_loses_less_at_every_higher_quality() -> None:
    images = pictures(6, 40, 40)
    losses = []
    for quality in (1.0, 10.0, 30.0, 49.9, 70.0, 90.0, 100.0):
        difference = degradation.compressed(images, torch.full((6,), quality)) - images
        losses.append(difference.square().mean((1, 2, 3)))
    assert (torch.stack(losses).diff(dim=0) < 0).all()


def test_jpeg_chooses_each_quality_uniformly_from_its_range() -> None:
    image = pictures(1, 48, 48)
    qualities = torch.arange(30.0, 70.0, 0.25)
    copies = image.expand(len(qualities), -1, -1, -1)
    candidates = degradation.compressed(copies, qualities).flatten(1)
    results = augment.jpeg(image.expand(400, -1, -1, -1), seeded(), (30.0, 70.0)).flatten(1)
    distances = torch.cdist(results, candidates)
    nearest = qualities[distances.argmin(1)]
    assert stats.kstest(nearest, "uniform", (30, 40)).statistic < 0.09
    assert distances.amin(1).mean() < 0.2 * distances.mean()


def test_jpeg_of_an_image_does_not_depend_on_the_rest_of_the_batch() -> None:
    images, qualities = pictures(5, 20, 28), torch.tensor([20.0, 80.0, 35.0, 95.0, 60.0])
    together = degradation.compressed(images, qualities)
    for i in range(5):
        alone = degradation.compressed(images[i : i + 1], qualities[i : i + 1])
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("sigma", [0.0, 0.4, 1.0, 3.0, 9.0])
def test_blur_agrees_with_scipy(sigma: float) -> None:
    images = pictures(4, 20, 27, torch.float64)
    expected = ndimage.gaussian_filter(
        images.numpy(), (0, 0, sigma, sigma), mode="reflect", truncate=8.0
    )
    ours = degradation.blurred(images, torch.tensor([sigma, 0.1, sigma, sigma + 1]))[[0, 2]]
    torch.testing.assert_close(ours, torch.from_numpy(expected)[[0, 2]], atol=1e-6, rtol=0)


def test_blur_chooses_each_deviation_uniformly_from_its_range() -> None:
    dot = torch.zeros(1000, 1, 31, 31)
    dot[:, :, 15, 15] = 1
    result = augment.blur(dot, seeded(), (0.8, 2.5))[:, 0]
    distances = torch.arange(31) - 15.0
    for axis in (1, 2):
        # The variance of the image of a dot is that of the Gaussian.
        deviations = (result.sum(axis) * distances.square()).sum(1).sqrt()
        assert stats.kstest(deviations, "uniform", (0.8, 1.7)).pvalue > 0.001
