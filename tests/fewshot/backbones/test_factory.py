"""Building by name: keywords against settings, messages, and shapes of features."""

from __future__ import annotations

import pytest
import torch

from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.backbones import own_weights
from fewshot.config import BackboneSettings
from tests.fewshot.backbones.seeded_build import build


def test_keywords_build_what_settings_build() -> None:
    settings = {"options": {"width": 8}, "input_size": 48, "views": "flip", "crop": 0.9}
    by_name = build("conv4", **settings)
    with seeded(0, "test"):
        by_settings = backbones.build(BackboneSettings(name="conv4", **settings)).eval()
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(by_name(images), by_settings(images))
    assert (by_name.form, by_name.n_views) == (by_settings.form, by_settings.n_views)
    assert by_name.form == "conv4 [('width', 8)]"  # a cache key


@pytest.mark.parametrize("name", ["conv4", "resnet10t"])
def test_configured_statistics_replace_those_of_the_network(name: str) -> None:
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    own, changed = build(name), build(name, mean=mean, std=std)
    images = torch.rand(2, 3, 32, 32)
    channels = [
        (images[:, number] - mean[number]) / std[number] * own.std[number] + own.mean[number]
        for number in range(3)
    ]
    torch.testing.assert_close(changed(images), own(torch.stack(channels, 1)))
    only_mean = build(name, mean=mean)
    assert only_mean.std.flatten().tolist() == own.std.flatten().tolist()


def test_settings_and_keywords_together_are_an_error() -> None:
    with pytest.raises(TypeError, match="either a name"):
        backbones.build(BackboneSettings(name="conv4"), crop=0.5)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("resnet19", {}, "did you mean 'resnet18'"),
        ("conv4", {"wieghts": "none"}, "'backbone.wieghts'.* did you mean 'backbone.weights'"),
        ("conv4", {"crop": 2}, "'backbone.crop' should be less than or equal to 1, not 2"),
        ("conv4", {"std": [1, 1, 0]}, "'backbone.std.2' should be greater than 0, not 0"),
        ("conv4", {"options": {"widht": 3}}, "did you mean 'backbone.options.width'"),
        (
            "conv4",
            {"options": {"width": "big"}},
            "'backbone.options.width' should be a valid integer, not 'big'",
        ),
        ("conv4", {"options": {"width": -3}}, "not -3"),
        ("conv4", {"options": {"norm": "layer"}}, "should be 'none', 'batch' or 'group'"),
        ("resnet", {"weights": "pretrained"}, r"'resnet' has no pretrained weights .*mini-resnet"),
    ],
)
def test_wrong_names_settings_and_options(name: str, settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(name, **settings)


def test_a_network_that_cannot_be_built_is_an_error_about_its_options() -> None:
    with pytest.raises(UserError, match=r"'conv4' cannot be built .*\{'width': \d+\} .*change or"):
        backbones.build("conv4", options={"width": 10**15})


@pytest.mark.parametrize("name", [*backbones.OWN, "resnet18", "convnext_atto"])
def test_shapes_and_stages(name: str) -> None:
    backbone = build(name, input_size=32)
    with torch.no_grad():
        assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, backbone.n_features)
    dimensions = {name: parameter.ndim for name, parameter in backbone.named_parameters()}
    names = [name for stage in backbone.stages for name in stage]
    assert sorted(names) == sorted(dimensions)
    assert len(backbone.stages) >= 2
    for stage in backbone.stages:  # unfreezing a stage trains more than norms and biases
        assert max(dimensions[name] for name in stage) > 1


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"input_size": 48},
        {"crop": 0.875},
        {"views": "flip-crop"},
        {"views": "flip-crops", "crop": 0.7, "input_size": 33},
        {"views": "flip-shift"},
    ],
)
@pytest.mark.parametrize("name", ["resnet", "test_resnet"])
def test_images_of_the_input_side_are_reduced_and_smaller_ones_enlarged(
    name: str, settings: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone, sizes = build(name, **settings), []
    normalised = backbone._normalised

    def record(images: torch.Tensor, side: int) -> torch.Tensor:
        sizes.append(images.shape[-1] / side)
        return normalised(images, side)

    monkeypatch.setattr(backbone, "_normalised", record)
    side = backbones.input_side(BackboneSettings(name=name, **settings))
    assert backbone.image_side == side
    with torch.no_grad():
        backbone(torch.rand(1, 3, side, side))
        assert min(sizes) >= 1 - 0.5 / backbone.input_size  # crops are of whole pixels
        backbone(torch.rand(1, 3, side - 2, side - 2))
        assert min(sizes) < 1


def test_the_input_side_reads_no_weights_and_refuses_what_building_refuses() -> None:
    weights = {"weights": "nowhere.safetensors"}
    assert backbones.input_side(BackboneSettings(name="tf_efficientnetv2_s", **weights)) == 300
    assert backbones.input_side(BackboneSettings(name="mini-resnet", **weights)) == 32
    for settings in ({"name": "resnet19"}, {"name": "conv4", "input_size": 8}):
        with pytest.raises(UserError) as from_side:
            backbones.input_side(BackboneSettings(**settings))
        with pytest.raises(UserError) as from_build:
            backbones.build(BackboneSettings(**settings))
        assert str(from_side.value) == str(from_build.value)


def test_another_copy_has_new_random_weights_or_the_same_loaded_ones() -> None:
    images = torch.rand(2, 3, 32, 32)
    random = build("conv4", options={"width": 8})
    assert not torch.equal(random.build_again().eval()(images), random(images))
    loaded = build("mini-resnet", weights="pretrained")
    with torch.no_grad():
        assert torch.equal(loaded.build_again().eval()(images), loaded(images))


def test_a_pretrained_file_names_its_network() -> None:
    path = own_weights.shipped("mini-resnet")
    assert path is not None
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        from_file = backbones.from_file(path).eval()(images)
        assert torch.equal(from_file, build("mini-resnet", weights="pretrained")(images))


def test_the_weights_file_of_settings() -> None:
    def weights_file(name: str, weights: str) -> object:
        return backbones.weights_file(BackboneSettings(name=name, weights=weights))

    assert weights_file("mini-resnet", "none") is None
    assert weights_file("mini-resnet", "pretrained") == own_weights.shipped("mini-resnet")
    assert weights_file("resnet18", "pretrained") is None  # timm's, from the hub
    assert str(weights_file("resnet18", "a/b.pth")) == "a/b.pth"


def test_options_are_complete_with_defaults() -> None:
    options = backbones.resolved_options(BackboneSettings(name="conv4", options={"width": 8}))
    assert options == {"width": 8, "norm": "batch", "pool": False}


def test_every_network_of_our_own_has_a_description() -> None:
    lines = dict(backbones.describe())
    assert sorted(lines) == sorted(backbones.OWN)
    assert all(len(line) > 20 for line in lines.values())
    assert lines["mini-resnet"].endswith("[weights: pretrained]")
    assert "pretrained]" not in lines["conv4"]
