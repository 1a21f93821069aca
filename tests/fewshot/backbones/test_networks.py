"""Networks: parameters by hand, torchvision's block, FEAT's ResNet-12, numpy means."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models.resnet import BasicBlock

from fewshot import backbones
from fewshot.backbones import networks
from tests.fewshot.backbones.seeded_build import build


def conv(c_in: int, c_out: int) -> int:
    return 9 * c_in * c_out


@pytest.mark.parametrize(
    ("name", "options", "parameters"),
    [
        ("conv4", {}, conv(3, 64) + 3 * conv(64, 64) + 4 * 2 * 64),
        # torchvision's ResNet18 without its 7x7 stem and its 1000-way head, with our stem.
        (
            "resnet",
            {"width": 64, "blocks": 2},
            11_689_512 - 3 * 64 * 49 - 513 * 1000 + conv(3, 64),
        ),
    ],
)
def test_parameter_counts(name: str, options: dict, parameters: int) -> None:
    backbone = build(name, options=options)
    assert sum(parameter.numel() for parameter in backbone.parameters()) == parameters


@pytest.mark.parametrize(
    ("channels", "groups"), [(4, 1), (8, 1), (13, 1), (26, 2), (50, 5), (64, 8), (160, 20)]
)
def test_groups_divide_the_channels(channels: int, groups: int) -> None:
    norm = networks.make_norm("group", channels)
    assert isinstance(norm, torch.nn.GroupNorm)
    assert norm.num_groups == groups


@pytest.mark.parametrize(("name", "width"), [("resnet12", 20), ("conv4", 26)])
def test_any_width_can_be_normalised_by_groups(name: str, width: int) -> None:
    backbone = build(name, options={"width": width, "norm": "group"})
    with torch.no_grad():
        assert backbone(torch.rand(2, 3, 32, 32)).isfinite().all()


def test_a_residual_block_is_torchvisions() -> None:
    ours = networks.Residual(4, 8, stride=2, norm="batch").eval()
    theirs = BasicBlock(4, 8, stride=2, downsample=ours.shortcut).eval()
    names = {"norm": "bn", "shortcut": "downsample"}
    state = {}
    for key, value in ours.state_dict().items():
        for mine, torchvisions in names.items():
            key = key.replace(mine, torchvisions)
        state[key] = value
    theirs.load_state_dict(state)
    x = torch.randn(2, 4, 9, 9)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))


def test_a_shortcut_that_averages() -> None:
    block = networks.Residual(3, 5, stride=2, norm="none", average_shortcut=True)
    x = torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        weight = block.shortcut[1].weight[:, :, 0, 0].numpy()
        means = x.numpy().reshape(2, 3, 4, 2, 4, 2).mean((3, 5))
        expected = np.einsum("oc,nchw->nohw", weight, means)
        np.testing.assert_allclose(block.shortcut(x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", sorted(backbones.OWN))
def test_the_mean_over_the_places_of_the_last_stage_is_the_features(name: str) -> None:
    body = build(name).body
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features, levels = body(images), body.levels(images)
    torch.testing.assert_close(levels[0].mean(1), features)
    assert all(level.ndim == 3 for level in levels)


def test_the_places_of_a_stage_are_its_upper_and_lower_half() -> None:
    body = build("mini-resnet", options={"widths": [8, 16]}).body
    images = torch.rand(
        3, 3, 20, 20
    )  # grids of 10 and 5 rows; the third of the 5 is in both halves
    with torch.no_grad():
        last, previous = body.levels(images)
        grid = body.stages[1](body.stages[0](images))
        last_grid = body.stages[2](grid).numpy()
    halves = [grid.numpy()[:, :, :5].mean((2, 3)), grid.numpy()[:, :, 5:].mean((2, 3))]
    np.testing.assert_allclose(previous, np.stack(halves, 1), rtol=1e-4, atol=1e-6)
    halves = [last_grid[:, :, :3].mean((2, 3)), last_grid[:, :, 2:].mean((2, 3))]
    np.testing.assert_allclose(last, np.stack(halves, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["none", "batch", "group"])
def test_norms(kind: networks.Norm) -> None:
    norm = networks.make_norm(kind, 16)
    x = 3 + 2 * torch.randn(8, 16, 4, 4)
    values = norm(x).detach().numpy()
    if kind == "none":
        np.testing.assert_array_equal(values, x)
        return
    shape, axes = ((8, 16, 16), (0, 2)) if kind == "batch" else ((8, 2, 8 * 16), 2)
    np.testing.assert_allclose(values.reshape(shape).mean(axes), 0, atol=1e-5)
    np.testing.assert_allclose(values.reshape(shape).std(axes), 1, atol=1e-3)


def test_resnet12_is_that_of_feat() -> None:
    """The blocks of easyfsl's copy of FEAT's network, with our weights, in evaluation mode."""
    feat = pytest.importorskip("easyfsl.modules.feat_resnet12").feat_resnet12().eval()
    ours = build("resnet12", options={"norm": "batch"}).body.eval()
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in feat.parameters())
    assert 12.4e6 < count < 12.5e6  # 12.4 million (Lee et al., arXiv 1904.03758)
    names = {"layers.0": "conv1", "layers.1": "bn1", "layers.3": "conv2", "layers.4": "bn2"}
    names |= {"layers.6": "conv3", "layers.7": "bn3", "shortcut": "downsample"}
    state = {}
    for key, value in ours.state_dict().items():
        _, stage, rest = key.split(".", 2)
        for mine, theirs in names.items():
            if rest.startswith(mine + "."):
                rest = theirs + rest.removeprefix(mine)
                break
        state[f"layer{int(stage) + 1}.0.{rest}"] = value
    feat.load_state_dict(state)
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), feat(images), rtol=1e-4, atol=1e-5)
