"""Augmentations that change colours: brightness, contrast, saturation, hue, grey and noise."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    per_image,
    random_mask,
    uniform,
)


def jitter(
    images: Tensor,
    generator: torch.Generator,
    brightness: Share = 0.2,
    contrast: Share = 0.2,
    saturation: Share = 0.2,
    hue: Annotated[float, Within(0, 0.5)] = 0.0,
) -> Tensor:
    """Change the brightness, contrast, saturation and hue of each image, in this order.

    The parameters mean the same as in torchvision's ColorJitter, which applies the changes in
    random order.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random factors.
        brightness, contrast, saturation: x for factors from 1 - x to 1 + x.
        hue: x for a shift by up to x of the colour circle (HSV) in either direction. Saturation and
            hue do not change images that have other than three channels.
    """
    check_images(images)
    result = images
    if brightness > 0:
        result = brightened(result, uniform(images, generator, 1 - brightness, 1 + brightness))
    if contrast > 0:
        result = contrasted(result, uniform(images, generator, 1 - contrast, 1 + contrast))
    if saturation > 0 and images.shape[1] == 3:
        result = saturated(result, uniform(images, generator, 1 - saturation, 1 + saturation))
    if hue > 0 and images.shape[1] == 3:
        result = hue_shifted(result, uniform(images, generator, -hue, hue))
    return result


def contrast(
    images: Tensor, generator: torch.Generator, most: Annotated[float, Within(0)] = 2.0
) -> Tensor:
    """Increase the contrast of each image about its mean grey by a factor from 1 to 1 + `most`."""
    check_images(images)
    return contrasted(images, uniform(images, generator, 1, 1 + most))


def grey(images: Tensor, generator: torch.Generator, p: Share = 0.2) -> Tensor:
    """Convert each image to grey with probability p."""
    check_images(images)
    return torch.where(random_mask(images, generator, p), luminance(images), images)


def noise(images: Tensor, generator: torch.Generator, most: Share = 0.1) -> Tensor:
    """Add Gaussian noise to each image, with a standard deviation between 0 and `most`."""
    check_images(images)
    deviations = per_image(uniform(images, generator, 0, most)).to(images.dtype)
    values = torch.randn(
        images.shape, generator=generator, device=images.device, dtype=images.dtype
    )
    return values.mul_(deviations).add_(images).clamp_(0, 1)


def luminance(images: Tensor) -> Tensor:
    """Return grey images [n, 1, h, w], weighted as in torchvision.

    Images that have other than three channels are averaged over their channels.
    """
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    weighted: Tensor = (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)
    return weighted


def brightened(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply images by factors [n]."""
    return (images * per_image(factors).to(images.dtype)).clamp_(0, 1)


def contrasted(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference of images from their mean grey by factors [n]."""
    return _extrapolated(images, luminance(images).mean((1, 2, 3), keepdim=True), factors)


def saturated(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference of images from their grey version by factors [n]."""
    return _extrapolated(images, luminance(images), factors)


def _extrapolated(images: Tensor, references: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference of images from references by factors [n]."""
    return torch.lerp(references, images, per_image(factors).to(images.dtype)).clamp_(0, 1)


def sharpened(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply the difference of images from their smoothed version by factors [n].

    Pixels at the edge do not change.
    """
    c, h, w = images.shape[1:]
    if min(h, w) < 3:
        return images
    weights = torch.ones(3, 3, dtype=images.dtype, device=images.device)
    weights[1, 1] = 5
    smooth = F.conv2d(images, (weights / weights.sum()).expand(c, 1, 3, 3), groups=c)
    is_interior = F.pad(torch.ones_like(smooth, dtype=torch.bool), (1, 1, 1, 1))
    sharp = _extrapolated(images, F.pad(smooth, (1, 1, 1, 1)), factors)
    return torch.where(is_interior, sharp, images)


def posterized(images: Tensor, steps: Tensor) -> Tensor:
    """Round the 256 levels of images down to multiples of steps [n]."""
    steps = per_image(steps.clamp(min=1))
    return ((_levels(images) / steps).floor() * steps / 255).to(images.dtype)


def solarized(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert the values of images that are at least thresholds [n]."""
    return torch.where(images >= per_image(thresholds).to(images.dtype), 1 - images, images)


def stretched(images: Tensor) -> Tensor:
    """Stretch every channel to the range from 0 to 1; a constant channel does not change."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / torch.where(high > low, high - low, 1), images)


def equalized(images: Tensor) -> Tensor:
    """Equalise the histogram of every channel over 256 levels.

    Source:
        `equalize` in torchvision and Pillow, which this reproduces.
    """
    values = _levels(images).long().flatten(2)
    one = torch.ones((), device=images.device)
    counts = torch.zeros(*values.shape[:2], 256, device=images.device)
    counts = counts.scatter_add_(2, values, one.expand(values.shape))
    n_pixels = values.shape[2]
    n_brightest = counts.gather(2, values.amax(2, keepdim=True))
    step = ((n_pixels - n_brightest) / 255).floor()
    table = counts.cumsum(2) - counts + (step / 2).floor()
    table = table.div_(step.clamp(min=1)).floor_().clamp_(max=255)
    result = (table.gather(2, values) / 255).view(images.shape).to(images.dtype)
    return torch.where(step[..., None] > 0, result, images)


def _levels(images: Tensor) -> Tensor:
    """Convert values to whole numbers from 0 to 255, float32."""
    return (images.float() * 255).round_()


def hue_shifted(images: Tensor, shifts: Tensor) -> Tensor:
    """Shift the hue (HSV) of images [n, 3, h, w].

    Args:
        images: float [n, 3, h, w] in [0, 1].
        shifts: fractions of the colour circle, [n]; 0.5 gives the complementary colour.
    """
    red, green, blue = images.split(1, dim=1)
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    divisor = torch.where(chroma > 0, chroma, 1)
    sextant = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue = sextant / 6 + per_image(shifts).to(images.dtype)
    hue = 6 * (hue - hue.floor())  # many times faster than remainder
    # The share of full saturation that red, green and blue keep at this hue.
    shares = torch.cat([(hue - 3).abs() - 1, 2 - (hue - 2).abs(), 2 - (hue - 4).abs()], dim=1)
    return (value - chroma * (1 - shares.clamp_(0, 1))).clamp_(0, 1)
