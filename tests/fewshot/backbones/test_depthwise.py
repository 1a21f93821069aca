"""Depthwise convolutions in training: the same layer in float32, and timm's networks."""

from __future__ import annotations

import copy
import pickle

import pytest
import timm
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from fewshot.backbones import depthwise
from tests.fewshot.backbones.seeded_build import build


def gradients(layer: nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """Return the output of a layer under autocast, and the gradients of images and weights."""
    images = images.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = layer(images)
    output.float().square().sum().backward()
    return [output, images.grad, layer.weight.grad]  # type: ignore[list-item]


@pytest.mark.parametrize("kind", [nn.Conv2d, Conv2dSame])
def test_a_training_step_has_the_gradients_of_float32(kind: type[nn.Conv2d]) -> None:
    torch.manual_seed(0)
    ours = kind(8, 8, 3, stride=2, groups=8, bias=False)
    exact = copy.deepcopy(ours)
    depthwise.train_in_float32(ours)
    images = torch.randn(4, 8, 9, 9)
    output, *grads = gradients(ours, images)
    assert output.dtype == torch.bfloat16  # as the next layer expects it
    images.requires_grad_()
    expected = exact(images)
    expected.bfloat16().float().square().sum().backward()
    torch.testing.assert_close(output, expected.bfloat16(), rtol=0, atol=0)
    torch.testing.assert_close(grads, [images.grad, exact.weight.grad], rtol=1e-2, atol=1e-2)


def test_without_gradients_it_computes_in_the_precision_of_the_run() -> None:
    torch.manual_seed(0)
    ours, plain = (nn.Conv2d(8, 8, 3, groups=8) for _ in range(2))
    plain.load_state_dict(ours.state_dict())
    depthwise.train_in_float32(ours)
    images = torch.randn(2, 8, 9, 9)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(images), plain(images))
    assert torch.equal(ours(images), plain(images))  # nor does it change what has no autocast


def test_networks_keep_their_parameters_and_can_be_copied() -> None:
    body = build("tf_mobilenetv3_small_100", input_size=32).body
    theirs = timm.create_model("tf_mobilenetv3_small_100", num_classes=0)
    assert list(body.state_dict()) == list(theirs.state_dict())
    kinds = (depthwise.Depthwise, depthwise.DepthwiseSame)
    changed = {name for name, layer in body.named_modules() if isinstance(layer, kinds)}
    by_groups = {
        name
        for name, layer in theirs.named_modules()
        if isinstance(layer, nn.Conv2d) and layer.groups > 1
    }
    assert changed == by_groups
    assert len(changed) == 11  # one in each of the blocks of MobileNetV3-small
    layer = pickle.loads(pickle.dumps(copy.deepcopy(body))).get_submodule(min(changed))
    assert isinstance(layer, kinds)
