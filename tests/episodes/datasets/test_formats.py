"""Oracle: the same images of two classes, written in every format by the library that defines it.

Each format must give the identical pixels and labels. The table of docs/data.md must name each of
them. JPEG, which loses detail, is compared with what Pillow decodes.
"""

from __future__ import annotations

import gzip
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io
from PIL import Image

from episodes.datasets import load
from episodes.types import ImageSet
from tests.episodes.datasets.samples import ROOT

CLASSES = ("0", "1")
SIDE = 32  # pixels; CIFAR's files have no other size
PARTS = ("train", "test")
LABELS = {"train": np.repeat([0, 1], 5), "test": np.repeat([0, 1], 3)}
# Grey images, [n, 32, 32], because MNIST's files have no colours.
GREY = {
    part: np.random.default_rng(len(part)).integers(
        0, 256, (len(LABELS[part]), SIDE, SIDE), np.uint8
    )
    for part in PARTS
}
RGB = {part: grey[..., None].repeat(3, axis=3) for part, grey in GREY.items()}

Writer = Callable[[Path], str]  # writes a data set into a folder and returns what `load` is given


def _encoded(pixels: np.ndarray, format_: str = "PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, format_)
    return file.getvalue()


def _class_folders(folder: Path, suffix: str = "png", format_: str = "PNG") -> str:
    for part in PARTS:
        for i, (pixels, label) in enumerate(zip(RGB[part], LABELS[part], strict=True)):
            path = folder / part / CLASSES[label] / f"{i:02}.{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_encoded(pixels, format_))
    return str(folder)


def _images(suffix: str, format_: str) -> Writer:
    return lambda folder: _class_folders(folder, suffix, format_)


def _tables(folder: Path, image_type: str) -> str:
    for part in PARTS:
        if image_type == "path":
            _class_folders(folder)
            images: list[object] = [*_relative_paths(part)]
        else:
            encoded = [_encoded(pixels) for pixels in RGB[part]]
            images = [{"bytes": one, "path": None} for one in encoded] if image_type else encoded
        table = pa.table({"image": images, "label": LABELS[part]})
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet")
    return str(folder)


def _relative_paths(part: str) -> list[str]:
    return [f"{part}/{label}/{i:02}.png" for i, label in enumerate(LABELS[part])]


def _arrow(folder: Path) -> str:
    """Save what `save_to_disk` of Hugging Face's `datasets` saves, without that library."""
    for part in PARTS:
        (folder / part).mkdir()
        images = [{"bytes": _encoded(pixels), "path": None} for pixels in RGB[part]]
        table = pa.table({"image": images, "label": LABELS[part]})
        name = "data-00000-of-00001.arrow"
        with pa.ipc.new_stream(str(folder / part / name), table.schema) as writer:
            writer.write_table(table)
        state = {"_data_files": [{"filename": name}], "_split": part}
        (folder / part / "state.json").write_text(json.dumps(state))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": PARTS}))
    return str(folder)


def _save_to_disk(folder: Path) -> str:
    datasets = pytest.importorskip("datasets", reason="needs `datasets` (extra hf)")
    columns = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(CLASSES))}
    )
    parts = {
        part: datasets.Dataset.from_dict(
            {"image": [Image.fromarray(pixels) for pixels in RGB[part]], "label": LABELS[part]},
            features=columns,
        )
        for part in PARTS
    }
    datasets.DatasetDict(parts).save_to_disk(str(folder))
    return str(folder)


def _hub(folder: Path) -> str:
    """Save a data set of the Hub where the first use stores it."""
    (folder / "hf/someone--toys").mkdir(parents=True)
    _arrow(folder / "hf/someone--toys")
    return "hf:someone/toys"


def _zip(folder: Path) -> str:
    _class_folders(folder / "mine")
    with zipfile.ZipFile(folder / "mine.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "mine").rglob("*.png")):
            archive.write(path, path.relative_to(folder))
    return str(folder / "mine.zip")


def _csv(folder: Path) -> str:
    (folder / "pictures").mkdir()
    for part in PARTS:
        lines = ["image_path,label"]
        for i, (pixels, label) in enumerate(zip(RGB[part], LABELS[part], strict=True)):
            path = folder / f"pictures/{part}-{i:02}.png"
            path.write_bytes(_encoded(pixels))
            lines.append(f"pictures/{path.name},{label}")
        (folder / f"{part}.csv").write_text("\n".join(lines))
    return str(folder)


def _kaggle(folder: Path) -> str:
    """Save images with names without a suffix in the table, below a folder of each part."""
    for part in PARTS:
        (folder / part).mkdir()
        lines = ["id,label"]
        for i, (pixels, label) in enumerate(zip(RGB[part], LABELS[part], strict=True)):
            (folder / part / f"{part}{i:02}.png").write_bytes(_encoded(pixels))
            lines.append(f"{part}{i:02},{label}")
        (folder / f"{part}_labels.csv").write_text("\n".join(lines))
    return str(folder)


def _metadata(folder: Path, lines: bool = False) -> str:
    """Save an image folder of Hugging Face's `datasets`."""
    for part in PARTS:
        (folder / part).mkdir()
        names = [f"{i:02}.png" for i in range(len(LABELS[part]))]
        for name, pixels in zip(names, RGB[part], strict=True):
            (folder / part / name).write_bytes(_encoded(pixels))
        table = pd.DataFrame({"file_name": names, "label": LABELS[part]})
        if lines:
            table.to_json(folder / part / "metadata.jsonl", orient="records", lines=True)
        else:
            table.to_csv(folder / part / "metadata.csv", index=False)
    return str(folder)


def _arrays(names: str, column: bool = False) -> dict[str, np.ndarray]:
    """Return the arrays of both parts under names such as `x_{}` and `y_{}`."""
    image_name, label_name = names.split()
    arrays = {image_name.format(part): GREY[part] for part in PARTS}
    labels = {part: LABELS[part][:, None] if column else LABELS[part] for part in PARTS}
    return arrays | {label_name.format(part): labels[part] for part in PARTS}


def _npz(folder: Path) -> str:
    np.savez(folder / "mine.npz", **_arrays("x_{} y_{}"))  # type: ignore[arg-type]
    return str(folder / "mine.npz")


def _medmnist(folder: Path) -> str:
    arrays = _arrays("{}_images {}_labels", column=True)
    np.savez_compressed(folder / "cellmnist.npz", **arrays)  # type: ignore[arg-type]
    return str(folder / "cellmnist.npz")


def _npy(folder: Path) -> str:
    for name, array in _arrays("X_{} y_{}").items():
        np.save(folder / f"{name}.npy", array)
    return str(folder)


def _mat(folder: Path) -> str:
    for part in PARTS:
        content = {"X": RGB[part].transpose(1, 2, 3, 0), "y": LABELS[part][:, None]}
        scipy.io.savemat(folder / f"{part}.mat", content)
    return str(folder)


def _hdf5(folder: Path) -> str:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    with h5py.File(folder / "mine.h5", "w") as file:
        for name, array in _arrays("{}_set_x {}_set_y").items():
            file[name] = array
    return str(folder / "mine.h5")


def _rows(part: str) -> np.ndarray:
    return RGB[part].transpose(0, 3, 1, 2).reshape(-1, 3 * SIDE**2)


def _cifar(folder: Path, names: tuple[str, str, str], keys: tuple[bytes, bytes]) -> str:
    folder.mkdir(exist_ok=True)
    for part, name in zip(PARTS, names, strict=False):
        content = {b"data": _rows(part), keys[0]: LABELS[part].tolist()}
        (folder / name).write_bytes(pickle.dumps(content, protocol=2))
    meta = {keys[1]: [name.encode() for name in CLASSES]}
    (folder / names[2]).write_bytes(pickle.dumps(meta, protocol=2))
    return str(folder)


def _cifar10(folder: Path) -> str:
    names = ("data_batch_1", "test_batch", "batches.meta")
    return _cifar(folder, names, (b"labels", b"label_names"))


def _cifar100(folder: Path) -> str:
    return _cifar(folder, ("train", "test", "meta"), (b"fine_labels", b"fine_label_names"))


def _cifar100_archive(folder: Path) -> str:
    _cifar100(folder / "cifar-100-python")
    with tarfile.open(folder / "cifar-100-python.tar.gz", "w:gz") as archive:
        archive.add(folder / "cifar-100-python", "cifar-100-python")
    return str(folder / "cifar-100-python.tar.gz")


def _cifar10_binary(folder: Path) -> str:
    for part, name in zip(PARTS, ("data_batch_1.bin", "test_batch.bin"), strict=True):
        np.hstack([LABELS[part][:, None].astype(np.uint8), _rows(part)]).tofile(folder / name)
    (folder / "batches.meta.txt").write_text("\n".join(CLASSES))
    return str(folder)


def _idx(folder: Path, compressed: bool = False) -> str:
    for part, prefix in zip(PARTS, ("train", "t10k"), strict=True):
        for name, array in (
            (f"{prefix}-images-idx3-ubyte", GREY[part]),
            (f"{prefix}-labels-idx1-ubyte", LABELS[part].astype(np.uint8)),
        ):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            content = header + array.tobytes()
            path = folder / (f"{name}.gz" if compressed else name)
            path.write_bytes(gzip.compress(content) if compressed else content)
    return str(folder)


def _torchvision(folder: Path) -> str:
    raw = folder / "torchvision/MNIST/MNIST/raw"
    raw.mkdir(parents=True)
    _idx(raw)
    return "torchvision:MNIST"


# Name of the format in docs/data.md -> its writers.
FORMATS: dict[str, dict[str, Writer]] = {
    "Class folders": {
        "PNG": _class_folders,
        "BMP": _images("bmp", "BMP"),
        "GIF": _images("gif", "GIF"),
        "TIFF": _images("tif", "TIFF"),
        "PPM": _images("ppm", "PPM"),
        "upper case": _images("PNG", "PNG"),
    },
    "ZIP of class folders": {"ZIP": _zip},
    "Parquet files": {
        "struct": lambda folder: _tables(folder, "struct"),
        "bytes": lambda folder: _tables(folder, ""),
        "paths": lambda folder: _tables(folder, "path"),
    },
    "Arrow folders": {"pyarrow": _arrow, "datasets": _save_to_disk},
    "CSV and JSON tables": {
        "paths": _csv,
        "Kaggle": _kaggle,
        "metadata.csv": _metadata,
        "metadata.jsonl": lambda folder: _metadata(folder, lines=True),
    },
    "NumPy arrays": {"npz": _npz, "MedMNIST": _medmnist, "npy": _npy},
    "MATLAB arrays": {"SVHN": _mat},
    "HDF5 arrays": {"h5": _hdf5},
    "CIFAR-10 and CIFAR-100": {
        "CIFAR-10": _cifar10,
        "CIFAR-100": _cifar100,
        "archive": _cifar100_archive,
        "binary": _cifar10_binary,
    },
    "MNIST and its kin": {"idx": _idx, "idx.gz": lambda folder: _idx(folder, compressed=True)},
    "torchvision": {"MNIST": _torchvision},
    "Hugging Face Hub": {"stored": _hub},
}
CASES = [
    pytest.param(writer, id=f"{name}: {variant}")
    for name, writers in FORMATS.items()
    for variant, writer in writers.items()
]


def _check(part: ImageSet, name: str) -> None:
    expected = RGB[name].transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(part.images.numpy(), expected)
    assert part.labels.tolist() == LABELS[name].tolist()


@pytest.mark.parametrize("writer", CASES)
def test_every_format_gives_the_same_pixels_and_labels(tmp_path: Path, writer: Writer) -> None:
    train, test = load(writer(tmp_path), root=tmp_path)
    _check(train, "train")
    _check(test, "test")


def test_the_table_of_the_documentation_has_the_same_formats() -> None:
    page = (ROOT / "docs/data.md").read_text(encoding="utf-8")
    section = page.split("## Formats")[1].split("\n## ")[0]
    rows = [line.split(" | ")[0].removeprefix("| ") for line in section.splitlines() if "|" in line]
    assert rows[2:] == list(FORMATS)


@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "jfif", "webp"])
def test_formats_that_lose_detail_are_what_pillow_decodes(tmp_path: Path, suffix: str) -> None:
    format_ = "WEBP" if suffix == "webp" else "JPEG"
    train, test = load(_class_folders(tmp_path, suffix, format_))
    for part, name in [(train, "train"), (test, "test")]:
        decoded = [Image.open(BytesIO(_encoded(pixels, format_))) for pixels in RGB[name]]
        expected = np.stack([np.asarray(image.convert("RGB")) for image in decoded])
        np.testing.assert_array_equal(part.images.numpy(), expected.transpose(0, 3, 1, 2))
