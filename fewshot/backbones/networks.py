"""Our own networks for small images: Conv-4 and residual networks; those of the reports are in `studies`.

Each gives features [n, n_features] from normalised images [n, 3, h, w]. Its `stages`, first to last, are what
unfreezing and learning rates by depth count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.config import Count

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Norm = Literal["none", "batch", "group"]


def _norm(kind: Norm, channels: int) -> nn.Module:
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        return nn.GroupNorm(max(1, channels // 8), channels)
    return nn.Identity()


class Stages(nn.Module):
    """Stages one after the other, then global average pooling or flattening.

    statistics: mean and std of each channel, with which images in [0, 1] are normalised for this network.
    """

    def __init__(
        self,
        stages: Sequence[nn.Module],
        n_features: int,
        pool: bool,
        statistics: Statistics = IMAGENET,
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.n_features = n_features
        self.pool = pool
        self.statistics = statistics

    def forward(self, images: Tensor) -> Tensor:
        for stage in self.stages:
            images = stage(images)
        return self._features(images)

    def levels(self, images: Tensor) -> list[Tensor]:
        """What `Finish` maps: each [n, places, channels], the last stage's first, whose mean place is the features.

        Where stages are pooled, the last two, each the average of its upper half and that of its lower half (of an odd
        number of rows the middle one belongs to both); else the features, at one place.
        """
        before = images
        for stage in self.stages:
            before, images = images, stage(images)
        if not self.pool:
            return [self._features(images)[:, None]]
        return [
            F.adaptive_avg_pool2d(each, (2, 1)).squeeze(3).transpose(1, 2)
            for each in (images, before)
        ]

    def _features(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) if self.pool else images.flatten(1)


def conv4(input_size: int, width: Count = 64, norm: Norm = "batch", pool: bool = False) -> Stages:
    """Four blocks of convolution, norm, ReLU, max pool (Vinyals et al., arXiv 1606.04080, section 4).

    norm: `group` has no running statistics, so support and query cannot leak into each other.
    pool: average what is left of the grid instead of flattening it.
    """
    grid = input_size // 16
    blocks = [
        nn.Sequential(
            nn.Conv2d(c_in, width, 3, padding=1, bias=norm == "none"),
            _norm(norm, width),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        for c_in in (3, width, width, width)
    ]
    return Stages(blocks, width if pool else width * grid * grid, pool)


class Residual(nn.Module):
    """The basic block: two 3x3 convolutions and a shortcut (He et al., arXiv 1512.03385, figure 2)."""

    def __init__(
        self, c_in: int, c_out: int, stride: int, norm: Norm, pooled: bool = False
    ) -> None:
        """pooled: the shortcut averages instead of skipping pixels (He et al., arXiv 1812.01187, ResNet-D)."""
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm1 = _norm(norm, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.norm2 = _norm(norm, c_out)
        changed = stride != 1 or c_in != c_out
        pool = [nn.AvgPool2d(stride, ceil_mode=True)] if pooled and stride > 1 else []
        skip = 1 if pool else stride
        self.shortcut = (
            nn.Sequential(*pool, nn.Conv2d(c_in, c_out, 1, skip, bias=False), _norm(norm, c_out))
            if changed
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


def resnet(input_size: int, width: Count = 32, blocks: Count = 1, norm: Norm = "batch") -> Stages:
    """A residual network for small images: 3x3 stem of stride 1, four stages of widths 1, 2, 4, 8 times `width`.

    width 64 with 2 blocks a stage is ResNet18 with the CIFAR stem (He et al., arXiv 1512.03385).
    """
    stem = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False), _norm(norm, width), nn.ReLU()
    )
    stages: list[nn.Module] = [stem]
    c_in = width
    for number in range(4):
        c_out = width * 2**number
        first = Residual(c_in, c_out, 1 if number == 0 else 2, norm)
        stages.append(
            nn.Sequential(first, *(Residual(c_out, c_out, 1, norm) for _ in range(blocks - 1)))
        )
        c_in = c_out
    return Stages(stages, c_in, pool=True)


def mini_resnet(
    input_size: int,
    widths: tuple[Count, ...] = (96, 192, 320, 448),
    blocks: Count = 1,
    norm: Norm = "batch",
) -> Stages:
    """Our pretrained network for small images: a 3x3 stem of 32 filters, then a residual stage for each of `widths`.

    Shortcuts are ResNet-D's. Each stage halves the side, the first too: at 32x32 the arithmetic is spread over 16, 8,
    4 and 2 pixels.
    """
    stem = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1, bias=False), _norm(norm, 32), nn.ReLU())
    stages: list[nn.Module] = [stem]
    c_in = 32
    for c_out in widths:
        first = Residual(c_in, c_out, 2, norm, pooled=True)
        stages.append(
            nn.Sequential(
                first, *(Residual(c_out, c_out, 1, norm, pooled=True) for _ in range(blocks - 1))
            )
        )
        c_in = c_out
    return Stages(stages, c_in, pool=True)
