"""Weight files of timm models: the model that wrote the file, and ways to break it."""

from __future__ import annotations

import itertools
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from episodes.errors import UserError
from tests.fewshot.backbones.timm_weights import build, has_weights_of, source

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("name", "n_classes"),
    [
        *itertools.product(["test_resnet", "test_vit", "test_convnext"], [0, 7, 1000]),
        ("dla46x_c", 7),  # timm never reports its missing weights
    ],
)
def test_a_file_of_any_kind_and_with_any_classifier(
    name: str, n_classes: int, tmp_path: Path, no_network: None
) -> None:
    options = {"img_size": 64} if "vit" in name else {}
    model = source(name, n_classes, **options)
    state = model.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}},
        tmp_path / "w.bin",
    )
    for file in ("w.safetensors", "w.pth", "w.bin"):
        backbone = build(name, tmp_path / file, options=options)
        assert has_weights_of(backbone, model)
        assert backbone(IMAGES).shape == (2, backbone.n_features)


def as_facebook_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename a ConvNeXt to its authors' layout: github.com/facebookresearch/ConvNeXt."""
    renamed = {}
    for key, value in state.items():
        key = (
            key.replace("stem.", "downsample_layers.0.")
            .replace(".blocks.", ".")
            .replace("conv_dw", "dwconv")
        )
        key = (
            key.replace("mlp.fc1", "pwconv1")
            .replace("mlp.fc2", "pwconv2")
            .replace("head.norm", "norm")
        )
        key = key.replace("head.fc", "head")
        if ".downsample." in key:
            stage, rest = key.removeprefix("stages.").split(".downsample.")
            key = f"downsample_layers.{stage}.{rest}"
        renamed[key] = value
    return renamed


def test_the_authors_own_layout_is_converted_as_timm_does(tmp_path: Path) -> None:
    model = source("convnext_atto", 11, conv_mlp=False)
    torch.save({"model": as_facebook_names(model.state_dict())}, tmp_path / "authors.pth")
    assert has_weights_of(
        build("convnext_atto", tmp_path / "authors.pth", options={"conv_mlp": False}), model
    )


def test_the_model_of_a_run_is_a_weights_file(tmp_path: Path) -> None:
    model = source("test_resnet", 0)
    state = {f"backbone.body.{key}": value for key, value in model.state_dict().items()}
    save_file({**state, "head.weight": torch.rand(3, 4)}, tmp_path / "model.safetensors")
    assert has_weights_of(build("test_resnet", tmp_path / "model.safetensors"), model)


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)


def broken(kind: str, folder: Path) -> Path:
    """Write a file that does not hold the weights of test_resnet."""
    state = source("test_resnet").state_dict()
    path = folder / ("w.safetensors" if kind.endswith("safetensors") else "w.pth")
    missing = "layer2.0.bn1.running_var" if kind == "no statistics" else "layer2.0.conv1.weight"
    if kind in ("no statistics", "no filter"):
        state = {key: value for key, value in state.items() if key != missing}
    elif kind == "one too many":
        state["layer2.7.conv1.weight"] = torch.rand(3)
    elif kind == "another shape":
        state["layer2.0.conv1.weight"] = torch.rand(3, 3, 1, 1)
    elif kind == "another network":
        state = source("test_vit").state_dict()
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    if kind.startswith("cut"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif kind.startswith("text"):
        path.write_text("these are no weights\n" * 100)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "no state":
        torch.save([1, 2], path)
    elif kind == "code":
        torch.save({"state_dict": state, "extra": RunsCode(folder / "ran")}, path)
    elif kind == "old code":
        path.write_bytes(pickle.dumps(RunsCode(folder / "ran")))
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (
            "no statistics",
            "it lacks 1 of the weights, such as layer2.0.bn1.running_var; name a file that was",
        ),
        ("no filter", "it lacks 1 of the weights, such as layer2.0.conv1.weight"),
        ("one too many", "it holds 1 that are not this network's, such as layer2.7.conv1.weight"),
        ("another shape", "size mismatch for layer2.0.conv1.weight"),
        ("another network", "it lacks .* and it holds .* that are not this network's"),
        ("cut safetensors", "cut off, or no .safetensors file; get or save it again"),
        ("text safetensors", "cut off, or no .safetensors file"),
        ("cut", "cut off, or no .safetensors, .pth or .bin file"),
        ("text", "cut off, or no .safetensors, .pth or .bin file"),
        ("empty", "cut off, or no .safetensors, .pth or .bin file"),
        ("no state", "cut off, or no .safetensors, .pth or .bin file"),
        (
            "code",
            r"asks for code to be run \(.*mkdir\), which is refused; save its state_dict alone",
        ),
        ("old code", "test_resnet': it "),
    ],
)
def test_the_message_says_what_is_wrong_with_a_file(
    kind: str, message: str, tmp_path: Path, no_network: None
) -> None:
    path = broken(kind, tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        build("test_resnet", path)
    text = str(caught.value)
    assert text.startswith(f"{path} does not hold weights of 'test_resnet': ")
    assert text.endswith("or use weights: none.")
    assert "\n" not in text
    assert len(text) < 400 + len(str(path))
    assert "weights_only" not in text  # torch's own advice is to run the code
    assert not (tmp_path / "ran").exists()
    assert nn.Module.load_state_dict.__name__ == "load_state_dict"


def test_a_smaller_network_refuses_the_weights_of_a_larger_one(tmp_path: Path) -> None:
    save_file(source("resnet34").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors .*it holds .* such as layer"):
        build("resnet18", tmp_path / "w.safetensors")


def test_wrong_options_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    save_file(source("test_resnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(
        UserError, match=r"could not build 'test_resnet' with backbone\.options .*no_such"
    ):
        build("test_resnet", tmp_path / "w.safetensors", options={"no_such": 1})
