"""Oracles: batches written by the test itself, a malicious pickle, and a closed network port."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from episodes.datasets import available, cifar10, load
from episodes.errors import NotHere, UserError
from tests.episodes.datasets.samples import CIFAR10, save_batches


@pytest.mark.parametrize("inside", [True, False])
def test_the_original_batches_are_read(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / ("cifar-10-batches-py" if inside else "mine")
    rows = save_batches(folder)
    train, test = load(str(tmp_path if inside else folder))
    np.testing.assert_array_equal(train.images.numpy(), rows.reshape(20, 3, 32, 32))
    assert train.labels.tolist() == list(range(10)) * 2
    assert train.classes == tuple(CIFAR10)
    assert train.groups["vehicle"] == ("airplane", "automobile", "ship", "truck")
    assert len(test) == 10


def test_the_name_cifar10_refers_to_the_original_batches(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar-10-batches-py")
    assert load("cifar10", root=tmp_path).train.name == "cifar10"
    description = f"CIFAR-10 batches in {tmp_path / 'cifar-10-batches-py'}"
    assert ("cifar10", description) in available(tmp_path)


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["ATTACK"],)


def test_a_batch_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTACK", str(tmp_path / "attacked"))
    save_batches(tmp_path / "cifar")
    (tmp_path / "cifar" / "data_batch_2").write_bytes(pickle.dumps(_Attack()))
    with pytest.raises(UserError, match=r"data_batch_2 cannot be read \(.*mkdir is not allowed"):
        load(str(tmp_path / "cifar"))
    assert not (tmp_path / "attacked").exists()


def test_damaged_and_foreign_batches_are_reported(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_1"
    content = batch.read_bytes()
    batch.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="data_batch_1 cannot be read"):
        load(str(tmp_path / "cifar"))
    for labels in ([0, 1, 2], [0, 1]):
        batch.write_bytes(pickle.dumps({b"data": np.zeros((3, 5)), b"labels": labels}))
        with pytest.raises(UserError, match="data_batch_1 is not a CIFAR-10 batch"):
            load(str(tmp_path / "cifar"))
    rows = np.zeros((2, 3072), dtype=np.uint8)
    batch.write_bytes(pickle.dumps({b"data": rows, b"labels": [0, 10]}))
    with pytest.raises(UserError, match=r"data_batch_1 has labels outside 0\.\.9"):
        load(str(tmp_path / "cifar"))


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


def test_a_download_happens_once_and_leaves_nothing_unfinished(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def fetch(folder: Path) -> None:
        calls.append(folder)
        save_batches(folder / "cifar-10-batches-py")

    monkeypatch.setattr(cifar10, "_fetch", fetch)
    for _ in range(2):
        assert len(load("cifar10", root=tmp_path).train) == 20
    assert len(calls) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cifar10.lock", "cifar10"]
