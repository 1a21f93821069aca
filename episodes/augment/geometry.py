"""Augmentations that move pixels."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import (
    Share,
    Within,
    check_images,
    chosen,
    fitting_box,
    integers,
    pixels_in,
    uniform,
)


def flip(images: Tensor, generator: torch.Generator, p: Share = 0.5) -> Tensor:
    """Mirror each image left to right with probability p."""
    check_images(images)
    return torch.where(chosen(images, generator, p), images.flip(-1), images)


def alternating_flip(
    images: Tensor, generator: torch.Generator, mirror: Tensor | None = None
) -> Tensor:
    """Mirror the images of bool [n] `turn`: an image's every other pass, the first being random.

    Two passes then show an image and its mirror image, where random flips show the same one twice half of the time.
    Where there are no passes (episodes, pairs) turn is None, and this is `flip`. Source: Jordan, arXiv 2404.00498.
    """
    check_images(images)
    if mirror is None:
        return flip(images, generator)
    return torch.where(mirror[:, None, None, None], images.flip(-1), images)


def translate(
    images: Tensor,
    generator: torch.Generator,
    pixels: Annotated[int, Within(0)] = 4,
    border: Literal["reflect", "zero"] = "reflect",
) -> Tensor:
    """Shift each image by up to `pixels` along each axis: a random crop of the padded image.

    border: what moves in, the mirrored image (without its edge repeated) or black.
    Errors: ValueError where a reflected shift reaches the image's size.
    """
    check_images(images)
    h, w = images.shape[-2:]
    if border == "reflect" and pixels >= min(h, w):
        raise ValueError(
            f"a reflected shift of {pixels} pixels needs images larger than that, got {h} x {w}"
        )
    rows = (
        torch.arange(h, device=images.device)
        + integers(images, generator, -pixels, pixels)[:, None]
    )
    columns = (
        torch.arange(w, device=images.device)
        + integers(images, generator, -pixels, pixels)[:, None]
    )
    if border == "reflect":
        return picked(images, reflected(rows, h), reflected(columns, w))
    inside = ((rows >= 0) & (rows < h))[:, None, :, None] & ((columns >= 0) & (columns < w))[
        :, None, None, :
    ]
    return picked(images, rows.clamp(0, h - 1), columns.clamp(0, w - 1)) * inside


def shift_wrap(images: Tensor, generator: torch.Generator, fraction: Share = 0.2) -> Tensor:
    """Shift each image by up to a fraction of its size each way; what leaves at one side enters opposite."""
    check_images(images)
    h, w = images.shape[-2:]
    down, right = pixels_in(fraction, h), pixels_in(fraction, w)
    rows = torch.arange(h, device=images.device) - integers(images, generator, -down, down)[:, None]
    columns = (
        torch.arange(w, device=images.device) - integers(images, generator, -right, right)[:, None]
    )
    return picked(images, rows % h, columns % w)


def crop(
    images: Tensor,
    generator: torch.Generator,
    scale: Annotated[tuple[float, float], Within(0.01, 1)] = (0.5, 1.0),
    ratio: Annotated[tuple[float, float], Within(0.1, 10)] = (3 / 4, 4 / 3),
) -> Tensor:
    """Cut a random box out of each image and stretch it, bilinearly, to the image's size.

    scale: the box's share of the area; ratio: its width over its height. Source: Szegedy et al. 2015.
    """
    check_images(images)
    h, w = images.shape[-2:]
    height, width = fitting_box(images, generator, scale, ratio)
    top, left = uniform(images, generator) * (h - height), uniform(images, generator) * (w - width)
    y = top[:, None] + centres(h, images) / h * height[:, None]
    x = left[:, None] + centres(w, images) / w * width[:, None]
    return sampled(images, y[:, :, None], x[:, None, :], outside="border")


def rotate(
    images: Tensor, generator: torch.Generator, degrees: Annotated[float, Within(0, 180)] = 10.0
) -> Tensor:
    """Turn each image about its centre by up to `degrees` either way, bilinearly; black moves in."""
    check_images(images)
    return rotated(images, uniform(images, generator, -degrees, degrees))


def rotated(images: Tensor, degrees: Tensor) -> Tensor:
    """Images turned counter-clockwise by degrees [n]."""
    h, w = images.shape[-2:]
    cosine, sine = (f(torch.deg2rad(degrees))[:, None, None] for f in (torch.cos, torch.sin))
    y, x = centres(h, images)[:, None] - h / 2, centres(w, images) - w / 2
    return sampled(
        images, sine * x + cosine * y + h / 2, cosine * x - sine * y + w / 2, outside="zeros"
    )


def centres(size: int, images: Tensor) -> Tensor:
    """Where the centres of a side's pixels lie, in pixels from its start: float32 [size]."""
    return torch.arange(size, device=images.device) + 0.5


def reflected(positions: Tensor, size: int) -> Tensor:
    """Positions less than one size outside 0..size-1, mirrored at the first and the last pixel."""
    return (size - 1) - ((size - 1) - positions.abs()).abs()


def picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels at rows [n, h] and columns [n, w], by image; one flat gather is the fastest way."""
    n, c, h, w = images.shape
    position = (rows[:, :, None] * w + columns[:, None, :]).view(n, 1, h * w)
    return images.reshape(n, c, h * w).gather(2, position.expand(n, c, h * w)).view(n, c, h, w)


def sampled(
    images: Tensor,
    y: Tensor,
    x: Tensor,
    outside: Literal["zeros", "border"],
    between: Literal["bilinear", "nearest"] = "bilinear",
) -> Tensor:
    """Images read at y and x, in pixels from the upper left corner, broadcast to [n, h, w]."""
    n, _, h, w = images.shape
    grid = torch.stack(
        [(x * (2 / w) - 1).expand(n, h, w), (y * (2 / h) - 1).expand(n, h, w)], dim=-1
    )
    # Interpolation weights add up to 1 only up to rounding, so bright images can leave the range by a hair.
    result = F.grid_sample(images, grid.to(images.dtype), between, outside, align_corners=False)
    return result.clamp_(0, 1)
