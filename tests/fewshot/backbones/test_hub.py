"""Published weights: a copy of the hub's cache, and sockets that listen, refuse or stall."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from torch import nn

from episodes.datasets import network
from episodes.errors import UserError
from fewshot.backbones import hub
from tests.fewshot.backbones.timm_weights import build, has_weights_of, source


@pytest.fixture
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "torch"))
    return tmp_path / "hub"


def put_into(cache: Path, name: str, model: nn.Module) -> Path:
    """Write a model in the hub's layout: blobs, a snapshot of links to them, a reference to it."""
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
    assert has_weights_of(build(name, "pretrained"), model)


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


def test_a_missing_network_is_reported_within_seconds(
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


def test_a_host_that_answers_is_left_to_the_hub(
    listener: socket.socket,
    hub_cache: Path,
    plain_environment: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering = f"http://127.0.0.1:{listener.getsockname()[1]}"
    refusing = f"http://127.0.0.1:{refused_port()}"
    model = source("test_resnet", 0)
    requests: list[dict[str, object]] = []

    def create_model(name: str, **keywords: object) -> nn.Module:
        requests.append(keywords)
        return model

    monkeypatch.setattr(timm, "create_model", create_model)
    monkeypatch.setattr(constants, "ENDPOINT", answering)
    assert build("test_resnet", "pretrained").body is model
    assert requests == [{"num_classes": 0, "pretrained": True}]  # timm itself asks the hub
    monkeypatch.setattr(constants, "ENDPOINT", refusing)
    with pytest.raises(UserError):
        build("test_resnet", "pretrained")
    monkeypatch.setenv("http_proxy", answering)
    assert build("test_resnet", "pretrained").body is model
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UserError):
        build("test_resnet", "pretrained")


def test_weights_outside_the_hub_come_from_their_own_host(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[str] = []
    monkeypatch.setattr(network, "answers", lambda url: hosts.append(url) or False)
    with pytest.raises(UserError, match=r"\(github.com does not answer\)"):
        build("gcvit_xxtiny", "pretrained")
    published = timm.models.get_pretrained_cfg("gcvit_xxtiny")
    assert hosts == [published.url]
    folder = hub_cache.parent / "torch" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / published.url.rpartition("/")[2]).write_bytes(b"")
    assert hub.unreachable(published) is None


def test_a_model_without_published_weights(no_network: None) -> None:
    with pytest.raises(
        UserError, match="'botnet50ts_256' has no pretrained weights that timm knows of"
    ):
        build("botnet50ts_256", "pretrained")
    with pytest.raises(
        UserError, match="'resnet18' has no weights of the tag 'bogus': known: a1_in1k"
    ):
        build("resnet18.bogus", "pretrained")
