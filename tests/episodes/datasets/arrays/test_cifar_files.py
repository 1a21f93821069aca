"""Oracles: files written by the test itself with pickle and NumPy, and a malicious pickle."""

import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from episodes.datasets import load
from episodes.datasets.arrays import tar_files
from episodes.datasets.loading import located
from episodes.errors import UserError
from tests.episodes.datasets.samples import CIFAR10, ROOT, save_batches

FC100 = yaml.safe_load((ROOT / "configs/splits/fc100.yaml").read_text())
SUPERCLASSES = {**FC100["base"], **FC100["val"], **FC100["novel"]}
CIFAR100 = sorted(name for names in SUPERCLASSES.values() for name in names)


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


def _cifar100_rows() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {part: rng.integers(0, 256, (100, 3072), dtype=np.uint8) for part in ("train", "test")}


def _save_cifar100(folder: Path) -> dict[str, np.ndarray]:
    """Save two images of each class as the Python version, with the coarse labels; return rows."""
    folder.mkdir(parents=True)
    parts = _cifar100_rows()
    coarse = [sorted(SUPERCLASSES).index(_superclass(name)) for name in CIFAR100]
    for part, rows in parts.items():
        content = {b"data": rows, b"fine_labels": list(range(100)), b"coarse_labels": coarse}
        (folder / part).write_bytes(pickle.dumps(content, protocol=2))
    names = {"fine_label_names": CIFAR100, "coarse_label_names": sorted(SUPERCLASSES)}
    meta = {key.encode(): [name.encode() for name in values] for key, values in names.items()}
    (folder / "meta").write_bytes(pickle.dumps(meta, protocol=2))
    return parts


def _superclass(name: str) -> str:
    return next(group for group, members in SUPERCLASSES.items() if name in members)


@pytest.mark.parametrize("inside", [True, False])
def test_the_python_files_of_cifar100_are_read(tmp_path: Path, inside: bool) -> None:
    folder = tmp_path / ("cifar-100-python" if inside else "mine")
    parts = _save_cifar100(folder)
    train, test = load(str(tmp_path if inside else folder))
    np.testing.assert_array_equal(train.images.numpy(), parts["train"].reshape(100, 3, 32, 32))
    np.testing.assert_array_equal(test.images.numpy(), parts["test"].reshape(100, 3, 32, 32))
    assert train.labels.tolist() == list(range(100))
    assert train.classes == tuple(CIFAR100)


def test_the_superclasses_of_cifar100_are_its_coarse_labels(tmp_path: Path) -> None:
    _save_cifar100(tmp_path / "cifar-100-python")
    groups = load(str(tmp_path)).train.groups
    assert {key: sorted(names) for key, names in groups.items()} == {
        key: sorted(names) for key, names in SUPERCLASSES.items()
    }


@pytest.mark.parametrize("suffix", ["tar.gz", "tar"])
def test_the_archive_is_read_without_extracting_it(tmp_path: Path, suffix: str) -> None:
    parts = _save_cifar100(tmp_path / "cifar-100-python")
    archive = tmp_path / f"cifar-100-python.{suffix}"
    with tarfile.open(archive, "w:gz" if suffix == "tar.gz" else "w") as file:
        file.add(tmp_path / "cifar-100-python", "cifar-100-python")
    train, _ = load(str(archive))
    assert train.name == "cifar-100-python"
    np.testing.assert_array_equal(train.images.numpy(), parts["train"].reshape(100, 3, 32, 32))


def test_a_broken_archive_is_reported(tmp_path: Path) -> None:
    archive = tmp_path / "cifar-100-python.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(UserError, match=r"cifar-100-python\.tar\.gz cannot be read .*again"):
        load(str(archive))
    (tmp_path / "empty").mkdir()
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "empty", "empty")
    with pytest.raises(UserError, match="does not hold the files of CIFAR-10 or CIFAR-100"):
        load(str(archive))


def test_large_members_of_an_archive_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_batches(tmp_path / "cifar-10-batches-py")
    archive = tmp_path / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    monkeypatch.setattr(tar_files, "LARGEST", 1000)
    with pytest.raises(UserError, match="does not hold the files of CIFAR-10 or CIFAR-100"):
        load(str(archive))


def test_the_binary_versions_are_read(tmp_path: Path) -> None:
    rows = _cifar100_rows()["train"][:20]
    labels = np.arange(20, dtype=np.uint8)[:, None]
    small, large = tmp_path / "cifar-10-batches-bin", tmp_path / "cifar-100-binary"
    small.mkdir()
    large.mkdir()
    for name in ("data_batch_1.bin", "test_batch.bin"):
        np.hstack([labels % 10, rows]).tofile(small / name)
    (small / "batches.meta.txt").write_text("\n".join(CIFAR10) + "\n\n")
    for name in ("train.bin", "test.bin"):
        np.hstack([labels // 5, labels, rows]).tofile(large / name)
    (large / "fine_label_names.txt").write_text("\n".join(CIFAR100) + "\n")
    for folder, classes, expected in [(small, CIFAR10, [*range(10)] * 2), (large, CIFAR100, None)]:
        train, _ = load(str(folder))
        np.testing.assert_array_equal(train.images.numpy(), rows.reshape(20, 3, 32, 32))
        assert train.labels.tolist() == (expected or list(range(20)))
        assert list(train.classes) == classes[: len(train.classes)]


def test_missing_batches_are_noted(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar")
    notes = load(str(tmp_path / "cifar")).train.notes
    assert "only 2 of CIFAR-10's 5 training batches are there" in notes


def test_copies_of_batches_are_not_read(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar")
    batch = tmp_path / "cifar" / "data_batch_1"
    (tmp_path / "cifar" / "data_batch_1 (copy)").write_bytes(batch.read_bytes())
    assert len(load(str(tmp_path / "cifar")).train) == 20
    folder = tmp_path / "binary"
    folder.mkdir()
    rows = np.zeros((10, 3073), np.uint8)
    for name in ("data_batch_1.bin", "data_batch_1 (copy).bin", "test_batch.bin"):
        rows.tofile(folder / name)
    (folder / "batches.meta.txt").write_text("\n".join(CIFAR10))
    assert len(located(str(folder), tmp_path)[0].read().train.labels) == 10


def test_several_data_sets_in_a_folder_are_not_one(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar-10-batches-py")
    (tmp_path / "flowers-102").mkdir()
    notes = load(str(tmp_path)).train.notes
    assert "only cifar-10-batches-py/ is used, not flowers-102" in notes
    _save_cifar100(tmp_path / "cifar-100-python")
    with pytest.raises(UserError, match=r"several data sets: give one of .*py, .*cifar-100-python"):
        load(str(tmp_path))


def test_an_archive_alone_in_a_folder_is_read(tmp_path: Path) -> None:
    save_batches(tmp_path / "cifar-10-batches-py")
    (tmp_path / "downloads").mkdir()
    with tarfile.open(tmp_path / "downloads/cifar-10-python.tar.gz", "w:gz") as file:
        file.add(tmp_path / "cifar-10-batches-py", "cifar-10-batches-py")
    assert load(str(tmp_path / "downloads")).train.name == "cifar-10-python"
