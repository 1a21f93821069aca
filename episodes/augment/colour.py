"""Augmentations that change colours."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    chosen,
    per_image,
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
    """Change each image's brightness, contrast, saturation and hue, in this order.

    The numbers mean what they mean in torchvision's ColorJitter: factors from 1 - x to 1 + x, and a turn of
    the hue by up to x of the circle (in HSV) either way; unlike there, the order is not drawn. Saturation and
    hue pass over images of other than three channels.
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
        result = hue_turned(result, uniform(images, generator, -hue, hue))
    return result


def contrast(
    images: Tensor, generator: torch.Generator, most: Annotated[float, Within(0)] = 2.0
) -> Tensor:
    """Raise each image's contrast about its mean grey by up to `most`: 2 is +200%, a factor from 1 to 3."""
    check_images(images)
    return contrasted(images, uniform(images, generator, 1, 1 + most))


def grey(images: Tensor, generator: torch.Generator, p: Share = 0.2) -> Tensor:
    """Take the colour out of each image with probability p."""
    check_images(images)
    return torch.where(chosen(images, generator, p), luminance(images), images)


def noise(images: Tensor, generator: torch.Generator, most: Share = 0.1) -> Tensor:
    """Add Gaussian noise to each image; its standard deviation is uniform from 0 to `most`."""
    check_images(images)
    deviation = per_image(uniform(images, generator, 0, most)).to(images.dtype)
    values = torch.randn(
        images.shape, generator=generator, device=images.device, dtype=images.dtype
    )
    return values.mul_(deviation).add_(images).clamp_(0, 1)


def luminance(images: Tensor) -> Tensor:
    """Grey images [n, 1, h, w], weighted as torchvision does; the channels' mean unless they are three."""
    if images.shape[1] != 3:
        return images.mean(1, keepdim=True)
    red, green, blue = images.split(1, dim=1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114)


def brightened(images: Tensor, factors: Tensor) -> Tensor:
    """Images times factors [n]."""
    return (images * per_image(factors).to(images.dtype)).clamp_(0, 1)


def contrasted(images: Tensor, factors: Tensor) -> Tensor:
    """Images whose distance from their own mean grey is multiplied by factors [n]."""
    return blended(images, luminance(images).mean((1, 2, 3), keepdim=True), factors)


def saturated(images: Tensor, factors: Tensor) -> Tensor:
    """Images whose distance from their grey copy is multiplied by factors [n]."""
    return blended(images, luminance(images), factors)


def blended(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    return torch.lerp(others, images, per_image(factors).to(images.dtype)).clamp_(0, 1)


def sharpened(images: Tensor, factors: Tensor) -> Tensor:
    """Images whose distance from their smoothed copy is multiplied by factors [n]; the edge's pixels stay."""
    c, h, w = images.shape[1:]
    if min(h, w) < 3:
        return images
    weights = torch.ones(3, 3, dtype=images.dtype, device=images.device)
    weights[1, 1] = 5
    smooth = F.conv2d(images, (weights / weights.sum()).expand(c, 1, 3, 3), groups=c)
    inside = F.pad(torch.ones_like(smooth, dtype=torch.bool), (1, 1, 1, 1))
    return torch.where(inside, blended(images, F.pad(smooth, (1, 1, 1, 1)), factors), images)


def posterized(images: Tensor, steps: Tensor) -> Tensor:
    """Images whose values, as whole numbers to 255, are rounded down to multiples of steps [n]."""
    steps = per_image(steps.clamp(min=1))
    return ((levels(images) / steps).floor() * steps / 255).to(images.dtype)


def solarized(images: Tensor, thresholds: Tensor) -> Tensor:
    """Images whose values from thresholds [n] up are inverted."""
    return torch.where(images >= per_image(thresholds).to(images.dtype), 1 - images, images)


def stretched(images: Tensor) -> Tensor:
    """Images whose channels go from 0 to 1; a channel of one value stays."""
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return torch.where(high > low, (images - low) / torch.where(high > low, high - low, 1), images)


def equalized(images: Tensor) -> Tensor:
    """Images whose channels have an even histogram of 256 values, as torchvision's and Pillow's `equalize`."""
    values = levels(images).long().flatten(2)
    counts = torch.zeros(*values.shape[:2], 256, device=images.device).scatter_add_(
        2, values, torch.ones((), device=images.device).expand(values.shape)
    )
    pixels = values.shape[2]
    step = ((pixels - counts.gather(2, values.amax(2, keepdim=True))) / 255).floor()
    table = (
        (counts.cumsum(2) - counts + (step / 2).floor())
        .div_(step.clamp(min=1))
        .floor_()
        .clamp_(max=255)
    )
    result = (table.gather(2, values) / 255).view(images.shape).to(images.dtype)
    return torch.where(step[..., None] > 0, result, images)


def levels(images: Tensor) -> Tensor:
    """Values as whole numbers from 0 to 255, float32."""
    return (images.float() * 255).round_()


def hue_turned(images: Tensor, turns: Tensor) -> Tensor:
    """Images [n, 3, h, w] whose hue in HSV is turned by turns [n] of the circle (0.5: the complement)."""
    red, green, blue = images.split(1, dim=1)
    value = images.amax(1, keepdim=True)
    chroma = value - images.amin(1, keepdim=True)
    divisor = torch.where(chroma > 0, chroma, 1)
    sextant = torch.where(
        value == red,
        (green - blue) / divisor,
        torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    turned = sextant / 6 + per_image(turns).to(images.dtype)
    turned = 6 * (turned - turned.floor())  # many times faster than remainder
    lit = torch.cat([(turned - 3).abs() - 1, 2 - (turned - 2).abs(), 2 - (turned - 4).abs()], dim=1)
    return (value - chroma * (1 - lit.clamp_(0, 1))).clamp_(0, 1)
