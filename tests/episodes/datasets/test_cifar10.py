"""Oracles: batches written by the test itself, and a closed network port."""

import socket
from pathlib import Path

import pytest
from torchvision.datasets import CIFAR10

from episodes.datasets import available, cifar10, load, network
from episodes.errors import NotHere
from tests.episodes.datasets.samples import save_batches


def test_the_name_cifar10_refers_to_the_original_batches(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar-10-batches-py")
    assert load("cifar10", root=tmp_path).train.name == "cifar10"
    description = f"CIFAR files in {tmp_path / 'cifar-10-batches-py'}"
    assert ("cifar10", description) in available(tmp_path)


def test_without_a_network_the_message_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens on the discard port
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for _ in range(2):  # what the first failure leaves behind does not affect the second
        with pytest.raises(NotHere, match=r"download failed .*refused.*FEWSHOT_DATA") as error:
            load("cifar10", root=tmp_path / "data")
        assert str(tmp_path / "data") in str(error.value)


def test_a_server_that_falls_silent_does_not_hold_up_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("urllib.request._opener", None)  # made with the proxies of other tests
    monkeypatch.setattr(network, "SILENT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and answers nothing
        address = f"http://127.0.0.1:{server.getsockname()[1]}/cifar-10-python.tar.gz"
        monkeypatch.setattr(CIFAR10, "url", address)
        with pytest.raises(NotHere, match=r"download failed .*timed out"):
            load("cifar10", root=tmp_path)
    assert socket.getdefaulttimeout() is None


def test_a_download_happens_once_and_leaves_nothing_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(folder: Path) -> None:
        calls.append(folder)
        save_batches(folder / "cifar-10-batches-py")
        (folder / "cifar-10-python.tar.gz").write_bytes(b"archive")

    monkeypatch.setattr(cifar10, "_fetch", fetch)
    for _ in range(2):
        assert len(load("cifar10", root=tmp_path).train) == 20
    assert len(calls) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cifar10.lock", "cifar10"]
