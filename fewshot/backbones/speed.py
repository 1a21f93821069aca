"""`speed-cnn`: a wide, shallow network for small images that learns in a few passes.

Source: Jordan, 94% on CIFAR-10 in 3.29 seconds on a single GPU, arXiv 2404.00498, sections 3.1 to 3.3 and 3.6.
"""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.backbones.networks import Stages
from fewshot.config import Count

CHUNK = 500  # images whose patches are in memory at once
PATCH = 2  # side of a whitened patch
LOGIT_SCALE = 1 / 9  # of the features, so that the first logits of a linear head are small


class Whitening(nn.Module):
    """Patches of 2x2 pixels in the directions of their principal components, each to variance one, and its negative.

    Images [n, 3, h, w] -> [n, 24, h - 1, w - 1]. The filters are a buffer: found once from training images by `fit`,
    never trained; until then they are the pixels of the patch themselves. A bias is trained.
    """

    weight: Tensor

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        n = channels * PATCH * PATCH
        pixels = torch.eye(n).view(n, channels, PATCH, PATCH)
        self.register_buffer("weight", torch.cat([pixels, -pixels]))
        self.bias = nn.Parameter(torch.zeros(2 * n))

    @torch.no_grad()
    def fit(self, images: Tensor, eps: float = 5e-4) -> None:
        """Filters from normalised images; eps: what variances are raised by, so that noise is not blown up."""
        n = self.weight[0].numel()
        count, total = 0, torch.zeros(n, dtype=torch.float64, device=images.device)
        products = torch.zeros(n, n, dtype=torch.float64, device=images.device)
        for part in images.split(CHUNK):
            patches = F.unfold(part, PATCH).transpose(1, 2).reshape(-1, n).double()
            count, total, products = (
                count + len(patches),
                total + patches.sum(0),
                products + patches.T @ patches,
            )
        mean = total / count
        variances, directions = torch.linalg.eigh(products / count - mean.outer(mean))
        filters = (directions / (variances + eps).sqrt()).T.reshape(n, *self.weight.shape[1:])
        self.weight.copy_(torch.cat([filters, -filters]))

    def forward(self, images: Tensor) -> Tensor:
        return F.conv2d(images, self.weight, self.bias)


class BiasNorm(nn.BatchNorm2d):
    """Batch norm with a trained bias and no trained scale, of a shorter memory than torch's."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, eps=1e-12, momentum=0.4)
        del self.weight
        self.register_buffer("weight", torch.ones(channels), persistent=False)


def _convolution(c_in: int, c_out: int) -> nn.Conv2d:
    """3x3, of which the first `c_in` filters begin as the identity (Zagoruyko and Komodakis, arXiv 1706.00388)."""
    made = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
    nn.init.dirac_(made.weight[: min(c_in, c_out)])
    return made


class Block(nn.Module):
    """A convolution before a max pool, then `depth - 1` of the same width; of three, the last two under a shortcut."""

    def __init__(self, c_in: int, c_out: int, depth: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            _convolution(c_in, c_out), nn.MaxPool2d(2), BiasNorm(c_out), nn.GELU()
        )
        rest: list[nn.Module] = [_convolution(c_out, c_out), BiasNorm(c_out)]
        for _ in range(depth - 2):
            rest += [nn.GELU(), _convolution(c_out, c_out), BiasNorm(c_out)]
        self.rest = nn.Sequential(*rest)
        self.shortcut = depth > 2

    def forward(self, images: Tensor) -> Tensor:
        found = self.first(images)
        return F.gelu(self.rest(found) + found if self.shortcut else self.rest(found))


class SpeedCnn(Stages):
    """Stages, then the maximum over what is left of the grid, scaled."""

    def begin(self, images: Tensor) -> None:
        """Whiten by normalised training images."""
        self.stages[0][0].fit(images)  # type: ignore[index]

    def _features(self, images: Tensor) -> Tensor:
        return images.amax((2, 3)) * LOGIT_SCALE


def speed_cnn(
    input_size: int, widths: tuple[Count, Count, Count] = (64, 256, 256), depth: Literal[2, 3] = 2
) -> Stages:
    """Whitened 2x2 patches, then three blocks of `depth` 3x3 convolutions, the first of each before a max pool.

    GELU throughout. widths 64, 256, 256 of depth 2 are airbench94's, 128, 384, 512 of depth 3 airbench96's.
    """
    blocks = [Block(*pair, depth) for pair in itertools.pairwise((2 * 3 * PATCH * PATCH, *widths))]
    stages = [nn.Sequential(Whitening(), nn.GELU(), blocks[0]), *blocks[1:]]
    return SpeedCnn(stages, widths[-1], pool=False)
