"""Oracles: data sets written by the test, Pillow's pixels, and published means of CIFAR-10."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import episodes
from episodes.datasets import available, load
from episodes.datasets.loading import located
from episodes.errors import UserError
from tests.episodes.datasets.samples import CIFAR10, save_classes, save_image
from tests.test_rooms import outside, sources

REAL_DATA = Path(os.environ.get("FEWSHOT_DATA", "no-such-folder"))


def needs_real_data(name: str) -> pytest.MarkDecorator:
    is_missing = not (REAL_DATA / name).is_dir()
    return pytest.mark.skipif(is_missing, reason=f"FEWSHOT_DATA has no {name}")


def test_names_and_paths_load_the_same_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_classes(tmp_path / "shapes", {"a": 5, "b": 5})
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.zip").write_bytes(b"PK")
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    assert load("shapes").train.name == "shapes"
    assert [name for name, _ in available()] == ["digits", "cifar10", "shapes"]
    monkeypatch.chdir(tmp_path / "shapes")
    assert load(".").train.name == "shapes"


def test_names_as_long_as_can_be_are_read_and_a_socket_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, long = tmp_path / "shapes", "é" * 127
    save_classes(folder, {long: 5, "b": 5})
    next((folder / "b").iterdir()).rename(folder / "b" / f"{'x' * 251}.png")
    monkeypatch.chdir(folder)  # the address of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("b/9.png")
        data = load(str(folder))
    assert data.train.classes == ("b", long)
    assert len(data.train) + len(data.test) == 10


def test_without_a_variable_names_are_looked_up_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FEWSHOT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    save_classes(tmp_path / "fewshot" / "data" / "shapes", {"a": 5, "b": 5})
    assert load("shapes").train.classes == ("a", "b")


def test_digits_are_loaded_by_name_at_any_size() -> None:
    assert load("digits").train.images.shape == (1297, 3, 32, 32)
    assert load("digits", image_size=16).test.images.shape == (500, 3, 16, 16)


@pytest.mark.parametrize("name", ["digits", "omniglot-small1"])
def test_a_folder_takes_precedence_over_a_data_set_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    save_classes(tmp_path / name, {"a": 5, "b": 5})
    monkeypatch.chdir(tmp_path)
    assert load(name, root=tmp_path / "none").train.classes == ("a", "b")


def test_the_folder_of_omniglots_files_is_no_data_set_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("images_background", "images_evaluation"):
        save_image(tmp_path / "omniglot" / part / "Greek" / "character01" / "0001_01.png", 0)
    monkeypatch.chdir(tmp_path)
    assert located("omniglot", tmp_path)[0].unit == "drawings"


@pytest.mark.parametrize("name", ["hsapes", "", "no/such/folder"])
def test_an_unknown_name_is_an_error_with_a_suggestion(tmp_path: Path, name: str) -> None:
    save_classes(tmp_path / "shapes", {"a": 2, "b": 2})
    with pytest.raises(UserError, match="set FEWSHOT_DATA") as error:
        load(name, root=tmp_path)
    assert str(tmp_path) in str(error.value)
    assert ("Did you mean shapes?" in str(error.value)) == (name == "hsapes")


def test_a_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "images.bin").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"images\.bin is not a file of a data set"):
        load(str(tmp_path / "images.bin"))
    (tmp_path / "images.tar.gz").write_bytes(b"x")
    with pytest.raises(UserError, match=r"images\.tar\.gz is an archive: unpack it"):
        load(str(tmp_path / "images.tar.gz"))


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no class folders"):
        load(str(tmp_path))


def test_the_image_size_changes_the_images_and_the_fingerprint(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 5, "b": 5})
    original = load(str(tmp_path)).train
    assert original.images.shape[1:] == (3, 16, 16)
    small = load(str(tmp_path), image_size=8).train
    assert small.images.shape[1:] == (3, 8, 8)
    assert small.fingerprint != original.fingerprint
    with pytest.raises(UserError, match="image size 2"):
        load(str(tmp_path), image_size=2)


def test_a_test_class_without_training_images_is_an_error(tmp_path: Path) -> None:
    save_classes(tmp_path / "train", {"a": 2, "b": 2})
    save_classes(tmp_path / "test", {"a": 2, "zebra": 2})
    with pytest.raises(UserError, match="no training images of zebra"):
        load(str(tmp_path))


def test_one_class_is_an_error_that_mentions_skipped_files(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 4})
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.png").write_bytes(b"broken")
    message = r"at least two classes, but has only 'a' .*b/x.png \(not an image, in"
    with pytest.raises(UserError, match=message):
        load(str(tmp_path))


def test_class_names_that_look_the_same_are_named(tmp_path: Path) -> None:
    save_classes(tmp_path, {"cat": 2, "Cat": 2, "dog": 2, "dog ": 2, "eel": 2})
    notes = load(str(tmp_path), test=None).train.notes
    assert notes == ("class names that differ only in case or spaces: 'Cat', 'cat', 'dog', 'dog '",)


def test_a_folder_of_which_no_file_can_be_read_is_refused_with_the_reason(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.png").write_bytes(b"")
    message = r"no training image that can be read: skipped 2 of 2 files: a/x.png, b/x.png \(empty"
    with pytest.raises(UserError, match=message):
        load(str(tmp_path), cache=tmp_path / "cache")


def test_long_lists_of_skipped_files_are_shortened(tmp_path: Path) -> None:
    save_classes(tmp_path, {"a": 5, "b": 5})
    for i in range(9):
        (tmp_path / "a" / f"broken{i}.jpg").write_bytes(b"broken")
    note = load(str(tmp_path)).train.notes[0]
    assert "skipped 9 of 19 files" in note
    assert note.count("broken") == 5
    assert note.endswith("and 4 more (not an image, in spite of its name)")


def test_importing_the_package_is_cheap() -> None:
    heavy = ["torch", "torchvision", "sklearn", "pyarrow", "PIL", "rich", "scipy", "numpy"]
    code = f"import sys, episodes.datasets; print([n for n in {heavy} if n in sys.modules])"
    variables = os.environ | {"PYTHONPATH": str(Path(episodes.__file__).parents[1])}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_loading_imports_the_libraries_of_other_sources_only_when_it_needs_them() -> None:
    imported = outside("episodes.datasets.loading", sources())
    assert "torch" in imported
    assert not {"torchvision", "sklearn", "pyarrow", "PIL", "rich", "scipy"} & set(imported)


@pytest.mark.slow
@needs_real_data("imagenette160")
def test_real_class_folders_agree_with_pillow() -> None:
    train, test = load("imagenette160")
    root = REAL_DATA / "imagenette160"
    files = sorted((root / "train").rglob("*.*"))
    assert (len(train), len(test)) == (len(files), len(list((root / "val").rglob("*.*"))))
    for i in (0, 500, len(files) - 1):
        expected = np.asarray(Image.open(files[i]).convert("RGB")).transpose(2, 0, 1)
        np.testing.assert_array_equal(train.images[i].numpy(), expected)
        assert train.classes[int(train.labels[i])] == files[i].parent.name


@pytest.mark.slow
@needs_real_data("cifar10")
def test_real_cifar10_has_the_published_channel_means() -> None:
    train, test = load("cifar10")
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert train.classes == tuple(CIFAR10)
    assert set(train.groups) == {"vehicle", "animal"}
    means = train.images.double().mean((0, 2, 3)) / 255
    published = torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64)
    assert torch.allclose(means, published, atol=2e-3)


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux alone")
def test_names_that_are_no_text_are_shown_with_a_replacement_character(tmp_path: Path) -> None:
    root = os.fsencode(tmp_path / "data") + b"\xe9"
    for name in (b"caf\xe9", b"th\xe9", b"th\xe8", "né".encode()):
        os.makedirs(root + b"/" + name)
        for number in range(2):
            Image.new("RGB", (8, 8)).save(os.fsdecode(root + b"/" + name + b"/%d.png" % number))
    Path(os.fsdecode(root + b"/th\xe8/br\xfcken.png")).write_bytes(b"broken")
    data = load(os.fsdecode(root), cache=tmp_path / "cache")
    assert sorted(data.train.classes) == ["caf\ufffd", "né", "th\\xe8", "th\\xe9"]
    assert data.train.name == "data\ufffd"
    assert "br\ufffdken.png" in " ".join(data.train.notes)
    for text in (*data.train.classes, *data.train.notes, *data.train.groups):
        text.encode()  # no lone surrogate


@pytest.mark.parametrize("name", ["9" * 5000, "a/" * 3000, "~no-such-user/x", "a\x00b"])
def test_a_name_that_no_file_can_have_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        load(name, root=tmp_path)
