"""Networks side by side: the features of each network alone, scaled to unit length by NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from episodes.types import ImageSet
from fewshot import backbones, config
from fewshot.config import BackboneSettings
from fewshot.errors import UserError
from fewshot.features import frozen
from tests.fewshot.backbones.seeded_build import build

SMALL = {"width": 8, "norm": "group"}
FIRST = {"name": "conv4", "options": SMALL, "views": "flip"}
SECOND = {"name": "test_resnet", "input_size": 64, "root": True}


def pair(**changes: object) -> BackboneSettings:
    return BackboneSettings(**FIRST, beside=[{**SECOND, **changes}])


def alone(joined: backbones.Backbone, settings: BackboneSettings) -> list[backbones.Backbone]:
    """Return the networks of a pair, each built by itself with the same weights."""
    parts = [backbones.build(one) for one in settings.networks]
    for number, part in enumerate(parts):
        prefix = f"body.{number}."
        state = {
            key.removeprefix(prefix): value
            for key, value in joined.state_dict().items()
            if key.startswith(prefix)
        }
        part.load_state_dict(state)
    return [part.eval() for part in parts]


def test_features_are_those_of_each_network_at_unit_length() -> None:
    joined = backbones.build(pair()).eval()
    images = torch.rand(3, 3, 48, 48)
    with torch.no_grad():
        parts = [part(images).numpy() for part in alone(joined, pair())]
        features = joined(images).numpy()
    lengths = [np.sqrt((part.astype(np.float64) ** 2).sum(1, keepdims=True)) for part in parts]
    expected = np.concatenate([p / length for p, length in zip(parts, lengths, strict=True)], 1)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-7)
    assert joined.n_features == features.shape[1]


def test_sizes_views_and_stages_cover_both() -> None:
    joined = backbones.build(pair())
    assert (joined.n_views, joined.input_size) == (2, 64)
    assert joined.image_side == backbones.input_side(pair()) == 64
    names = [name for name, _ in joined.named_parameters()]
    assert sorted(name for stage in joined.stages for name in stage) == sorted(names)
    assert {name.split(".")[1] for name in joined.stages[-1]} == {"0", "1"}


def test_what_changes_the_features_changes_their_fingerprint() -> None:
    def mark(settings: BackboneSettings) -> str:
        torch.manual_seed(0)
        return frozen.fingerprint(backbones.build(settings))

    marks = [mark(pair()), mark(pair(root=False)), mark(pair(input_size=96)), mark(pair(crop=0.5))]
    assert len(set(marks)) == 4
    assert mark(pair()) == marks[0]


def test_cached_features_do_not_depend_on_the_other_images() -> None:
    joined = backbones.build(pair()).eval()
    pixels = torch.randint(0, 256, (5, 3, 32, 32), dtype=torch.uint8)
    images = ImageSet("", pixels, torch.zeros(5, dtype=torch.int64), ("a",), "", {})
    every = frozen.extract(joined, images, torch.arange(5), "cpu")
    torch.testing.assert_close(
        frozen.extract(joined, images, torch.tensor([3]), "cpu"), every[3:4], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("mini-resnet", ["mini-resnet"]),
        ("mini-resnet+resnet18.a1_in1k", ["mini-resnet", "resnet18.a1_in1k"]),
        ("conv4 + timm/resnet18 + vit", ["conv4", "resnet18", "vit"]),
        ("conv4+local-dir:/a+b/c", ["conv4", "local-dir:/a+b/c"]),
    ],
)
def test_a_name_with_a_plus_names_several_networks(name: str, names: list[str]) -> None:
    settings = BackboneSettings(name=name, weights="pretrained")
    assert [one.name for one in settings.networks] == names
    assert {one.weights for one in settings.networks} == {"pretrained"}
    assert BackboneSettings.model_validate(settings.model_dump(mode="json")) == settings
    assert settings.full_name == "+".join(names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "a+b", "weights": "w.safetensors"}, "weights of one network"),
        ({"name": "a+b", "beside": [{"name": "c"}]}, "either as a\\+b or in `beside`"),
        ({"name": "a", "beside": [{"name": "b+c"}]}, "no `beside` of its own"),
        ({"name": "conv4", "beside": [{"name": "conv5"}]}, "did you mean 'conv4'"),
    ],
)
def test_a_pair_that_cannot_be_built(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backbones.build(config.check(BackboneSettings, settings, "backbone"))


def test_several_pairs_cannot_be_one_network() -> None:
    parts = [backbones.build(pair()) for _ in range(2)]
    with pytest.raises(UserError, match="name a single backbone"):
        backbones.concatenate(parts)


def test_another_network_or_a_single_one_replaces_a_pair_of_a_preset() -> None:
    preset = {"backbone": {**FIRST, "beside": [SECOND]}, "learner": {"c": 2}}
    for name in ("conv4", "conv4+vit"):
        merged = config.overlay(preset, {"backbone": {"name": name}})
        assert merged == {"backbone": {"name": name}, "learner": {"c": 2}}
    merged = config.overlay(preset, {"backbone": {"name": "conv4+test_resnet", "views": "none"}})
    settings = BackboneSettings(**merged["backbone"])
    assert settings == pair().model_copy(update={"views": "none"})


def test_the_root_keeps_the_sign_and_has_its_own_form() -> None:
    plain, rooted = build("conv4", 0, options=SMALL), build("conv4", 0, options=SMALL, root=True)
    images = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        features = plain.eval()(images).numpy().astype(np.float64)
        expected = np.sign(features) * (np.sqrt(np.abs(features) + 0.01) - 0.1)
        np.testing.assert_allclose(rooted.eval()(images), expected, rtol=1e-4, atol=1e-6)
    assert frozen.fingerprint(plain) != frozen.fingerprint(rooted)
