from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import Tensor, nn

from episodes.errors import UserError
from episodes.rng import seeded
from fewshot import backbones
from fewshot.backbones import hub
from fewshot.config import BackboneSettings
from fewshot.runs.resolve import prepare

IMAGES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))


def build(name: str, weights: Path | str, **more) -> backbones.Backbone:
    with seeded(1, "test"):
        return backbones.build(
            BackboneSettings(name=name, weights=str(weights), input_size=64, **more)
        ).eval()


def source(name: str, n_classes: int = 7, **more) -> nn.Module:
    """A model whose weights, norms and buffers included, are unlike what any model starts with."""
    with seeded(5, "source"):
        model = timm.create_model(name, num_classes=n_classes, **more).eval()
        for each in model.state_dict().values():
            if each.is_floating_point():
                each.add_(0.1 * torch.rand_like(each))
    return model


def holds(backbone: backbones.Backbone, model: nn.Module) -> bool:
    theirs = model.state_dict()
    return all(torch.equal(each, theirs[key]) for key, each in backbone.body.state_dict().items())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext", "dla46x_c"])
@pytest.mark.parametrize("n_classes", [0, 7, 1000])
def test_the_body_of_a_file_of_any_kind(
    name: str, n_classes: int, tmp_path: Path, no_network: None
) -> None:
    more = {"img_size": 64} if "vit" in name else {}
    model = source(name, n_classes, **more)
    state = model.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pth")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": each for key, each in state.items()}},
        tmp_path / "w.bin",
    )
    for file in ("w.safetensors", "w.pth", "w.bin"):
        backbone = build(name, tmp_path / file, options=more)
        assert holds(backbone, model)
        assert backbone(IMAGES).shape == (2, backbone.n_features)


def as_facebook_names(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """ConvNeXt as its authors publish it: github.com/facebookresearch/ConvNeXt, models/convnext.py."""
    renamed = {}
    for key, each in state.items():
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
        renamed[key] = each
    return renamed


def test_the_authors_own_layout_is_converted_as_timm_does(tmp_path: Path) -> None:
    model = source("convnext_atto", 11, conv_mlp=False)
    torch.save({"model": as_facebook_names(model.state_dict())}, tmp_path / "authors.pth")
    assert holds(
        build("convnext_atto", tmp_path / "authors.pth", options={"conv_mlp": False}), model
    )


def test_a_run_can_hand_its_body_on(tmp_path: Path) -> None:
    model = source("test_resnet", 0)
    state = {f"backbone.body.{key}": each for key, each in model.state_dict().items()}
    save_file({**state, "head.weight": torch.rand(3, 4)}, tmp_path / "model.safetensors")
    assert holds(build("test_resnet", tmp_path / "model.safetensors"), model)


class RunsCode:
    def __reduce__(self) -> tuple:
        return os.mkdir, (self.folder,)

    def __init__(self, folder: Path) -> None:
        self.folder = str(folder)


def broken(kind: str, folder: Path) -> Path:
    """A file that cannot be taken as the weights of test_resnet."""
    state = source("test_resnet").state_dict()
    path = folder / ("w.safetensors" if kind.endswith("safetensors") else "w.pth")
    lacking = "layer2.0.bn1.running_var" if kind == "no statistics" else "layer2.0.conv1.weight"
    if kind in ("no statistics", "no filter"):
        state = {key: each for key, each in state.items() if key != lacking}
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
    ("kind", "said"),
    [
        (
            "no statistics",
            "it lacks 1 of the weights, such as layer2.0.bn1.running_var; name a file that was saved",
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
def test_what_is_wrong_with_a_file_is_said(
    kind: str, said: str, tmp_path: Path, no_network: None
) -> None:
    path = broken(kind, tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        build("test_resnet", path)
    text = str(caught.value)
    assert text.startswith(f"{path} does not hold weights of 'test_resnet': ")
    assert text.endswith("or use weights: none.")
    assert "\n" not in text
    assert len(text) < 400 + len(str(path))
    assert "weights_only" not in text  # torch's own advice is to run the code
    assert not (tmp_path / "ran").exists()
    assert nn.Module.load_state_dict.__name__ == "load_state_dict"


def test_a_smaller_network_does_not_take_what_it_shares_with_a_larger(tmp_path: Path) -> None:
    save_file(source("resnet34").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(UserError, match=r"w\.safetensors .*it holds .* such as layer"):
        build("resnet18", tmp_path / "w.safetensors")


def test_wrong_options_are_not_blamed_on_the_file(tmp_path: Path) -> None:
    save_file(source("test_resnet").state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(
        UserError, match=r"could not build 'test_resnet' with backbone\.options .*no_such"
    ):
        build("test_resnet", tmp_path / "w.safetensors", options={"no_such": 1})


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path / "hub"


def put_into(cache: Path, name: str, model: nn.Module) -> Path:
    """The hub's layout: blobs, a snapshot that links to them, and a reference to the snapshot."""
    commit, folder = "0123456789abcdef0123456789abcdef01234567", cache / f"models--timm--{name}"
    for inner in ("blobs", "refs", f"snapshots/{commit}"):
        (folder / inner).mkdir(parents=True)
    save_file(model.state_dict(), folder / "blobs" / "abc")
    (folder / "refs" / "main").write_text(commit)
    link = folder / "snapshots" / commit / "model.safetensors"
    link.symlink_to("../../blobs/abc")
    return link


@pytest.mark.parametrize(
    ("name", "n_classes"), [("test_resnet.r160_in1k", 1000), ("test_resnet", 0)]
)
def test_weights_in_the_hubs_cache_need_no_network(
    name: str, n_classes: int, hub_cache: Path, no_network: None
) -> None:
    model = source("test_resnet", n_classes)
    put_into(hub_cache, "test_resnet.r160_in1k", model)
    assert holds(build(name, "pretrained"), model)


def test_a_broken_file_in_the_hubs_cache_is_named(hub_cache: Path, no_network: None) -> None:
    link = put_into(hub_cache, "test_resnet.r160_in1k", source("test_resnet"))
    link.resolve().write_bytes(link.read_bytes()[:5000])
    with pytest.raises(UserError, match=r"model\.safetensors .*delete that file to fetch it again"):
        build("test_resnet", "pretrained")


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_no_network_is_said_within_seconds(
    hub_cache: Path, plain_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{refused_port()}")
    started = time.monotonic()
    with pytest.raises(
        UserError,
        match=r"'test_resnet' could not be loaded \(http://127.* does not answer\): connect",
    ):
        build("test_resnet", "pretrained")
    assert time.monotonic() - started < 4
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="HF_HUB_OFFLINE is set"):
        build("test_resnet", "pretrained")


def test_a_name_that_is_never_looked_up_is_not_waited_for(
    plain_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(hub, "REACH_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answer.wait(20) and [])
    started = time.monotonic()
    try:
        assert not hub._answers("https://never.invalid")
        assert time.monotonic() - started < 3
    finally:
        answer.set()


def test_what_answers_is_left_to_the_hub(
    listener: socket.socket,
    hub_cache: Path,
    plain_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there, gone = (
        f"http://127.0.0.1:{port}" for port in (listener.getsockname()[1], refused_port())
    )
    model, asked = source("test_resnet", 0), []
    made = timm.create_model
    monkeypatch.setattr(
        timm,
        "create_model",
        lambda *a, **k: asked.append(k) or (model if k["pretrained"] else made),
    )
    monkeypatch.setattr(constants, "ENDPOINT", there)
    assert build("test_resnet", "pretrained").body is model
    assert asked == [
        {"num_classes": 0, "pretrained": True}
    ]  # nothing stands between timm and the hub
    monkeypatch.setattr(constants, "ENDPOINT", gone)
    with pytest.raises(UserError):
        build("test_resnet", "pretrained")
    monkeypatch.setenv("http_proxy", there)
    assert build("test_resnet", "pretrained").body is model
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError):
        build("test_resnet", "pretrained")


def test_weights_outside_the_hub_are_asked_of_their_host(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[str] = []
    monkeypatch.setattr(hub, "_answers", lambda url: hosts.append(url) or False)
    with pytest.raises(UserError, match=r"\(github.com does not answer\)"):
        build("gcvit_xxtiny", "pretrained")
    known = timm.models.get_pretrained_cfg("gcvit_xxtiny")
    assert hosts == [known.url]
    folder = hub_cache.parent / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / known.url.rpartition("/")[2]).write_bytes(b"")
    assert hub.unreachable(known) is None


def test_no_published_weights_are_said(no_network: None) -> None:
    with pytest.raises(
        UserError, match="'botnet50ts_256' has no pretrained weights that timm knows of"
    ):
        build("botnet50ts_256", "pretrained")
    with pytest.raises(UserError, match=r"Invalid pretrained tag \(bogus\) for resnet18"):
        build("resnet18.bogus", "pretrained")


def test_the_run_id_is_that_of_the_weights_wherever_they_lie(tmp_path: Path) -> None:
    def run_id(path: Path) -> str:
        backbone = {"name": "test_resnet", "weights": str(path), "input_size": 32}
        values = {
            "method": "probe",
            "data": "digits",
            "shots": 2,
            "precision": "float32",
            "backbone": backbone,
        }
        return prepare(values, tmp_path, "cpu").run_id

    here, there, other = (
        tmp_path / "w.safetensors",
        tmp_path / "b" / "v.safetensors",
        tmp_path / "o.safetensors",
    )
    there.parent.mkdir()
    state = source("test_resnet").state_dict()
    save_file(state, here)
    there.write_bytes(here.read_bytes())
    save_file({**state, "fc.bias": state["fc.bias"] + 1}, other)
    assert run_id(here) == run_id(there) != run_id(other)
