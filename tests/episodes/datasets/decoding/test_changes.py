"""Files that change while they are decoded are not cached as they were. Oracle: decoding again."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from episodes.datasets import load
from episodes.datasets.decoding import changes, image_cache
from episodes.datasets.folders import class_folders
from episodes.errors import UserError
from tests.episodes.datasets.samples import save_classes, save_image


@pytest.fixture
def data(tmp_path: Path) -> Path:
    save_classes(tmp_path / "data", {"a": 4, "b": 4})
    return tmp_path / "data"


def before_decoding(patch: pytest.MonkeyPatch, change: Callable[[], Any]) -> None:
    """Let something happen after the files were hashed."""
    original = image_cache.planned

    def changed(*arguments: Any) -> Any:
        plan = original(*arguments)
        change()
        return plan

    patch.setattr(image_cache, "planned", changed)


@pytest.mark.parametrize("change", ["vanishes", "one vanishes", "is written", "grows"])
def test_a_folder_that_changes_is_an_error_and_is_whole_the_next_time(
    data: Path, tmp_path: Path, change: str
) -> None:
    expected = load(str(data), cache=tmp_path / "first").train.images
    shutil.copytree(data, tmp_path / "whole")
    (image, *_) = sorted((data / "a").iterdir())
    actions = {
        "vanishes": lambda: data.rename(tmp_path / "away"),
        "one vanishes": image.unlink,
        "is written": lambda: save_image(image, seed=99),
        "grows": lambda: image.write_bytes(image.read_bytes() + b"more"),
    }
    cache = tmp_path / "cache"
    with pytest.MonkeyPatch.context() as patch:
        before_decoding(patch, actions[change])
        with pytest.raises(UserError, match="png is the first, changed while they were read"):
            load(str(data), cache=cache)
    assert not [path for path in (cache / "images").iterdir() if path.is_dir()]
    shutil.rmtree(data, ignore_errors=True)
    shutil.copytree(tmp_path / "whole", data)
    assert load(str(data), cache=cache).train.images.equal(expected)


def test_a_drive_that_does_not_answer_is_an_error_and_a_file_without_permission_is_skipped(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = class_folders.source(data, "data").read().train
    state, original = changes.state_of(part), Path.open
    image = next(iter(next(part.chunks())))
    assert isinstance(image, Path)

    def refusing(code: int) -> Callable[..., Any]:
        def opened(path: Path, *arguments: Any, **options: Any) -> Any:
            if path == image:
                raise OSError(code, os.strerror(code), str(path))
            return original(path, *arguments, **options)

        return opened

    skipped = [(part.name_of(0), "cannot be opened: Input/output error")]
    monkeypatch.setattr(Path, "open", refusing(errno.EIO))
    with pytest.raises(UserError, match=f"{image.name} cannot be read .Input/output error"):
        changes.check(part, state, skipped)
    monkeypatch.setattr(Path, "open", refusing(errno.EACCES))
    changes.check(part, state, skipped)
    monkeypatch.setattr(Path, "open", original)
    with pytest.raises(UserError, match="did not answer for a moment"):
        changes.check(part, state, skipped)
