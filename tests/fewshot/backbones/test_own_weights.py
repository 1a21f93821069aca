"""Weight files of our own networks: numpy's half precision, round trips, wrong files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from episodes.errors import UserError
from fewshot import backbones
from fewshot.backbones import own_weights
from tests.fewshot.backbones.seeded_build import build

OPTIONS = {"width": 8, "norm": "batch", "pool": False}


def write(path: Path, card: dict | None = None, options: dict | None = None) -> backbones.Backbone:
    """Write the file of a conv4 whose features follow a `Finish`, and return the network."""
    source = build("conv4", options={"width": 8})
    d = source.n_features
    finish = {"shift": torch.rand(d), "mix": torch.rand(d, d)}
    source.finish = backbones.Finish(**finish)
    content = own_weights.pack(
        source.body.state_dict(), finish, "conv4", options or OPTIONS, card or {}
    )
    path.write_bytes(content)
    return source


def test_a_packed_file_comes_back_in_half_precision(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    source = write(path, card={"images": 7})
    loaded = backbones.from_file(path).eval()
    assert (own_weights.network_of(path), own_weights.card(path)) == (
        ("conv4", OPTIONS),
        {"images": 7},
    )
    for name, value in source.state_dict().items():
        expected = value.numpy()
        if value.ndim > 1:
            expected = expected.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(loaded.state_dict()[name], expected, err_msg=name)


def test_equal_weights_are_equal_files_and_the_card_is_not_hashed(tmp_path: Path) -> None:
    first, same, other_card = (tmp_path / name for name in ("a", "b", "c"))
    torch.manual_seed(0)
    write(first)
    torch.manual_seed(0)
    write(same)
    torch.manual_seed(0)
    write(other_card, card={"seconds": 3})
    assert first.read_bytes() == same.read_bytes() != other_card.read_bytes()
    assert own_weights.content_hash(first) == own_weights.content_hash(other_card)
    torch.manual_seed(1)
    write(same)
    assert own_weights.content_hash(first) != own_weights.content_hash(same)


def test_a_file_of_another_kind_is_hashed_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(b"anything")
    import hashlib

    assert own_weights.content_hash(path) == hashlib.sha256(b"anything").hexdigest()
    path.write_bytes(b"something else")
    assert own_weights.content_hash(path) == hashlib.sha256(b"something else").hexdigest()


def test_the_body_of_a_run_can_be_loaded(tmp_path: Path) -> None:
    source = build("conv4", options={"width": 8})
    state = {f"backbone.body.{name}": value for name, value in source.body.state_dict().items()}
    save_file({**state, "head.weight": torch.rand(3, 4)}, tmp_path / "model.safetensors")
    loaded = build("conv4", 1, options={"width": 8}, weights=str(tmp_path / "model.safetensors"))
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(loaded(images), source(images))


def test_older_files_do_not_store_default_options(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    write(path, options={"width": 8})
    assert build("conv4", options={"width": 8}, weights=str(path)).finish is not None


def test_weights_beyond_half_precision_are_refused() -> None:
    with pytest.raises(UserError, match="beyond the range of half precision"):
        own_weights.pack({"a": torch.full((2, 2), 1e6)}, {}, "conv4", {}, {})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet", {"width": 8}, "holds weights of 'conv4' with options .* not of 'resnet' with"),
        ("conv4", {"width": 16}, r"holds weights of 'conv4' .*name that backbone and those"),
    ],
)
def test_a_file_of_another_network(tmp_path: Path, name: str, options: dict, message: str) -> None:
    write(tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=message):
        build(name, options=options, weights=str(tmp_path / "w.safetensors"))


def test_broken_missing_and_nameless_files(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.rand(3)}, path)
    with pytest.raises(UserError, match="does not say which network it is for"):
        backbones.from_file(path)
    with pytest.raises(UserError, match=r"w\.safetensors does not hold weights of 'conv4'"):
        build("conv4", weights=str(path))
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match=r"w\.safetensors cannot be read as a \.safetensors file"):
        build("conv4", weights=str(path))
    path.unlink()
    with pytest.raises(UserError, match="does not exist"):
        backbones.from_file(path)


def test_the_shipped_weights_are_complete() -> None:
    path = own_weights.shipped("mini-resnet")
    assert path is not None
    assert own_weights.shipped("conv4") is None
    backbone = build("mini-resnet", weights="pretrained")
    state = backbone.state_dict()
    names = {
        name.removeprefix("backbone.") if name.startswith("backbone.") else f"body.{name}"
        for name in load_file(path)
    }
    assert names == set(state)
    card = own_weights.card(path)
    assert json.loads(json.dumps(card)) == card
    assert card
