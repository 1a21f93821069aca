"""The reports' networks: sizes by hand, layers applied one by one, timm's transformer."""

from __future__ import annotations

import itertools

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.backbones.report_networks import Encoder
from tests.fewshot.backbones.seeded_build import build

MLP_L = [2048, 1024, 512, 256, 128, 64, 32, 16]
NETWORKS: dict[str, tuple[str, dict]] = {  # row -> the network and its options
    "K1": ("baseline-cnn", {}),
    "K2": ("enhanced-cnn", {}),
    "K4": ("baseline-cnn", {"width": 10}),
    "H1": ("vgg", {}),
    "E4": ("custom-cnn", {}),
    "A1": ("mlp", {}),
    "A2": ("mlp", {"widths": MLP_L}),
    "A3": ("dropout-cnn", {}),
    "A3 each": ("dropout-cnn", {"pools": "each"}),
    "A5": ("vit", {}),
}


def network(row: str) -> backbones.Backbone:
    name, options = NETWORKS[row]
    return build(name, options=options)


def conv(c_in: int, c_out: int) -> int:
    return 9 * c_in * c_out + c_out


def dense(*widths: int) -> int:
    return sum(n_in * n_out + n_out for n_in, n_out in itertools.pairwise(widths))


THREE = conv(3, 32) + conv(32, 64) + conv(64, 128)  # one convolution of each width
# Parameters with the head that the report puts behind the network, and the widths of that head.
WITH_HEAD = {
    "K1": (49_130, (2048, 10)),  # the report's number
    "K2": (1_149_770, (256, 10)),  # the report's number
    "K4": (conv(3, 10) + 3 * conv(10, 10) + dense(10 * 8 * 8, 10), (640, 10)),
    "H1": (420_554, (2048, 64, 32, 10)),
    "E4": (THREE + 2 * (32 + 64 + 128) + dense(2048, 128, 10), (2048, 128, 10)),
    "A1": (dense(3 * 32 * 32, 1500, 500, 100, 10), (100, 10)),
    "A2": (dense(3 * 32 * 32, *MLP_L, 10), (16, 10)),
    "A3": (16_891_906, (32768, 512, 40, 10)),
    "A3 each": (THREE + dense(2048, 512, 40, 10), (2048, 512, 40, 10)),
    "A5": (70_960, (30, 10)),
}
# The numbers that docstrings state, once more by hand. The transformer has patches, a class token
# and 65 positions; six layers of queries, keys, values and outputs, two dense layers and two norms;
# the last norm and the head.
TRANSFORMER_LAYER = 4 * dense(30, 30) + dense(30, 120, 30) + 2 * 60
STATED = {
    "H1": THREE + conv(32, 32) + conv(64, 64) + conv(128, 128) + dense(2048, 64, 32, 10),
    "A3": THREE + dense(32768, 512, 40, 10),
    "A5": (4 * 4 * 3 * 30 + 30) + 30 + 65 * 30 + 6 * TRANSFORMER_LAYER + 60 + dense(30, 10),
}


@pytest.mark.parametrize("row", WITH_HEAD)
def test_parameters(row: str) -> None:
    parameters, head = WITH_HEAD[row]
    backbone = network(row)
    assert backbone.n_features == head[0]
    assert sum(weight.numel() for weight in backbone.parameters()) + dense(*head) == parameters
    assert STATED.get(row, parameters) == parameters


@pytest.mark.parametrize("row", NETWORKS)
def test_gradients_reach_every_weight(row: str) -> None:
    backbone = network(row).train()
    images = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    (backbone(images) * torch.randn(8, backbone.n_features)).sum().backward()
    for name, parameter in backbone.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


# c convolution, b batch norm, r ReLU, p max pool, f flattening, m mean; one word for each stage
LAYERS = {
    "K1": "crcrp crcrp f",
    "K2": "crbcrbp crbcrbp crbcrbp m",
    "H1": "crcrp crcrp crcrp f",
    "E4": "cbrp cbrp cbrp f",
    "A3": "cr cr crp f",
    "A3 each": "crp crp crp f",
}


def apply_layers(letters: str, backbone: backbones.Backbone, x: Tensor) -> Tensor:
    """Apply layers by their letters, with the weights of a backbone in the order of its modules."""
    convolutions = [layer for layer in backbone.modules() if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in backbone.modules() if isinstance(layer, nn.BatchNorm2d)]
    for letter in letters:
        if letter == "c":
            convolution = convolutions.pop(0)
            assert convolution.kernel_size == (3, 3)
            x = F.conv2d(x, convolution.weight, convolution.bias, padding=1)
        elif letter == "b":
            norm = norms.pop(0)
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        elif letter == "r":
            x = F.relu(x)
        elif letter == "p":
            x = F.max_pool2d(x, 2)
        else:
            x = x.flatten(1) if letter == "f" else x.mean((2, 3))
    assert convolutions == norms == []
    return x


@pytest.mark.parametrize("row", LAYERS)
def test_layers_come_in_the_order_written_here(row: str) -> None:
    backbone, generator = network(row), torch.Generator().manual_seed(0)
    for norm in backbone.modules():  # a new norm changes nothing, wherever it stands
        if isinstance(norm, nn.BatchNorm2d):
            for values in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                values.data.uniform_(0.3, 1.0, generator=generator)
    images = torch.rand(2, 3, 32, 32, generator=generator)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    assert len(backbone.stages) == len(LAYERS[row].split()) - 1
    with torch.no_grad():
        expected = apply_layers(LAYERS[row].replace(" ", ""), backbone, normalised)
        torch.testing.assert_close(backbone(images), expected)


def test_the_perceptron_takes_pixels_from_0_to_1() -> None:
    backbone = network("A2").double()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    x = images.flatten(1)
    for layer in backbone.modules():
        if isinstance(layer, nn.Linear):
            x = torch.clamp(x @ layer.weight.T + layer.bias, min=0)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), x)
    assert len(backbone.stages) == 8


@pytest.mark.parametrize(("pools", "side"), [("once", 16), ("each", 4)])
def test_two_dimensional_dropout_drops_whole_channels(pools: str, side: int) -> None:
    backbone = build("dropout-cnn", options={"dropout": 0.5, "pools": pools})
    dropouts = [layer for layer in backbone.modules() if isinstance(layer, nn.Dropout2d)]
    assert len(dropouts) == (1 if pools == "once" else 3)
    for dropout in dropouts[:-1]:
        dropout.p = 0.0
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad(), seeded(0, "dropout"):
        whole = backbone.eval()(images).reshape(4, 128, side, side)
        dropped = backbone.train()(images).reshape(4, 128, side, side)
    is_dropped = (dropped == 0).flatten(2).all(2)
    assert 0.4 < is_dropped.float().mean() < 0.6
    expected = torch.where(is_dropped[:, :, None, None], 0.0, 2 * whole)
    torch.testing.assert_close(dropped, expected)


def timm_state(body: nn.Module) -> dict[str, Tensor]:
    """Return the weights of `vit` under the names of timm's VisionTransformer."""
    stem, *layers = body.stages
    layers[-1], norm, _ = layers[-1]
    state = {"cls_token": stem.token[None, None], "pos_embed": stem.places[None]}
    for key, value in stem.embed.state_dict().items():
        state[f"patch_embed.proj.{key}"] = value
    for key, value in norm.state_dict().items():
        state[f"norm.{key}"] = value
    timm_names = {
        "self_attn.in_proj_": "attn.qkv.",
        "self_attn.out_proj": "attn.proj",
        "linear1": "mlp.fc1",
        "linear2": "mlp.fc2",
    }
    for number, layer in enumerate(layers):
        for key, value in layer.state_dict().items():
            for ours, theirs in timm_names.items():
                key = key.replace(ours, theirs)
            state[f"blocks.{number}.{key}"] = value
    return state


@pytest.mark.parametrize("heads", [5, 6])
def test_the_vision_transformer_is_timms(heads: int) -> None:
    ours = build("vit", options={"heads": heads})
    theirs = timm.models.VisionTransformer(
        32, 4, embed_dim=30, depth=6, num_heads=heads, num_classes=0, norm_layer=nn.LayerNorm
    ).eval()
    theirs.load_state_dict(timm_state(ours.body))
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = theirs((images - ours.mean) / ours.std)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours.train()(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_outputs", [1, 7])
def test_an_encoder_layer_starts_and_learns_as_torchs(n_outputs: int) -> None:
    with seeded(0):
        ours = Encoder(30, 5, only_first=n_outputs == 1)
    with seeded(0):
        theirs = nn.TransformerEncoderLayer(
            30, 5, 120, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
    assert list(ours.state_dict()) == list(theirs.state_dict())
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=0, atol=0)
    tokens, direction = torch.randn(3, 7, 30), torch.randn(3, n_outputs, 30)
    outputs = [ours(tokens), theirs(tokens)[:, :n_outputs]]
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-5)
    for output in outputs:
        (output * direction).sum().backward()
    for ours_weight, theirs_weight in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(ours_weight.grad, theirs_weight.grad, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"widths": []}, "'backbone.options.widths' should not be empty"),
        ("mlp", {"widths": [30, -3]}, r"'backbone.options.widths.1' .*, not -3"),
        ("vit", {"heads": 4}, "'backbone.options.heads' should be 5 or 6, not 4"),
        ("dropout-cnn", {"dropout": 1}, "'backbone.options.dropout' .* less than 1"),
        ("dropout-cnn", {"pool": "each"}, "did you mean 'backbone.options.pools'"),
        ("vgg", {"width": True}, "'backbone.options.width' .*, not True"),
    ],
)
def test_wrong_options(name: str, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(name, options=options)
