"""Oracles: torchvision's own data sets of files that the test writes, and a closed network port."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
from PIL import Image

from episodes.datasets import available, load, torchvision_named
from episodes.errors import NotHere, UserError
from tests.episodes.datasets.arrays.test_idx import IMAGES, LABELS, _save
from tests.episodes.datasets.samples import save_classes, save_image


def _eurosat(folder: Path) -> None:
    save_classes(folder / "eurosat/2750", {"Forest": 6, "River": 5})


def _food101(folder: Path) -> None:
    for part, numbers in [("train", range(4)), ("test", range(4, 7))]:
        names = {food: [f"{food}/{i}" for i in numbers] for food in ("pizza", "tacos")}
        for food_names in names.values():
            for name in food_names:
                seed = sum(name.encode()) + part.count("n")
                save_image(folder / f"food-101/images/{name}.jpg", seed, (20, 16))
        (folder / "food-101/meta").mkdir(parents=True, exist_ok=True)
        (folder / f"food-101/meta/{part}.json").write_text(json.dumps(names))


def _gtsrb(folder: Path) -> None:
    for sign in range(3):
        for i in range(4):
            save_image(folder / f"gtsrb/GTSRB/Training/{sign:05}/{i}.ppm", 10 * sign + i)
    rows = ["Filename;ClassId"]
    for i in range(6):
        save_image(folder / f"gtsrb/GTSRB/Final_Test/Images/{i}.ppm", 90 + i)
        rows.append(f"{i}.ppm;{i % 3}")
    (folder / "gtsrb/GT-final_test.csv").write_text("\n".join(rows))


def _caltech101(folder: Path) -> None:
    for kind in ("ant", "bass", "BACKGROUND_Google"):
        for i in range(1, 6):
            path = folder / f"caltech101/101_ObjectCategories/{kind}/image_{i:04}.jpg"
            save_image(path, len(kind) + i)


def _imagenette(folder: Path) -> None:
    for part in ("train", "val"):
        for wnid in ("n01440764", "n02102040"):
            for i in range(3):
                path = folder / f"imagenette2-160/{part}/{wnid}/{i}.jpeg"
                save_image(path.with_suffix(".jpg"), i)
                path.with_suffix(".jpg").rename(path.with_suffix(".JPEG"))


def _mnist(folder: Path) -> None:
    _save(folder / "KMNIST/raw")


def _pixels(image: Image.Image) -> np.ndarray:
    with image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("name", "save", "arguments", "classes", "mirror"),
    [
        ("EuroSAT", _eurosat, ({},), ("Forest", "River"), True),
        ("Food101", _food101, ({"split": "train"}, {"split": "test"}), ("pizza", "tacos"), True),
        ("GTSRB", _gtsrb, ({"split": "train"}, {"split": "test"}), ("0", "1", "2"), False),
        ("Caltech101", _caltech101, ({},), ("ant", "bass"), True),
        (
            "KMNIST",
            _mnist,
            ({"train": True}, {"train": False}),
            ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
            False,
        ),
    ],
)
def test_images_and_labels_are_those_of_torchvision(
    tmp_path: Path,
    name: str,
    save: Callable[[Path], None],
    arguments: tuple[dict[str, object], ...],
    classes: tuple[str, ...],
    mirror: bool,
) -> None:
    folder = tmp_path / "torchvision" / name
    save(folder)
    data = load(f"torchvision:{name}", test=None, root=tmp_path)
    assert data.train.classes == classes
    assert data.train.mirror is mirror
    assert data.train.name == name
    assert data.is_whole == (len(arguments) == 1)
    for part, own_arguments in zip(data, arguments, strict=False):
        kind = getattr(torchvision.datasets, name)
        theirs = kind(str(folder), transform=_pixels, **own_arguments)
        pixels, labels = zip(*(theirs[i] for i in range(len(theirs))), strict=True)
        assert part.labels.tolist() == list(labels)
        if pixels[0].shape[0] == pixels[0].shape[1]:
            expected = np.stack(pixels).transpose(0, 3, 1, 2)
            np.testing.assert_array_equal(part.images.numpy(), expected)


def test_image_files_are_not_decoded_twice_and_have_names(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision/Food101"
    _food101(folder)
    (folder / "food-101/images/pizza/2.jpg").write_bytes(b"no image")
    notes = load("torchvision:Food101", root=tmp_path).train.notes
    assert any("skipped 1 of 14 images: food-101/images/pizza/2.jpg" in note for note in notes)


def test_versions_have_folders_of_their_own(tmp_path: Path) -> None:
    _imagenette(tmp_path / "torchvision/Imagenette-160px")
    train, test = load("torchvision:Imagenette", root=tmp_path)
    assert train.classes == ("tench, Tinca tinca", "English springer, English springer spaniel")
    assert (len(train), len(test)) == (6, 6)
    assert (
        load("torchvision:Imagenette:160px", root=tmp_path).train.fingerprint == train.fingerprint
    )
    with pytest.raises(UserError, match="no version '170px', expected one of 160px, 320px, full"):
        load("torchvision:Imagenette:170px", root=tmp_path)
    names = [name for name, _ in available(tmp_path)]
    assert "torchvision:Imagenette:160px" in names
    assert "torchvision" not in names


@pytest.mark.parametrize("name", ["food101", "Flower102"])
def test_misspelt_names_get_a_suggestion(tmp_path: Path, name: str) -> None:
    right = {"food101": "Food101", "Flower102": "Flowers102"}[name]
    with pytest.raises(UserError, match=f"Did you mean torchvision:{right}"):
        load(f"torchvision:{name}", root=tmp_path)


def test_a_name_without_the_prefix_is_suggested_with_it(tmp_path: Path) -> None:
    for name, right in [("cifar-100", "CIFAR100"), ("flowers102", "Flowers102")]:
        with pytest.raises(NotHere, match=f"Did you mean torchvision:{right}"):
            load(name, root=tmp_path)


def test_data_sets_of_other_tasks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a data set with one class for each image"):
        load("torchvision:CocoDetection", root=tmp_path)


def test_every_name_is_one_of_torchvision() -> None:
    assert not [
        name for name in torchvision_named._NAMED if not hasattr(torchvision.datasets, name)
    ]


def test_without_a_network_the_message_names_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nothing listens on the discard port
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for _ in range(2):
        with pytest.raises(
            NotHere, match=r"download failed .*refused.*Connect to a network, or put"
        ):
            load("torchvision:Flowers102", root=tmp_path)
    assert not (tmp_path / "torchvision/Flowers102").exists()
    assert not (tmp_path / "torchvision/.Flowers102.partial").exists()


def test_a_download_happens_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class EuroSAT(torchvision.datasets.EuroSAT):  # type: ignore[misc]
        def download(self) -> None:
            calls.append(self.root)
            _eurosat(Path(self.root))

    monkeypatch.setattr(torchvision.datasets, "EuroSAT", EuroSAT)
    for _ in range(2):
        assert len(load("torchvision:EuroSAT", root=tmp_path, test=None).train) == 11
    assert calls == [str(tmp_path / "torchvision/.EuroSAT.partial")]


def test_files_of_another_data_set_are_reported(tmp_path: Path) -> None:
    _eurosat(tmp_path / "torchvision/GTSRB")
    with pytest.raises(UserError, match=r"is not what torchvision expects of GTSRB .*remove it"):
        load("torchvision:GTSRB", root=tmp_path)


def test_the_part_that_is_not_used_is_noted(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision/RenderedSST2/rendered-sst2"
    for part in ("train", "test"):
        save_classes(folder / part, {"negative": 2, "positive": 2})
    data = load("torchvision:RenderedSST2", root=tmp_path)
    assert data.train.notes == ("the part val of RenderedSST2 is not used",)


def test_the_images_of_emnist_are_upright_as_in_its_own_files(tmp_path: Path) -> None:
    folder = tmp_path / "torchvision/EMNIST-digits/EMNIST/raw"
    _save(folder, "emnist-digits-")
    train, _ = load("torchvision:EMNIST:digits", root=tmp_path)
    own, _ = load(str(folder))
    np.testing.assert_array_equal(train.images.numpy()[:, 0], IMAGES.transpose(0, 2, 1))
    np.testing.assert_array_equal(train.images.numpy(), own.images.numpy())


def test_pixels_of_arrays_are_exact(tmp_path: Path) -> None:
    _mnist(tmp_path / "torchvision/KMNIST")
    train, _ = load("torchvision:KMNIST", root=tmp_path)
    np.testing.assert_array_equal(train.images.numpy()[:, 0], IMAGES)
    assert train.labels.tolist() == LABELS.tolist()
