"""Where data is found: digits, names, paths, CIFAR-10's batches and their download; and what is missing."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

import episodes
from episodes.datasets import available, cifar10, load
from episodes.errors import UserError

CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
REAL_DATA = Path(os.environ.get("FEWSHOT_DATA", "no-such-folder"))


def real_data(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (REAL_DATA / name).is_dir(), reason=f"FEWSHOT_DATA holds no {name}"
    )


def write_batches(folder: Path) -> np.ndarray:
    """Small CIFAR-10 batches in the original layout; returns the training pixels [20, 3072]."""
    folder.mkdir(parents=True)
    rows = np.random.default_rng(0).integers(0, 256, (30, 3072), dtype=np.uint8)
    names = {
        "data_batch_1": slice(0, 10),
        "data_batch_2": slice(10, 20),
        "test_batch": slice(20, 30),
    }
    for name, part in names.items():
        batch = {b"data": rows[part], b"labels": list(range(10)), b"batch_label": name.encode()}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "batches.meta").write_bytes(
        pickle.dumps({b"label_names": [n.encode() for n in CIFAR10]}, protocol=2)
    )
    return rows[:20]


def write_classes(folder: Path) -> None:
    for name, grey in (("a", 0), ("b", 255)):
        (folder / name).mkdir(parents=True)
        for i in range(5):
            Image.new("L", (8, 8), grey).save(folder / name / f"{i}.png")


def test_digits_are_scikit_learns() -> None:
    train, test = load("digits")
    assert (len(train), len(test)) == (1297, 500)
    assert torch.bincount(test.labels).tolist() == [50] * 10
    assert train.images.shape == (1297, 3, 32, 32)
    assert train.images.dtype == torch.uint8
    assert not train.mirror
    assert train.classes == tuple("0123456789")
    # The mean of a 4x4 block is the original pixel up to interpolation: a neighbour search finds it.
    bunch = load_digits()
    images = (
        torch.cat([train.images, test.images]).float()[:, 0].reshape(-1, 8, 4, 8, 4).mean((2, 4))
        / 255
        * 16
    )
    search = KNeighborsClassifier(1).fit(bunch.data, bunch.target)
    found = search.kneighbors(images.flatten(1).numpy(), return_distance=False)[:, 0]
    assert (bunch.target[found] == torch.cat([train.labels, test.labels]).numpy()).mean() > 0.99
    assert np.unique(found).size > 1700
    assert int(train.images.max()) == 255
    assert load("digits").train.fingerprint == train.fingerprint != test.fingerprint
    assert load("digits", image_size=16).test.images.shape == (500, 3, 16, 16)


@pytest.mark.parametrize("inside", [True, False])
def test_original_batches(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / ("cifar-10-batches-py" if inside else "mine")
    rows = write_batches(folder)
    train, test = load(str(tmp_path if inside else folder))
    np.testing.assert_array_equal(train.images.numpy(), rows.reshape(20, 3, 32, 32))
    assert train.labels.tolist() == list(range(10)) * 2
    assert train.classes == tuple(CIFAR10)
    assert train.groups["vehicle"] == ("airplane", "automobile", "ship", "truck")
    assert len(test) == 10


def test_cifar10_under_its_name(tmp_path: Path) -> None:
    write_batches(tmp_path / "cifar-10-batches-py")
    assert load("cifar10", root=tmp_path).train.name == "cifar10"
    assert ("cifar10", f"CIFAR-10 batches in {tmp_path / 'cifar-10-batches-py'}") in available(
        tmp_path
    )


class _Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.environ["ATTACK"],)


def test_a_batch_cannot_run_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTACK", str(tmp_path / "attacked"))
    write_batches(tmp_path / "cifar")
    (tmp_path / "cifar" / "data_batch_2").write_bytes(pickle.dumps(_Attack()))
    with pytest.raises(UserError, match=r"data_batch_2 cannot be read \(.*mkdir is not allowed"):
        load(str(tmp_path / "cifar"))
    assert not (tmp_path / "attacked").exists()


def test_broken_batches(tmp_path: Path) -> None:
    write_batches(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_1"
    whole = batch.read_bytes()
    batch.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="data_batch_1 cannot be read"):
        load(str(tmp_path / "cifar"))
    batch.write_bytes(pickle.dumps({b"data": np.zeros((3, 5)), b"labels": [0, 1, 2]}))
    with pytest.raises(UserError, match="data_batch_1 is no CIFAR-10 batch"):
        load(str(tmp_path / "cifar"))


def test_names_paths_and_what_is_available(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_classes(tmp_path / "greys")
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path))
    assert load("greys").train.name == "greys"
    assert [name for name, _ in available()] == ["digits", "cifar10", "greys"]
    monkeypatch.chdir(tmp_path / "greys")
    assert load(".").train.name == "greys"
    monkeypatch.delenv("FEWSHOT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "fewshot" / "data").mkdir(parents=True)
    (tmp_path / "greys").rename(tmp_path / "home" / "fewshot" / "data" / "shades")
    assert load("shades").train.classes == ("a", "b")


@pytest.mark.parametrize("name", ["gerys", "", "no/such/folder"])
def test_an_unknown_name(tmp_path: Path, name: str) -> None:
    write_classes(tmp_path / "greys")
    with pytest.raises(UserError, match="set FEWSHOT_DATA") as caught:
        load(name, root=tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert ("Did you mean greys?" in str(caught.value)) == (name == "gerys")


def test_a_file_that_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"images\.zip is neither a folder nor a Parquet file"):
        load(str(tmp_path / "images.zip"))


def test_cifar10_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens on the discard port
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for _ in range(2):  # what the first failure leaves does not confuse the second
        with pytest.raises(UserError, match=r"download failed .*refused.*FEWSHOT_DATA") as caught:
            load("cifar10", root=tmp_path / "data")
        assert str(tmp_path / "data") in str(caught.value)


def test_a_download_is_put_in_place_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fetch(folder: Path) -> None:
        calls.append(folder)
        write_batches(folder / "cifar-10-batches-py")

    monkeypatch.setattr(cifar10, "_fetch", fetch)
    for _ in range(2):
        assert len(load("cifar10", root=tmp_path).train) == 20
    assert len(calls) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [".cifar10.lock", "cifar10"]


def test_importing_is_cheap() -> None:
    heavy = ["torchvision", "sklearn", "pyarrow", "PIL", "rich", "scipy"]
    code = (
        f"import sys, episodes.datasets; print([name for name in {heavy} if name in sys.modules])"
    )
    variables = os.environ | {"PYTHONPATH": str(Path(episodes.__file__).parents[1])}
    shown = subprocess.run(
        [sys.executable, "-c", code], env=variables, capture_output=True, text=True, check=True
    )
    assert shown.stdout == "[]\n"


@real_data("imagenette160")
def test_real_class_folders() -> None:
    train, test = load("imagenette160")
    root = REAL_DATA / "imagenette160"
    files = sorted((root / "train").rglob("*.*"))
    assert (len(train), len(test)) == (len(files), len(list((root / "val").rglob("*.*"))))
    for i in (0, 500, len(files) - 1):
        expected = np.asarray(Image.open(files[i]).convert("RGB")).transpose(2, 0, 1)
        np.testing.assert_array_equal(train.images[i].numpy(), expected)
        assert train.classes[int(train.labels[i])] == files[i].parent.name


@pytest.mark.slow
@real_data("cifar10")
def test_real_cifar10() -> None:
    train, test = load("cifar10")
    assert torch.bincount(train.labels).tolist() == [5000] * 10
    assert torch.bincount(test.labels).tolist() == [1000] * 10
    assert train.classes == tuple(CIFAR10)
    assert set(train.groups) == {"vehicle", "animal"}
    mean = (
        train.images.double().mean((0, 2, 3)) / 255
    )  # the published channel means of the training set
    assert torch.allclose(
        mean, torch.tensor([0.4914, 0.4822, 0.4465], dtype=torch.float64), atol=2e-3
    )
