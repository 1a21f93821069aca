"""Oracles: idx files that the test writes byte by byte, and torchvision's reader of MNIST."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from episodes.datasets import load
from episodes.errors import UserError
from episodes.types import TrainTest

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8)
TEST_IMAGES = RNG.integers(0, 256, (20, 28, 28), dtype=np.uint8)
LABELS = np.arange(20, dtype=np.uint8) % 10
FASHION = np.resize(np.array([9, 0, 0, 3, 0, 2, 7, 2, 5, 5, 1, 4, 6, 8], dtype=np.uint8), 20)


def _bytes(array: np.ndarray, code: int = 8) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.tobytes()


def _save(folder: Path, prefix: str = "", labels: np.ndarray = LABELS, dot: str = "-") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in ("train", "t10k" if not prefix else "test"):
        images = IMAGES if part == "train" else TEST_IMAGES
        own = labels if part == "train" else labels[::-1]
        (folder / f"{prefix}{part}-images{dot}idx3-ubyte").write_bytes(_bytes(images))
        (folder / f"{prefix}{part}-labels{dot}idx1-ubyte").write_bytes(_bytes(own.copy()))


def _compress(folder: Path, remove: bool) -> None:
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        if remove:
            path.unlink()


def _check(data: TrainTest) -> None:
    np.testing.assert_array_equal(data.train.images.numpy(), IMAGES[:, None].repeat(3, axis=1))
    np.testing.assert_array_equal(data.test.images.numpy()[:, 0], TEST_IMAGES)
    assert data.train.labels.tolist() == LABELS.tolist()
    assert data.test.labels.tolist() == LABELS[::-1].tolist()
    assert data.train.classes == tuple("0123456789")
    assert not data.train.mirror


@pytest.mark.parametrize("folder", ["", "raw", "MNIST/raw", "MNIST"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_the_files_are_read_wherever_programs_put_them(
    tmp_path: Path, folder: str, compressed: bool, dot: str
) -> None:
    _save(tmp_path / folder, dot=dot)
    if compressed:
        _compress(tmp_path / folder, remove=True)
    _check(load(str(tmp_path)))


def test_files_in_folders_of_their_own_names_are_read(tmp_path: Path) -> None:
    _save(tmp_path / "all")
    for path in list((tmp_path / "all").iterdir()):
        (tmp_path / path.name).mkdir()
        path.rename(tmp_path / path.name / path.name)
    (tmp_path / "all").rmdir()
    _check(load(str(tmp_path)))
    _check(load(str(tmp_path / "train-images-idx3-ubyte/train-images-idx3-ubyte")))


def test_pixels_and_labels_agree_with_torchvision(tmp_path: Path) -> None:
    from torchvision.datasets import MNIST

    _save(tmp_path / "MNIST/raw")
    _compress(tmp_path / "MNIST/raw", remove=False)
    train, _ = load(str(tmp_path))
    theirs = MNIST(str(tmp_path), train=True)
    np.testing.assert_array_equal(train.images.numpy()[:, 0], theirs.data.numpy())
    assert train.labels.tolist() == theirs.targets.tolist()


def test_fashion_mnist_has_its_own_classes_and_may_be_mirrored(tmp_path: Path) -> None:
    _save(tmp_path / "mine", labels=FASHION)
    train, _ = load(str(tmp_path / "mine"))
    assert train.classes[9] == "Ankle boot"
    assert train.mirror
    _save(tmp_path / "FashionMNIST/raw")
    assert load(str(tmp_path / "FashionMNIST")).train.classes[0] == "T-shirt/top"


@pytest.mark.parametrize(
    ("folder", "prefix", "first"),
    [
        ("fashion-mnist-project/mine", "", "0"),
        ("fashion-mnist-project/emnist", "emnist-digits-", "0"),
        ("fashion-mnist", "qmnist-", "0"),
        ("fashion-mnist-project/KMNIST/raw", "", "o"),
        ("fashion-mnist-project/kmnist", "", "o"),
        ("fashion-mnist/raw", "", "T-shirt/top"),
        ("mine", "fashion-mnist-", "T-shirt/top"),
    ],
)
def test_class_names_are_those_of_the_nearest_name(
    tmp_path: Path, folder: str, prefix: str, first: str
) -> None:
    _save(tmp_path / folder, prefix)
    assert load(str(tmp_path / folder)).train.classes[0] == first


def test_the_images_of_emnist_are_upright_and_its_labels_are_characters(tmp_path: Path) -> None:
    _save(tmp_path, "emnist-letters-")
    (tmp_path / "emnist-letters-mapping.txt").write_text(
        "".join(f"{label} {65 + label} {97 + label}\n" for label in range(10))
    )
    _save(tmp_path, "emnist-digits-")
    with pytest.raises(UserError, match=r"has 2 data sets in idx files: give a file of one"):
        load(str(tmp_path))
    train, test = load(str(tmp_path / "emnist-letters-train-images-idx3-ubyte"))
    np.testing.assert_array_equal(train.images.numpy()[:, 0], IMAGES.transpose(0, 2, 1))
    assert train.classes == tuple("ABCDEFGHIJ")
    assert train.name == "emnist-letters"
    assert len(test) == 20


def test_the_first_column_of_qmnists_labels_is_the_class(tmp_path: Path) -> None:
    _save(tmp_path, "qmnist-")
    labels = np.column_stack([LABELS, *RNG.integers(0, 99, (7, 20))]).astype(">i4")
    for part, own in [("train", labels), ("test", labels[::-1].copy())]:
        (tmp_path / f"qmnist-{part}-labels-idx1-ubyte").unlink()
        path = tmp_path / f"qmnist-{part}-labels-idx2-int.gz"
        path.write_bytes(gzip.compress(_bytes(own, code=12)))
    _check(load(str(tmp_path)))


def test_what_lies_beside_the_files_is_noted(tmp_path: Path) -> None:
    _save(tmp_path / "MNIST/raw")
    (tmp_path / "cars").mkdir()
    assert load(str(tmp_path)).train.notes == ("only MNIST/raw/ is used, not cars",)


def test_without_test_files_a_part_is_set_aside(tmp_path: Path) -> None:
    _save(tmp_path)
    for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (tmp_path / name).unlink()
    train, test = load(str(tmp_path))
    assert (len(train), len(test)) == (10, 10)
    assert load(str(tmp_path), test=None).is_whole


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", None, "no idx file of the train labels"),
        ("t10k-images-idx3-ubyte", None, "no idx file of the test images"),
        ("train-images-idx3-ubyte", b"PNG", "does not begin like an idx file"),
        ("train-images-idx3-ubyte", _bytes(IMAGES)[:-1], r"has 15,679 of 15,680 values.*copy it"),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\4" + b"\xff" * 16,
            r"would hold 3\d\d,\d+,.*copy it",
        ),
        ("train-images-idx3-ubyte", _bytes(IMAGES[:9]), "has 9 images, but there are 20 labels"),
    ],
)
def test_missing_and_damaged_files_are_reported(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    _save(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load(str(tmp_path))


def test_a_damaged_compressed_file_is_reported(tmp_path: Path) -> None:
    _save(tmp_path)
    _compress(tmp_path, remove=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz cannot be read .*copy it"):
        load(str(tmp_path))
