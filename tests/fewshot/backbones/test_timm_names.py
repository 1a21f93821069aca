"""Names by hand, as people write them; which weights exist, by timm's own list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch

from episodes.errors import NotHere, UserError
from fewshot import backbones
from fewshot.backbones import timm_names
from tests.fewshot.backbones.seeded_build import build


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ResNet-50", "did you mean 'resnet50'"),
        ("ResNet18.tv_in1k", r"did you mean 'resnet18\.tv_in1k'"),
        ("google/vit-base-patch16-224", "did you mean 'vit_base_patch16_224'"),
        ("microsoft/resnet-50", "did you mean 'resnet50'"),
        ("mine/no-such-thing-at-all", "is named hf-hub:mine/no-such-thing-at-all"),
        ("Mini_ResNet", "did you mean 'mini-resnet'"),
        ("resnet18.tv_in2k", "'resnet18' has no weights of the tag 'tv_in2k': did you mean 'tv_"),
        ("hf-hub:nobody", "use hf-hub:OWNER/NAME"),
        ("local-dir:/nowhere", r"not a folder with a config\.json"),
    ],
)
def test_names_that_timm_does_not_have(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        timm_names.check(name, sorted(backbones.OWN))


def test_every_name_of_timm_passes() -> None:
    for name in [*timm.list_models("resnet1*"), *timm.list_pretrained("vit_tiny*")]:
        timm_names.check(name, [])


def test_prefixes_of_timm_build_the_same_network() -> None:
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = build("resnet10t.c3_in1k", input_size=64)(images)
        for name in ("timm/resnet10t.c3_in1k", "hf_hub:timm/resnet10t.c3_in1k"):
            torch.testing.assert_close(build(name, input_size=64)(images), expected)


def test_a_repository_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(NotHere, match="HF_HUB_OFFLINE is set: connect to the hub once"):
        timm_names.check("hf-hub:nobody/has-this-model", [])


def test_a_folder_in_the_format_of_timm(tmp_path: Path) -> None:
    model = timm.create_model("test_resnet", num_classes=3).eval()
    timm.models.save_for_hf(model, tmp_path, model_config={"num_classes": 3})
    assert "architecture" in json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    backbone = build(f"local-dir:{tmp_path}", weights="pretrained", input_size=64)
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        normalised = (images - backbone.mean) / backbone.std
        expected = model.forward_head(model.forward_features(normalised), pre_logits=True)
        torch.testing.assert_close(backbone(images), expected)


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_tiny_patch16_224", "resnet200", "botnet50ts_256"]
)
def test_which_models_have_published_weights(name: str) -> None:
    assert timm_names.has_published_weights(name) == any(
        one.split(".")[0] == name for one in timm.list_pretrained()
    )
