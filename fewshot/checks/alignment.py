"""Align pairs of images that may be crops of one picture: scale and shift along each axis.

Each image is moved over the other so that it explains it best, up to brightness and contrast: a
few steps of least squares in the scales, the shifts, the gain and the offset.

Source: Lucas and Kanade, An iterative image registration technique with an application to stereo
vision, 1981; Baker and Matthews, Lucas-Kanade 20 years on, 2004, for gain and offset.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

MOST_SCALE, MOST_SHIFT = 0.35, 0.35  # from 1, and from 0 as a share of half the side
MOST_STEP = 0.15
LEAST_GAIN = 0.2
DAMPING = 1e-3


class Aligned(NamedTuple):
    """Images moved over others.

    Attributes:
        images: float32 [m, c, h, w].
        inside: 1 where a pixel comes from inside the moved image and 0 elsewhere, [m, 1, h, w].
    """

    images: Tensor
    inside: Tensor


def identity(m: int) -> Tensor:
    """Return the placements of m images that stay where they are, float32 [m, 4].

    A placement holds the scales and the shifts along x and y.
    """
    return torch.tensor([1.0, 1.0, 0.0, 0.0]).repeat(m, 1)


def moved(images: Tensor, placements: Tensor) -> Aligned:
    """Sample images, float32 [m, c, s, s], at their placements [m, 4]."""
    m, _, side, _ = images.shape
    x, y = _coordinates(side)
    at_x = placements[:, :1] * x + placements[:, 2:3]
    at_y = placements[:, 1:2] * y + placements[:, 3:]
    grid = torch.stack([at_x, at_y], -1).view(m, side, side, 2)
    sampled = nn.functional.grid_sample(images, grid, align_corners=False, padding_mode="border")
    inside = (torch.maximum(at_x.abs(), at_y.abs()) <= 1).view(m, 1, side, side)
    return Aligned(sampled, inside.float())


def align(fixed: Tensor, images: Tensor, placements: Tensor, n_steps: int) -> Tensor:
    """Return better placements of grey images, with which they explain the fixed ones.

    Args:
        fixed: float32 [m, 1, s, s].
        images: the images to move, float32 [m, 1, s, s].
        placements: where to start, [m, 4].
        n_steps: number of steps of least squares.
    """
    side = fixed.shape[-1]
    x, y = _coordinates(side)
    with_slopes = torch.cat([images, *_slopes(images)], 1)
    target = fixed.flatten(1)
    for _ in range(n_steps):
        sampled, inside = moved(with_slopes, placements)
        value, slope_x, slope_y = sampled.flatten(2).unbind(1)
        columns = [value, torch.ones_like(value), slope_x * x, slope_y * y, slope_x, slope_y]
        weighted = torch.stack(columns, 1) * inside.flatten(1)[:, None]
        products = weighted @ torch.stack([*columns, target], 1).transpose(1, 2)
        normal, right = products[:, :, :-1], products[:, :, -1]
        damping = torch.diag_embed(normal.diagonal(dim1=1, dim2=2) * DAMPING + DAMPING)
        solution = torch.linalg.solve(normal + damping, right)
        gain = solution[:, :1]
        step = solution[:, 2:] / torch.where(gain.abs() < LEAST_GAIN, LEAST_GAIN, gain)
        placements = placements + step.clamp(-MOST_STEP, MOST_STEP)
        scales, shifts = placements.split(2, 1)
        placements = torch.cat(
            [
                scales.clamp(1 - MOST_SCALE, 1 + MOST_SCALE),
                shifts.clamp(-MOST_SHIFT, MOST_SHIFT),
            ],
            1,
        )
    return placements


def _coordinates(side: int) -> tuple[Tensor, Tensor]:
    """Return x and y of the centres of all pixels, from -1 to 1, each [side * side]."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return x.reshape(-1), y.reshape(-1)


def _slopes(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the derivatives of images [m, 1, s, s] along x and y, by central differences."""
    side = images.shape[-1]
    padded = nn.functional.pad(images, (1, 1, 1, 1), mode="replicate") * (side / 4)
    along_x = padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2]
    along_y = padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]
    return along_x, along_y
