"""Depthwise convolutions that train in float32 on a CPU, where their bfloat16 gradient is slow.

oneDNN has no fast kernel for it: EfficientNet-B0 spent four fifths of a training step there. The
other layers still compute in the precision of the run, and without gradients so do these.
"""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import Tensor, nn


def train_in_float32(body: nn.Module) -> None:
    """Make the depthwise convolutions of a network compute in float32 where that is faster.

    The parameters and their names stay as they are.
    """
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d) and layer.groups == layer.in_channels > 1:
            # A change of the class, as torch's parametrizations do, leaves all references valid.
            layer.__class__ = KINDS.get(type(layer), type(layer))


class _InFloat32(nn.Module):
    """Mixed into a convolution: it leaves autocast while it trains on a CPU."""

    def forward(self, images: Tensor) -> Tensor:
        kind = images.device.type
        leaves = kind == "cpu" and self.training and torch.is_grad_enabled()
        if not (leaves and torch.is_autocast_enabled(kind)):
            return super().forward(images)
        with torch.autocast(kind, enabled=False):
            outputs = super().forward(images.float())
        return outputs.to(torch.get_autocast_dtype(kind))


class Depthwise(_InFloat32, nn.Conv2d):
    """A convolution of each channel with filters of its own."""


class DepthwiseSame(_InFloat32, Conv2dSame):
    """The same with TensorFlow's padding."""


KINDS: dict[type[nn.Conv2d], type[nn.Conv2d]] = {
    nn.Conv2d: Depthwise,
    Conv2dSame: DepthwiseSame,
}
