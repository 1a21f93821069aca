"""Our own networks for small images: Conv-4, ResNet-12 and other residual networks.

The networks of the four reports are in `report_networks`, and airbench's is in `speed_cnn`. Each
builder takes the side of the input in pixels and returns a `Body`, which maps normalised images
[n, 3, h, w] to features [n, n_features]. The `stages` of a body, first to last, are the units of
unfreezing and of learning rates by depth.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from fewshot.config import Count

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
IMAGENET: Statistics = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
Norm = Literal["none", "batch", "group"]


class Body(nn.Module, ABC):
    """A network without a classifier: normalised images [n, 3, h, w] -> features [n, d]."""

    @property
    def uses_initial_images(self) -> bool:
        """Whether `initialise` computes something from its images."""
        return False

    @abstractmethod
    def levels(self, images: Tensor) -> list[Tensor]:
        """Return what a `finish.FeatureMap` takes: tensors [n, places, channels].

        The last stage comes first. Its mean over the places is what `forward` returns, unless the
        number of rows is odd; see `Stages.levels`.
        """

    def initialise(self, images: Tensor) -> None:
        """Compute from normalised images [n, 3, h, w] what the training then leaves fixed."""


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """Return the normalisation layer of a kind.

    Groups have eight channels, or the next larger number that divides the channels.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "group":
        groups = next(n for n in range(max(1, channels // 8), 0, -1) if channels % n == 0)
        return nn.GroupNorm(groups, channels)
    return nn.Identity()


class Stages(Body):
    """Stages in sequence, followed by global average pooling or flattening.

    Args:
        stages: modules that are applied one after the other.
        n_features: the number of features.
        pool: whether to average over the grid; otherwise the grid is flattened.
        statistics: mean and standard deviation of each channel, which normalise images in [0, 1].
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
        """Return the last two stages at two places each, or without pooling the features at one.

        The two places of a stage are the averages of the upper and of the lower half of its grid.
        The middle row of an odd number of rows belongs to both, so that the mean of the places
        counts it twice. The class probabilities of a `Finish` are those of this mean. With default
        options no network of ours has an odd number of rows at 32 pixels; `mini-resnet` has three
        at 40 pixels.
        """
        previous = images
        for stage in self.stages:
            previous, images = images, stage(images)
        if not self.pool:
            return [self._features(images)[:, None]]
        return [
            F.adaptive_avg_pool2d(grid, (2, 1)).squeeze(3).transpose(1, 2)
            for grid in (images, previous)
        ]

    def stage_parameters(self) -> list[list[str]]:
        """Return the names of the parameters of each stage, first to last."""
        return [
            [f"stages.{number}.{name}" for name, _ in stage.named_parameters()]
            for number, stage in enumerate(self.stages)
        ]

    def _features(self, images: Tensor) -> Tensor:
        return images.mean((2, 3)) if self.pool else images.flatten(1)


def conv4(input_size: int, width: Count = 64, norm: Norm = "batch", pool: bool = False) -> Stages:
    """Four blocks of convolution, norm, ReLU and max pool (Conv-4).

    Args:
        input_size: the side of the images in pixels.
        width: filters of each convolution.
        norm: `group` has no running statistics, so support and query cannot influence each other.
        pool: whether to average the last grid instead of flattening it.

    Source: Vinyals et al., arXiv 1606.04080, section 4.
    """
    grid = input_size // 16
    blocks = [
        nn.Sequential(
            nn.Conv2d(c_in, width, 3, padding=1, bias=norm == "none"),
            make_norm(norm, width),
            nn.MaxPool2d(2),  # before the ReLU: the same numbers, of which it computes a quarter
            nn.ReLU(),
        )
        for c_in in (3, width, width, width)
    ]
    return Stages(blocks, width if pool else width * grid * grid, pool)


class Residual(nn.Module):
    """The basic block: two 3x3 convolutions and a shortcut (He et al., arXiv 1512.03385, figure 2).

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        stride: stride of the first convolution.
        norm: the kind of normalisation.
        average_shortcut: whether the shortcut averages pixels instead of skipping them, as in
            ResNet-D (He et al., arXiv 1812.01187).
    """

    def __init__(
        self, c_in: int, c_out: int, stride: int, norm: Norm, average_shortcut: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.norm1 = make_norm(norm, c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.norm2 = make_norm(norm, c_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            averages = average_shortcut and stride > 1
            self.shortcut = nn.Sequential(
                *([nn.AvgPool2d(stride, ceil_mode=True)] if averages else []),
                nn.Conv2d(c_in, c_out, 1, 1 if averages else stride, bias=False),
                make_norm(norm, c_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(out)) + self.shortcut(x))


def _residual_stage(
    c_in: int, c_out: int, stride: int, blocks: int, norm: Norm, average_shortcut: bool = False
) -> nn.Sequential:
    """Return a stage of residual blocks, of which the first changes the width and the side."""
    first = Residual(c_in, c_out, stride, norm, average_shortcut)
    rest = [Residual(c_out, c_out, 1, norm, average_shortcut) for _ in range(blocks - 1)]
    return nn.Sequential(first, *rest)


def _stem(width: int, norm: Norm) -> nn.Sequential:
    """Return a 3x3 convolution of stride 1 from the colours, with norm and ReLU."""
    convolution = nn.Conv2d(3, width, 3, padding=1, bias=False)
    return nn.Sequential(convolution, make_norm(norm, width), nn.ReLU())


def resnet(input_size: int, width: Count = 32, blocks: Count = 1, norm: Norm = "batch") -> Stages:
    """A residual network for small images: a 3x3 stem and four stages, each twice as wide.

    With a width of 64 and 2 blocks a stage it is ResNet18 with the CIFAR stem (He et al., arXiv
    1512.03385).

    Args:
        input_size: the side of the images in pixels; the network takes any.
        width: filters of the first stage.
        blocks: residual blocks of each stage.
        norm: the kind of normalisation.
    """
    stages: list[nn.Module] = [_stem(width, norm)]
    c_in = width
    for number in range(4):
        c_out = width * 2**number
        stages.append(_residual_stage(c_in, c_out, 1 if number == 0 else 2, blocks, norm))
        c_in = c_out
    return Stages(stages, c_in, pool=True)


class Residual12(nn.Module):
    """The block of ResNet-12: three 3x3 convolutions, a 1x1 shortcut, and a max pool of 2.

    Args:
        c_in: channels of the input.
        c_out: channels of the output.
        norm: the kind of normalisation.
    """

    def __init__(self, c_in: int, c_out: int, norm: Norm) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_from in (c_in, c_out, c_out):
            convolution = nn.Conv2d(c_from, c_out, 3, padding=1, bias=False)
            layers += [convolution, make_norm(norm, c_out), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers[:-1])  # the last activation follows the sum
        self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, bias=False), make_norm(norm, c_out))

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.leaky_relu(self.layers(x) + self.shortcut(x), 0.1), 2)


def resnet12(input_size: int, width: Count = 64, norm: Norm = "group") -> Stages:
    """ResNet-12, the larger network of few-shot papers: four blocks of three convolutions.

    The blocks have 1, 2.5, 5 and 10 times as many filters as `width`. DropBlock, with which some
    papers train it, is left out.

    Args:
        input_size: the side of the images in pixels; the network takes any of at least 16.
        width: filters of the first block.
        norm: `group` has no running statistics, so support and query cannot influence each other;
            the papers use `batch`.

    Sources: Oreshkin et al., TADAM, arXiv 1805.10123; with 64, 160, 320 and 640 filters Lee et al.,
    MetaOptNet, arXiv 1904.03758, section 4.1.
    """
    widths = (3, width, width * 5 // 2, width * 5, width * 10)
    blocks = [Residual12(c_in, c_out, norm) for c_in, c_out in itertools.pairwise(widths)]
    return Stages(blocks, widths[-1], pool=True)


def mini_resnet(
    input_size: int,
    widths: tuple[Count, ...] = (96, 192, 320, 448),
    blocks: Count = 1,
    norm: Norm = "batch",
) -> Stages:
    """Our pretrained network for small images: a 3x3 stem, a residual stage for each of `widths`.

    The shortcuts are ResNet-D's. Every stage halves the side, including the first, so at 32x32 the
    arithmetic is spread over grids of 16, 8, 4 and 2 pixels.

    Args:
        input_size: the side of the images in pixels; the network takes any.
        widths: filters of each stage.
        blocks: residual blocks of each stage.
        norm: the kind of normalisation.
    """
    stages: list[nn.Module] = [_stem(32, norm)]
    c_in = 32
    for c_out in widths:
        stages.append(_residual_stage(c_in, c_out, 2, blocks, norm, average_shortcut=True))
        c_in = c_out
    return Stages(stages, c_in, pool=True)
