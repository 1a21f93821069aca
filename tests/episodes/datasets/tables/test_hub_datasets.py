"""Oracles: the files of a local repository, and the messages for what is not there."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from episodes.datasets import load, network
from episodes.errors import NotHere, UserError
from tests.episodes.datasets.samples import save_classes


def test_without_the_package_the_message_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NotHere, match=r"pip install 'fewshot\[hf\]', or download"):
        load("hf:someone/toys", root=tmp_path)


@pytest.mark.parametrize("name", ["hf:", "hf:someone/toys:"])
def test_a_name_without_a_repository_or_configuration_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="expected hf:user/name or hf:user/name:config"):
        load(name, root=tmp_path)


def test_a_local_repository_is_stored_and_then_read_without_datasets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="needs `datasets` (extra hf)")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    for part, count in (("train", 3), ("test", 2)):
        save_classes(tmp_path / "toys" / part, {"a": count, "b": count})
    name = f"hf:{tmp_path / 'toys'}"
    train, test = load(name, root=tmp_path / "root")
    assert (train.classes, train.labels.tolist()) == (("a", "b"), [0, 0, 0, 1, 1, 1])
    assert test.labels.tolist() == [0, 0, 1, 1]
    expected = load(str(tmp_path / "toys"))
    assert train.images.equal(expected.train.images)
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert load(name, root=tmp_path / "root").train.fingerprint == train.fingerprint


def test_a_failed_download_leaves_nothing_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("datasets", reason="needs `datasets` (extra hf)")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotHere, match=r"is not in .*, and it cannot be downloaded \("):
        load(f"hf:{tmp_path / 'empty'}", root=tmp_path / "root")
    assert [path.name for path in (tmp_path / "root" / "hf").iterdir() if path.is_dir()] == []


def test_a_hub_that_does_not_answer_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets", reason="needs `datasets` (extra hf)")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(network, "answers", lambda url: False)
    reason = r"cannot be downloaded \(http\S+ does not answer\): .*connect to a network"
    started = time.monotonic()
    with pytest.raises(NotHere, match=reason):
        load("hf:mia/pets", root=tmp_path / "root")
    assert time.monotonic() - started < 10
    assert not datasets.config.HF_HUB_OFFLINE
