"""The reports' networks: their sizes by hand, their layers one by one, and a step with each preset."""

from __future__ import annotations

import itertools

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes import augment, streams
from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.config import BackboneSettings
from fewshot.features import frozen
from fewshot.learners import scratch
from fewshot.learners.base import Task
from fewshot.runs import resolve
from fewshot.training import optim, trainer
from tests.fewshot import easy

MLP_L = [2048, 1024, 512, 256, 128, 64, 32, 16]
SETTINGS = {  # row -> the network and its head
    "K1": ("baseline-cnn", {}, ()),
    "K2": ("enhanced-cnn", {}, ()),
    "K4": ("baseline-cnn", {"width": 10}, ()),
    "H1": ("vgg", {}, (64, 32)),
    "E4": ("custom-cnn", {}, (128,)),
    "A1": ("mlp", {}, ()),
    "A2": ("mlp", {"widths": MLP_L}, ()),
    "A3": ("dropout-cnn", {}, (512, 40)),
    "A3 each": ("dropout-cnn", {"pools": "each"}, (512, 40)),
    "A5": ("vit", {}, ()),
}


def learner(row: str) -> scratch.Scratch:
    name, options, hidden = SETTINGS[row]
    with seeded(0, "test"):
        backbone = backbones.build(BackboneSettings(name=name, options=options))
        return scratch.Scratch(backbone, Task(10), scratch.Options(hidden=hidden))


def conv(c_in: int, c_out: int) -> int:
    return 9 * c_in * c_out + c_out


def dense(*widths: int) -> int:
    return sum(a * b + b for a, b in itertools.pairwise(widths))


THREE = conv(3, 32) + conv(32, 64) + conv(64, 128)  # one convolution of each width
COUNTS = {
    "K1": 49_130,  # the report's
    "K2": 1_149_770,  # the report's
    "K4": conv(3, 10) + 3 * conv(10, 10) + dense(10 * 8 * 8, 10),
    "H1": THREE + conv(32, 32) + conv(64, 64) + conv(128, 128) + dense(128 * 4 * 4, 64, 32, 10),
    "E4": THREE + 2 * (32 + 64 + 128) + dense(128 * 4 * 4, 128, 10),
    "A1": dense(3 * 32 * 32, 1500, 500, 100, 10),
    "A2": dense(3 * 32 * 32, 2048, 1024, 512, 256, 128, 64, 32, 16, 10),
    "A3": THREE + dense(128 * 16 * 16, 512, 40, 10),
    "A3 each": THREE + dense(128 * 4 * 4, 512, 40, 10),
    # patches, class token, 65 places; six times query, key, value and output of attention, two dense layers, two norms;
    # the last norm and the head
    "A5": (4 * 4 * 3 * 30 + 30) + 30 + 65 * 30
    + 6 * (4 * dense(30, 30) + dense(30, 120, 30) + 2 * 60)
    + 60 + dense(30, 10),
}  # fmt: skip


@pytest.mark.parametrize("row", COUNTS)
def test_parameters(row: str) -> None:
    assert sum(each.numel() for each in learner(row).parameters()) == COUNTS[row]


def test_the_counts_that_docstrings_state() -> None:
    assert (COUNTS["H1"], COUNTS["A3"], COUNTS["A5"]) == (420_554, 16_891_906, 70_960)


@pytest.mark.parametrize("row", SETTINGS)
def test_gradients_reach_every_weight_of_every_stage(row: str) -> None:
    model = learner(row).train()
    item = easy.labelled(3, seed=0)
    model.loss(item).backward()
    for name, each in model.named_parameters():
        assert each.grad is not None, name
        assert each.grad.abs().sum() > 0, name
    named = [name for stage in model.backbone.stages for name in stage]
    assert sorted(named) == sorted(name for name, _ in model.backbone.named_parameters())


# c convolution, b batch norm, r ReLU, p max pool, f flattening, m mean over the grid
LAYERS = {
    "K1": "crcrp crcrp f",
    "K2": "crbcrbp crbcrbp crbcrbp m",
    "H1": "crcrp crcrp crcrp f",
    "E4": "cbrp cbrp cbrp f",
    "A3": "cr cr crp f",
    "A3 each": "crp crp crp f",
}


@pytest.mark.parametrize("row", LAYERS)
def test_layers_come_in_the_order_written_here(row: str) -> None:
    backbone, draw = learner(row).backbone.eval(), torch.Generator().manual_seed(0)
    norms = [part for part in backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:  # a new one changes nothing, wherever it stands
        for each in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
            each.data.uniform_(0.3, 1.0, generator=draw)
    convolutions = iter([part for part in backbone.modules() if isinstance(part, nn.Conv2d)])
    following = iter(norms)
    images = torch.rand(2, 3, 32, 32, generator=draw)
    x = (images - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor(
        [0.229, 0.224, 0.225]
    )[:, None, None]
    for letter in LAYERS[row].replace(" ", ""):
        if letter == "c":
            layer = next(convolutions)
            assert layer.kernel_size == (3, 3)
            x = F.conv2d(x, layer.weight, layer.bias, padding=1)
        elif letter == "b":
            norm = next(following)
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        else:
            x = {
                "r": F.relu,
                "p": lambda y: F.max_pool2d(y, 2),
                "f": lambda y: y.flatten(1),
                "m": _mean,
            }[letter](x)
    assert len(list(convolutions)) == len(list(following)) == 0
    assert len(backbone.stages) == len(LAYERS[row].split()) - 1
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), x)


def _mean(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def test_the_perceptron_sees_pixels_from_0_to_1() -> None:
    backbone = learner("A2").backbone.eval()
    images = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    x = images.flatten(1)
    for layer in (part for part in backbone.double().modules() if isinstance(part, nn.Linear)):
        x = torch.clamp(x @ layer.weight.T + layer.bias, min=0)
    with torch.no_grad():
        torch.testing.assert_close(backbone(images), x)
    assert len(backbone.stages) == 8


@pytest.mark.parametrize(("pools", "side"), [("once", 16), ("each", 4)])
def test_two_dimensional_dropout_takes_whole_channels(pools: str, side: int) -> None:
    backbone = backbones.build(
        BackboneSettings(name="dropout-cnn", options={"dropout": 0.5, "pools": pools})
    )
    assert sum(isinstance(part, nn.Dropout2d) for part in backbone.modules()) == (
        1 if pools == "once" else 3
    )
    for part in list(backbone.modules()):  # the last alone
        if isinstance(part, nn.Dropout2d) and part is not backbone.body.stages[-1][-1]:
            part.p = 0.0
    images = torch.rand(4, 3, 32, 32)
    with torch.no_grad(), seeded(0, "dropout"):
        whole = backbone.eval()(images).reshape(4, 128, side, side)
        dropped = backbone.train()(images).reshape(4, 128, side, side)
    gone = (dropped == 0).flatten(2).all(2)
    assert 0.4 < gone.float().mean() < 0.6
    torch.testing.assert_close(dropped, torch.where(gone[:, :, None, None], 0.0, 2 * whole))


@pytest.mark.parametrize("heads", [5, 6])
def test_the_vision_transformer_is_that_of_timm(heads: int) -> None:
    """timm's class with our weights gives our features."""
    with seeded(0, "test"):
        ours = backbones.build(BackboneSettings(name="vit", options={"heads": heads})).eval()
    stem, *layers = ours.body.stages
    layers[-1], norm, _ = layers[-1]
    state = {"cls_token": stem.token[None, None], "pos_embed": stem.places[None]}
    state |= {f"patch_embed.proj.{key}": each for key, each in stem.embed.state_dict().items()}
    state |= {f"norm.{key}": each for key, each in norm.state_dict().items()}
    names = {
        "self_attn.in_proj_": "attn.qkv.", "self_attn.out_proj": "attn.proj", "linear1": "mlp.fc1", "linear2": "mlp.fc2"
    }  # fmt: skip
    for number, layer in enumerate(layers):
        for key, each in layer.state_dict().items():
            for mine, theirs in names.items():
                key = key.replace(mine, theirs)
            state[f"blocks.{number}.{key}"] = each
    theirs = timm.models.VisionTransformer(
        32, 4, embed_dim=30, depth=6, num_heads=heads, num_classes=0, norm_layer=nn.LayerNorm
    ).eval()
    theirs.load_state_dict(state)
    images = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        expected = theirs((images - ours.mean) / ours.std)
        torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)
    ours.train()
    torch.testing.assert_close(ours(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "parameters", "last", "last_two"),
    [  # parameters: as torchvision has it with 1000 classes; then where the last one and two stages begin
        ("efficientnet_b0", 5_288_548, "blocks.6.", "blocks.5."),
        ("tf_efficientnet_b0.aa_in1k", 5_288_548, "blocks.6.", "blocks.5."),
        ("tf_efficientnetv2_s", 21_458_488, "blocks.5.", "blocks.4."),
        ("mobilenetv3_small_100", 2_542_856, "conv_head.", "blocks.5."),
        ("tf_mobilenetv3_small_100", 2_542_856, "conv_head.", "blocks.5."),
        ("resnet18", 11_689_512, "layer4.", "layer3."),
        ("densenet121", 7_978_856, "features.denseblock4.", "features.denseblock3."),
        ("convnext_tiny", 28_589_128, "stages.3.", "stages.2."),
    ],
)
def test_the_reports_networks_that_are_timm_s(
    name: str, parameters: int, last: str, last_two: str
) -> None:
    backbone = backbones.build(BackboneSettings(name=name, input_size=64)).eval()
    assert (
        sum(each.numel() for each in backbone.parameters()) + 1000 * (backbone.n_features + 1)
        == parameters
    )
    with torch.no_grad():
        found = backbone(torch.rand(2, 3, 32, 32))
    assert found.shape == (2, backbone.n_features)
    assert found.isfinite().all()
    assert not torch.allclose(found[0], found[1])
    model = scratch.Scratch(backbone, Task(10), scratch.Options())
    for n, begins in ((1, last), (2, last_two)):
        optim.set_trainable(model, n)
        trained = [name for name, each in model.named_parameters() if each.requires_grad]
        assert trained[0].startswith(f"backbone.body.{begins}")
        assert trained[0] == next(
            name for name, _ in model.named_parameters() if f".body.{begins}" in name
        )
        assert trained[-1] == "head.1.bias"


PRESETS = (
    "vgg",
    "efficientnet-b0",
    "mobilenetv3-small",
    "mlp-s",
    "mlp-l",
    "cnn",
    "vit",
    "custom-cnn",
)


@pytest.mark.parametrize("name", PRESETS)
def test_a_step_with_the_preset_changes_what_it_trains_and_nothing_else(name: str) -> None:
    settings = resolve.configure(
        {"method": "scratch", "shots": 4, "backbone": {"weights": "none"}}, name
    )
    model = resolve.build_learner(settings, Task(easy.N_WAY), seed=0)
    before = {key: each.clone() for key, each in model.state_dict().items()}
    found = easy.images(2, seed=0)
    pool = streams.pool(found, torch.arange(len(found)), "cpu")
    stream = streams.batches(pool, 8, augment.build(settings.augment, easy.N_WAY), seed=0)
    train = settings.train.model_copy(update={"steps": 1, "epochs": None})
    with seeded(0, "fit"):
        done = trainer.fit(model, stream, train, steps_per_epoch=1.0)
    assert done.steps == 1
    stays_frozen = name == "efficientnet-b0"
    changed = {
        key for key, each in model.state_dict().items() if not torch.equal(each, before[key])
    }
    assert any(key.startswith("head.") for key in changed)
    assert (
        any(key.startswith("backbone.") for key in changed) != stays_frozen
    )  # batch statistics too
    assert frozen.fit_for(settings, model) == stays_frozen


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("mlp", {"widths": []}, "'backbone.options.widths' .* at least 1"),
        ("mlp", {"widths": [30, -3]}, r"'backbone.options.widths.1' .*, not -3"),
        ("vit", {"heads": 4}, "'backbone.options.heads' should be 5 or 6, not 4"),
        ("dropout-cnn", {"dropout": 1}, "'backbone.options.dropout' .* less than 1"),
        ("dropout-cnn", {"pool": "each"}, "did you mean 'backbone.options.pools'"),
        ("vgg", {"width": True}, "'backbone.options.width' .*, not True"),
    ],
)
def test_wrong_options(name: str, options: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        backbones.build(BackboneSettings(name=name, options=options))
