"""timm models as bodies: timm's own forward pass and torchvision's parameter counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from tests.fewshot.backbones.seeded_build import build


def test_features_are_what_timm_gives_to_its_classifier(tmp_path: Path) -> None:
    source = timm.create_model("resnet10t", num_classes=7).eval()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    backbone = build("resnet10t", weights=str(tmp_path / "w.safetensors"), input_size=64)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        normalised = (images - backbone.mean) / backbone.std
        expected = source.forward_head(source.forward_features(normalised), pre_logits=True)
        torch.testing.assert_close(backbone(images), expected)


def test_input_size_and_statistics_are_timms() -> None:
    backbone = build("test_vit")
    config = timm.data.resolve_data_config(model=timm.create_model("test_vit"))
    assert backbone.input_size == config["input_size"][-1]
    assert tuple(backbone.mean.flatten().tolist()) == pytest.approx(config["mean"])
    assert tuple(backbone.std.flatten().tolist()) == pytest.approx(config["std"])


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet18", {"options": {"no_such": 1}}, r"could not build 'resnet18' .*no_such"),
        ("resnet18", {"weights": "nowhere.pth"}, "nowhere.pth does not exist"),
        ("conv5", {}, "did you mean 'conv4'"),
        ("zzzzzz", {}, "own: baseline-cnn, .*; all others are timm's"),
        ("resnet18", {"options": {"in_chans": 1}}, "in_chans .* images always have three channels"),
        ("resnet18", {"options": {"num_classes": 5}}, "num_classes .* a classifier of its own"),
        ("resnet18", {"options": {"pretrained": True}}, "use --weights pretrained"),
        ("resnet18", {"options": {"features_only": True}}, "one vector of features"),
        ("test_resnet", {"options": {"global_pool": ""}}, r"shape \[\d+, 5, 5\], not one vector"),
        ("test_vit", {"input_size": 100}, "takes no images of 100 .*=96 or 112, or leave out"),
        (
            "vit_tiny_patch16_224",
            {"input_size": 64, "options": {"img_size": 96}},
            "64 pixels if backbone.options.img_size is 96: leave out one",
        ),
    ],
)
def test_what_timm_cannot_build(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(name, **settings)


def test_options_of_python_may_be_anything() -> None:
    options = {"norm_layer": torch.nn.GroupNorm, "act_layer": torch.nn.SiLU}
    build("test_vit", options={"act_layer": torch.nn.SiLU})
    with pytest.raises(UserError, match=r"could not build 'resnet18' .*GroupNorm"):
        backbones.build("resnet18", options=options)


def test_options_of_ours_at_their_own_values_are_no_error() -> None:
    assert build("test_resnet", options={"in_chans": 3, "num_classes": 0}).n_features > 0


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "levit_128s", "pit_ti_224"])
def test_a_network_of_fixed_size_is_built_for_the_size_that_is_asked(name: str) -> None:
    backbone = build(name, input_size=96)
    assert backbone.input_size == 96
    with seeded(0, "test"):  # as `build` seeds
        expected = timm.create_model(name, num_classes=0, img_size=96).eval()
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        normalised = (images - backbone.mean) / backbone.std
        torch.testing.assert_close(backbone(images), expected(normalised))


def test_the_option_of_the_size_is_the_input_size() -> None:
    assert build("vit_tiny_patch16_224", options={"img_size": 96}).input_size == 96


def test_weights_of_one_size_are_loaded_at_another(tmp_path: Path) -> None:
    source = timm.create_model("vit_tiny_patch16_224", num_classes=7).eval()
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    weights = str(tmp_path / "w.safetensors")
    backbone = build("vit_tiny_patch16_224", weights=weights, input_size=96)
    oracle = timm.create_model("vit_tiny_patch16_224", num_classes=7, dynamic_img_size=True).eval()
    oracle.load_state_dict(source.state_dict())
    images = torch.rand(2, 3, 96, 96)
    with torch.no_grad():
        normalised = (images - backbone.mean) / backbone.std
        expected = oracle.forward_head(oracle.forward_features(normalised), pre_logits=True)
        torch.testing.assert_close(backbone(images), expected, atol=1e-4, rtol=1e-3)


# Parameters of torchvision with 1000 classes; where the last stage and the one before it begin.
NETWORKS = [
    ("efficientnet_b0", 5_288_548, "blocks.6.", "blocks.5."),
    ("tf_efficientnet_b0.aa_in1k", 5_288_548, "blocks.6.", "blocks.5."),
    ("tf_efficientnetv2_s", 21_458_488, "blocks.5.", "blocks.4."),
    ("mobilenetv3_small_100", 2_542_856, "conv_head.", "blocks.5."),
    ("tf_mobilenetv3_small_100", 2_542_856, "conv_head.", "blocks.5."),
    ("resnet18", 11_689_512, "layer4.", "layer3."),
    ("densenet121", 7_978_856, "features.denseblock4.", "features.denseblock3."),
    ("convnext_tiny", 28_589_128, "stages.3.", "stages.2."),
]


@pytest.mark.parametrize(("name", "parameters", "last", "before_last"), NETWORKS)
def test_the_reports_networks(name: str, parameters: int, last: str, before_last: str) -> None:
    with torch.device("meta"):  # names and shapes need no numbers
        backbone = backbones.build(name)
    n_parameters = sum(parameter.numel() for parameter in backbone.parameters())
    assert n_parameters + 1000 * (backbone.n_features + 1) == parameters
    for stage, prefix in ((backbone.stages[-1], last), (backbone.stages[-2], before_last)):
        names = [name for name, _ in backbone.named_parameters() if f"body.{prefix}" in name]
        assert stage[0] == names[0]
        assert set(names) <= set(stage)


@pytest.mark.parametrize("name", ["pit_ti_224", "rdnet_tiny"])
def test_models_without_groups_have_their_parts_as_stages(name: str) -> None:
    with torch.device("meta"):
        backbone = backbones.build(name)
    names = [name for name, _ in backbone.body.named_parameters()]
    assert [f"body.{name}" for name in names] == [one for stage in backbone.stages for one in stage]
    assert len(backbone.stages) > 2


def test_a_network_of_the_reports_computes() -> None:
    backbone = build("mobilenetv3_small_100", input_size=64)
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 32, 32))
    assert features.shape == (2, backbone.n_features)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1])
