"""Augmentations that imitate poor sources: JPEG artefacts and blur."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.augment.random_parameters import Within, check_images, uniform

# Tables K.1 (luminance) and K.2 (chrominance) of the JPEG standard, ITU-T T.81.
# fmt: off
LUMINANCE_TABLE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
CHROMINANCE_TABLE = (
    17, 18, 24, 47, *[99] * 4, 18, 21, 26, 66, *[99] * 4,
    24, 26, 56, *[99] * 5, 47, 66, *[99] * 6,
    *[99] * 32,
)
# fmt: on


def jpeg(
    images: Tensor,
    generator: torch.Generator,
    quality: Annotated[tuple[float, float], Within(1, 100)] = (30.0, 95.0),
) -> Tensor:
    """Add the artefacts of JPEG compression, with colours at half the resolution (4:2:0).

    Args:
        images: float [n, c, h, w] in [0, 1]. If c is not 3, every channel is treated as grey.
        generator: source of the random qualities.
        quality: range of the quality, from 1 to 100, on the scale of Pillow and libjpeg.
    """
    check_images(images)
    return compressed(images, uniform(images, generator, *quality))


def blur(
    images: Tensor,
    generator: torch.Generator,
    sigma: Annotated[tuple[float, float], Within(0)] = (0.1, 1.5),
) -> Tensor:
    """Blur each image with a Gaussian.

    Args:
        images: float [n, c, h, w] in [0, 1].
        generator: source of the random standard deviations.
        sigma: range of the standard deviation, in pixels.
    """
    check_images(images)
    return blurred(images, uniform(images, generator, *sigma))


def compressed(images: Tensor, qualities: Tensor) -> Tensor:
    """Return images as they are after JPEG compression.

    Samples are rounded to whole levels before and after coding, as in JPEG; the result is not.

    Args:
        images: float [n, c, h, w] in [0, 1]. Three channels are coded as YCbCr 4:2:0, as in JFIF.
        qualities: [n], from 1 to 100.
    """
    h, w = images.shape[-2:]
    levels = images * 255
    if images.shape[1] != 3:
        planes = _quantized(levels - 128, qualities, LUMINANCE_TABLE)
        return (planes + 128).div_(255).clamp_(0, 1)
    red, green, blue = levels.split(1, dim=1)
    luma = (0.299 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).sub_(128)
    luma = _quantized(luma, qualities, LUMINANCE_TABLE)
    # As in libjpeg, columns are padded to blocks of pixels and rows to blocks of chroma.
    padded = F.pad(levels, (0, -w % 16, 0, h % 2), mode="replicate")
    # The chroma of a mean colour is the mean chroma, so averaging first gives the same.
    red, green, blue = F.avg_pool2d(padded, 2).split(1, dim=1)
    coarse_luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = torch.cat([(blue - coarse_luma) / 1.772, (red - coarse_luma) / 1.402], dim=1)
    # Decoders do not use values beyond the edge when they enlarge the chroma: remove the padding.
    chroma = _quantized(chroma, qualities, CHROMINANCE_TABLE)[..., : (w + 1) // 2]
    # Bilinear weights are those of libjpeg.
    chroma = F.interpolate(chroma, scale_factor=2.0, mode="bilinear", align_corners=False)
    luma, blueness, redness = luma + 128, chroma[:, :1, :h, :w], chroma[:, 1:, :h, :w]
    red = luma + 1.402 * redness
    green = luma - (0.114 * 1.772 / 0.587) * blueness - (0.299 * 1.402 / 0.587) * redness
    blue = luma + 1.772 * blueness
    return torch.cat([red, green, blue], dim=1).div_(255).clamp_(0, 1)


def blurred(images: Tensor, sigmas: Tensor) -> Tensor:
    """Convolve images with Gaussians; beyond the edge the image is mirrored, edge pixel included.

    Args:
        images: float [n, c, h, w] in [0, 1].
        sigmas: standard deviations in pixels, [n].
    """
    h, w = images.shape[-2:]
    vertical = _smoothing_matrices(sigmas, h).to(images.dtype)
    horizontal = vertical if h == w else _smoothing_matrices(sigmas, w).to(images.dtype)
    return (vertical[:, None] @ images @ horizontal[:, None].mT).clamp_(0, 1)


def _quantized(planes: Tensor, qualities: Tensor, table: tuple[int, ...]) -> Tensor:
    """Quantise the cosine coefficients of 8 x 8 blocks.

    Args:
        planes: levels from -128 to 127, [n, c, h, w].
        qualities: [n], from 1 to 100.
        table: step of each coefficient at quality 50.
    """
    height, width = planes.shape[-2:]
    padded = F.pad(planes.round(), (0, -width % 8, 0, -height % 8), mode="replicate")
    n, c, h, w = padded.shape
    basis, steps_at_50 = _cosine_basis(table, planes.device, planes.dtype)
    # libjpeg's scale of the quantisation steps, in per cent.
    scale = torch.where(qualities < 50, 5000 / qualities, 200 - 2 * qualities).floor()
    steps = (steps_at_50 * scale[:, None].to(steps_at_50.dtype) + 50) / 100
    steps = steps.floor().clamp(1, 255)[:, None]
    blocks = padded.view(n, c, h // 8, 8, w // 8, 8).transpose(3, 4).reshape(n, -1, 64)
    blocks = (blocks @ basis).div_(steps).round_().mul_(steps) @ basis.mT
    blocks = blocks.round_().clamp_(-128, 127).view(n, c, h // 8, w // 8, 8, 8)
    return blocks.transpose(3, 4).reshape(n, c, h, w)[..., :height, :width]


@cache
def _cosine_basis(
    table: tuple[int, ...], device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Return the orthonormal cosine transform of a flat block, [64, 64], and the table, [64]."""

    def coefficient(x: int, u: int) -> float:
        return math.cos((2 * x + 1) * u * math.pi / 16) * math.sqrt((1 if u == 0 else 2) / 8)

    rows = [[coefficient(x, u) for u in range(8)] for x in range(8)]
    basis = torch.tensor(rows, dtype=torch.float64)
    steps = torch.tensor(table, device=device, dtype=dtype)
    return torch.kron(basis, basis).to(device, dtype), steps


def _smoothing_matrices(sigmas: Tensor, size: int) -> Tensor:
    """Return matrices [n, size, size] that smooth along a side; each row sums to 1."""
    positions = torch.arange(size, device=sigmas.device)
    # Mirror images of a pixel repeat every two sizes; the nearest ones hold almost all the weight.
    offsets = 2 * size * torch.arange(-1, 2, device=sigmas.device)[:, None, None]
    differences = positions[:, None] - positions + offsets
    mirrored_differences = positions[:, None] + positions + 1 + offsets
    distances = torch.cat([differences, mirrored_differences]).abs()
    deviations = torch.arange(4 * size, device=sigmas.device) / sigmas.clamp(min=1e-3)[:, None]
    weights = torch.exp(-0.5 * deviations.square())[:, distances].sum(1)
    return weights / weights.sum(-1, keepdim=True)
