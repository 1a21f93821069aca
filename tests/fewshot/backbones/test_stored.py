"""Backbones are rebuilt from settings and state.

Oracle: the features of the original network; networks whose size is known by hand.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from fewshot import backbones
from fewshot.backbones import own_weights, stored
from fewshot.backbones.stored import Misfit, StoredNetwork
from fewshot.config import BackboneSettings
from fewshot.errors import UserError

SMALL = {"name": "conv4", "options": {"width": 4}}
STATISTICS = {"": ((0.5,) * 3, (0.5,) * 3)}


@pytest.mark.parametrize(
    "settings",
    [
        SMALL,
        {**SMALL, "input_size": 48, "views": "flip-crop", "crop": 0.9, "centre": True},
        {"name": "speed-cnn", "options": {"widths": [8, 8, 8]}},
        {"name": "vit", "root": True},
        {"name": "mlp", "options": {"widths": [10]}},
        {"name": "mini-resnet", "weights": "pretrained", "views": "flip"},
        {**SMALL, "beside": [{"name": "mlp", "options": {"widths": [6]}, "root": True}]},
        {"name": "mini-resnet", "weights": "pretrained", "beside": [SMALL]},
        {"name": "test_efficientnet", "input_size": 40},
        {"name": "test_vit", "input_size": 64, "options": {"depth": 2}},
    ],
    ids=lambda settings: str(settings)[:60],
)
def test_a_rebuilt_network_gives_the_same_features(settings: dict[str, Any]):
    complete = BackboneSettings(**settings)
    backbone = backbones.build(complete).eval()
    for tensor in backbone.state_dict().values():  # as if it had been trained
        if tensor.is_floating_point():
            tensor.mul_(1.01)
    network = stored.network_of(complete, backbone)
    before = torch.random.get_rng_state()
    again = stored.rebuild(network, dict(backbone.state_dict()))
    assert torch.equal(torch.random.get_rng_state(), before)
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(again(images), backbone(images))
        assert torch.equal(again.build_again()(images), backbone(images))
    assert again.n_features == backbone.n_features
    assert again.image_side == backbone.image_side


def test_published_weights_are_not_read(monkeypatch: pytest.MonkeyPatch):
    settings = BackboneSettings(name="mini-resnet", weights="pretrained")
    backbone = backbones.build(settings)
    monkeypatch.delattr(own_weights, "load")
    stored.rebuild(stored.network_of(settings, backbone), dict(backbone.state_dict()))


def test_normalisation_is_that_of_the_file():
    backbone = backbones.build(BackboneSettings(**SMALL))
    network = StoredNetwork(BackboneSettings(**SMALL), STATISTICS)
    again = stored.rebuild(network, dict(backbone.state_dict()))
    assert again.mean.flatten().tolist() == again.std.flatten().tolist() == [0.5, 0.5, 0.5]


def test_a_network_of_a_folder_gets_the_name_that_timm_has_for_it(tmp_path: Path):
    model = timm.create_model("test_resnet", num_classes=3, avg_down=True)
    timm.models.save_for_hf(model, tmp_path, model_config={"num_classes": 3})
    settings = BackboneSettings(name=f"local-dir:{tmp_path}", weights="pretrained", input_size=64)
    backbone = backbones.build(settings).eval()
    network = stored.network_of(settings, backbone)
    assert network.settings.name == "test_resnet"
    assert network.settings.weights == "none"
    shutil.rmtree(tmp_path)
    again = stored.rebuild(network, dict(backbone.state_dict()))
    with torch.no_grad():
        assert torch.equal(again(torch.zeros(1, 3, 64, 64)), backbone(torch.zeros(1, 3, 64, 64)))


@pytest.mark.parametrize("name", ["hf-hub:me/mine", "local-dir:/somewhere"])
def test_a_file_names_no_repository_and_no_folder(name: str):
    with pytest.raises(Misfit, match="of a repository or of a folder"):
        stored.layout(StoredNetwork(BackboneSettings(name=name), STATISTICS), {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({**SMALL, "options": {"width": 10**6}}, "beyond"),
        ({**SMALL, "options": {"width": 60_000}}, "not those of its network"),
        ({**SMALL, "input_size": 1040}, "more than 1024 pixels"),
        ({"name": "resnet", "options": {"width": 1, "blocks": 60_000}}, "more parts"),
        ({"name": "resnet18", "options": {"layers": [10_000] * 4}}, "more parts"),
        ({"name": "mini-resnet", "options": {"widths": [1] * 501}}, "too many options"),
    ],
)
def test_a_large_network_is_refused_before_it_exists(settings: dict[str, Any], words: str):
    backbone = backbones.build(BackboneSettings(**SMALL))
    shapes = {name: tuple(tensor.shape) for name, tensor in backbone.state_dict().items()}
    with pytest.raises(UserError, match=words):
        stored.layout(StoredNetwork(BackboneSettings(**settings), STATISTICS), shapes)


def test_layers_beyond_all_memory_are_refused():
    settings = BackboneSettings(
        name="conv4", options={"width": 512}, input_size=1024, views="flip-crops"
    )
    shapes = {}
    with torch.device("meta"):
        for name, tensor in backbones.build(settings).state_dict().items():
            shapes[name] = tuple(tensor.shape)
    with pytest.raises(Misfit, match="too much memory"):
        stored.layout(StoredNetwork(settings, STATISTICS), shapes)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.pop("body.stages.0.0.weight"),
        lambda state: state.update(extra=torch.zeros(1)),
        lambda state: state.update({"body.stages.0.0.weight": torch.zeros(4, 3, 5, 5)}),
        lambda state: state.update({"finish.mix": torch.eye(4)}),
        lambda state: state.update(
            {"finish.mix": torch.eye(4), "finish.shift": torch.ones(4), "finish.x": torch.ones(1)}
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(change: Any):
    state = dict(backbones.build(BackboneSettings(**SMALL)).state_dict())
    change(state)
    with pytest.raises(Misfit):
        stored.rebuild(StoredNetwork(BackboneSettings(**SMALL), STATISTICS), state)


def test_only_published_weights_are_asked_for():
    for settings in (SMALL, {"name": "mini-resnet", "weights": "/etc/passwd"}):
        with pytest.raises(Misfit, match="no published weights"):
            stored.published(BackboneSettings(**settings), "0" * 64)


def test_a_hash_depends_on_names_types_shapes_and_numbers():
    one = torch.tensor([1.0, 2.0])
    states = [
        {"a": one},
        {"b": one},
        {"a": one.double()},
        {"a": one[None]},
        {"a": one + 1},
        {"a": one, "b": one},
    ]
    assert len({stored.hash_of(state) for state in states}) == len(states)
    assert stored.hash_of({"a": one, "b": one}) == stored.hash_of({"b": one, "a": one.clone()})
