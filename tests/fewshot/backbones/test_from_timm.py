"""timm models as bodies: timm's own forward pass and torchvision's parameter counts."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from episodes.errors import UserError
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
    ],
)
def test_what_timm_cannot_build(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(name, **settings)


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


def test_a_network_of_the_reports_computes() -> None:
    backbone = build("mobilenetv3_small_100", input_size=64)
    with torch.no_grad():
        features = backbone(torch.rand(2, 3, 32, 32))
    assert features.shape == (2, backbone.n_features)
    assert features.isfinite().all()
    assert not torch.allclose(features[0], features[1])
