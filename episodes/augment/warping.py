"""Augmentations that deform images, above all drawn characters: affine, elastic, stroke width."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.geometry import pixel_centres, sample_pixels
from episodes.augment.random_parameters import Share, Within, check_images, per_image, uniform


def affine(
    images: Tensor,
    generator: torch.Generator,
    degrees: Annotated[float, Within(0, 180)] = 10.0,
    scale: Annotated[tuple[float, float], Within(0.1, 10)] = (0.8, 1.2),
    shear: Annotated[float, Within(0, 40)] = 10.0,
    shift: Share = 0.1,
) -> Tensor:
    """Scale, shear, rotate and shift each image about its centre.

    Pixels are interpolated bilinearly; what is uncovered is black.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random choices.
        degrees: largest rotation, in either direction.
        scale: range of the factors of the height and of the width, chosen independently.
        shear: largest angle in degrees by which vertical lines lean, and horizontal ones
            independently of them; two of 45 degrees would turn a square into a line.
        shift: largest shift along each axis, as a fraction of the side.
    """
    check_images(images)
    h, w = images.shape[-2:]
    angle = torch.deg2rad(uniform(images, generator, -degrees, degrees))
    lean_x = torch.deg2rad(uniform(images, generator, -shear, shear)).tan()
    lean_y = torch.deg2rad(uniform(images, generator, -shear, shear)).tan()
    scale_y, scale_x = uniform(images, generator, *scale), uniform(images, generator, *scale)
    down = uniform(images, generator, -shift, shift) * h
    right = uniform(images, generator, -shift, shift) * w
    # Positions are (y, x); y points down.
    one = torch.ones_like(angle)
    scaling = _matrices(scale_y, 0 * one, 0 * one, scale_x)
    shearing = _matrices(one, lean_y, lean_x, one)
    rotation = _matrices(angle.cos(), -angle.sin(), angle.sin(), angle.cos())
    return transformed(images, rotation @ shearing @ scaling, torch.stack([down, right], dim=1))


def transformed(images: Tensor, matrices: Tensor, shifts: Tensor) -> Tensor:
    """Map each image by its matrix about its centre, and then shift it.

    Args:
        images: float [n, c, h, w] in [0, 1].
        matrices: where a position (y, x) relative to the centre moves, [n, 2, 2].
        shifts: shift down and to the right in pixels, [n, 2].
    """
    h, w = images.shape[-2:]
    y = pixel_centres(h, images)[:, None] - h / 2 - shifts[:, 0, None, None]
    x = pixel_centres(w, images)[None, :] - w / 2 - shifts[:, 1, None, None]
    # The inverse by hand: torch.linalg.inv would wait for a GPU to report singular matrices.
    a, b, c, d = matrices.flatten(1)[:, :, None, None].unbind(1)
    determinant = a * d - b * c
    from_y = (d * y - b * x) / determinant + h / 2
    from_x = (a * x - c * y) / determinant + w / 2
    return sample_pixels(images, from_y, from_x, outside="zeros")


def centred(images: Tensor) -> Tensor:
    """Shift each image so that the centre of its brightness is in its middle; black moves in.

    The shift is the same for all images that differ in their position alone.

    Args:
        images: float [n, c, h, w] in [0, 1]; black ones stay as they are.
    """
    n, _, h, w = images.shape
    brightness = images.mean(1)
    total = brightness.sum((1, 2))
    is_black = total == 0
    y = (brightness.sum(2) * pixel_centres(h, images)).sum(1) / total.masked_fill(is_black, 1)
    x = (brightness.sum(1) * pixel_centres(w, images)).sum(1) / total.masked_fill(is_black, 1)
    shifts = torch.stack([h / 2 - y, w / 2 - x], dim=1).masked_fill(is_black[:, None], 0)
    identity = torch.eye(2, device=images.device).expand(n, 2, 2)
    return transformed(images, identity, shifts)


def _matrices(yy: Tensor, yx: Tensor, xy: Tensor, xx: Tensor) -> Tensor:
    """Return matrices [n, 2, 2] from their elements [n], row by row."""
    return torch.stack([yy, yx, xy, xx], dim=1).view(-1, 2, 2)


def elastic(
    images: Tensor,
    generator: torch.Generator,
    amount: Share = 0.03,
    cells: Annotated[int, Within(2, 64)] = 4,
) -> Tensor:
    """Move the pixels of each image by a smooth random field.

    Displacements of a coarse grid are normally distributed and interpolated bicubically. Pixels are
    interpolated bilinearly; what is uncovered is black.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random field.
        amount: standard deviation of the grid's displacements, as a fraction of the side.
        cells: points of the grid along each side; more of them deform smaller details.

    Source:
        Simard, Steinkraus, Platt, Best Practices for Convolutional Neural Networks Applied to
        Visual Document Analysis, ICDAR 2003, who smooth a field of all pixels with a Gaussian.
    """
    check_images(images)
    n, _, h, w = images.shape
    grid = torch.randn(n, 2, cells, cells, generator=generator, device=images.device)
    field = F.interpolate(grid * amount, (h, w), mode="bicubic", align_corners=False)
    return displaced(images, field[:, 0] * h, field[:, 1] * w)


def displaced(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Read each pixel at a position that is displaced by pixels [n, h, w] along each axis."""
    h, w = images.shape[-2:]
    y = pixel_centres(h, images)[:, None] + down
    x = pixel_centres(w, images)[None, :] + right
    return sample_pixels(images, y, x, outside="zeros")


def stroke_width(images: Tensor, generator: torch.Generator, amount: Share = 0.5) -> Tensor:
    """Make bright strokes on black thicker or thinner.

    Each image is mixed with its dilation or its erosion by a square of 3x3 pixels.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random choices.
        amount: largest share of the dilation or erosion in the mixture.
    """
    check_images(images)
    share = per_image(uniform(images, generator, -amount, amount)).to(images.dtype)
    thicker = F.max_pool2d(images, 3, stride=1, padding=1)
    thinner = -F.max_pool2d(-images, 3, stride=1, padding=1)
    # Rounding can leave [0, 1] by a last bit.
    return torch.lerp(images, torch.where(share > 0, thicker, thinner), share.abs()).clamp_(0, 1)
