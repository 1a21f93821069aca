"""Small whole files of every kind that is read, to be damaged; each with the place to read."""

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
from PIL import Image

N = 8  # images of each class
NAMES = ("cat", "dog")


def images() -> np.ndarray:
    """Return images of two classes, uint8 [2 N, 8, 8, 3]."""
    return np.random.default_rng(0).integers(0, 256, (2 * N, 8, 8, 3), dtype=np.uint8)


def labels() -> np.ndarray:
    """Return their labels, int64 [2 N]."""
    return np.arange(2 * N) % 2


def encoded() -> list[bytes]:
    """Return the images as PNG."""
    streams = [BytesIO() for _ in images()]
    for pixels, stream in zip(images(), streams, strict=True):
        Image.fromarray(pixels).save(stream, "PNG")
    return [stream.getvalue() for stream in streams]


def parquet(folder: Path) -> Path:
    """Write a table with encoded images and named labels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = {"image": encoded(), "label": [NAMES[label] for label in labels()]}
    pq.write_table(pa.table(rows), folder / "train.parquet")
    return folder / "train.parquet"


def arrow(folder: Path) -> Path:
    """Write a data set as Hugging Face's library saves it to disk."""
    import pyarrow as pa

    table = pa.table({"image": encoded(), "label": labels()})
    path = folder / "data-00000-of-00001.arrow"
    with path.open("wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
    (folder / "state.json").write_text(json.dumps(state))
    (folder / "dataset_info.json").write_text("{}")
    return folder / "data-00000-of-00001.arrow"


def _table(folder: Path, name: str, line: Callable[[str, str], str], head: str) -> Path:
    lines = [head] if head else []
    for number, (content, label) in enumerate(zip(encoded(), labels(), strict=True)):
        (folder / f"{number}.png").write_bytes(content)
        lines.append(line(f"{number}.png", NAMES[label]))
    (folder / name).write_text("\n".join(lines))
    return folder / name


def csv_table(folder: Path) -> Path:
    """Write image files, and a table of their labels."""
    return _table(folder, "labels.csv", lambda file, label: f"{file},{label}", "file,label")


def json_lines(folder: Path) -> Path:
    """Write image files, and a JSON object for each."""
    line = lambda file, label: json.dumps({"file_name": file, "label": label})  # noqa: E731
    return _table(folder, "metadata.jsonl", line, "")


def npz(folder: Path) -> Path:
    """Write arrays of images and labels."""
    np.savez_compressed(folder / "data.npz", x=images(), y=labels())
    return folder / "data.npz"


def npy(folder: Path) -> Path:
    """Write two arrays in files of their own; that of the images is to be damaged."""
    np.save(folder / "y.npy", labels())
    np.save(folder / "x.npy", images())
    return folder / "x.npy"


def mat(folder: Path) -> Path:
    """Write arrays as MATLAB does."""
    from scipy.io import savemat

    savemat(folder / "data.mat", {"x": images(), "y": labels()}, do_compression=True)
    return folder / "data.mat"


def hdf5(folder: Path) -> Path:
    """Write arrays of images and labels as HDF5."""
    import h5py

    with h5py.File(folder / "data.h5", "w") as file:
        file.create_dataset("x", data=images(), compression="gzip")
        file.create_dataset("y", data=labels())
    return folder / "data.h5"


def idx(folder: Path, compressed: bool = False) -> Path:
    """Write the images in grey as the files of MNIST."""
    grey = images()[..., 0]
    files = {
        "train-labels-idx1-ubyte": struct.pack(">HBBI", 0, 8, 1, len(grey))
        + labels().astype("u1").tobytes(),
        "train-images-idx3-ubyte": struct.pack(">HBBIII", 0, 8, 3, *grey.shape) + grey.tobytes(),
    }
    for name, content in files.items():
        data = gzip.compress(content) if compressed else content
        (folder / (name + ".gz" * compressed)).write_bytes(data)
    return folder / ("train-images-idx3-ubyte" + ".gz" * compressed)


def idx_gz(folder: Path) -> Path:
    """Write the same compressed."""
    return idx(folder, compressed=True)


def zip_folders(folder: Path) -> Path:
    """Write class folders in a ZIP file."""
    with zipfile.ZipFile(folder / "data.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for number, (content, label) in enumerate(zip(encoded(), labels(), strict=True)):
            archive.writestr(f"{NAMES[label]}/{number}.png", content)
    return folder / "data.zip"


def cifar(folder: Path) -> Path:
    """Write the files of CIFAR-10 as its authors pickled them."""
    rows = np.random.default_rng(0).integers(0, 256, (20, 3072), dtype=np.uint8)
    batch = {b"data": rows, b"labels": [number % 10 for number in range(20)]}
    names = {b"label_names": [f"class {number}".encode() for number in range(10)]}
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps(names, 2))
    return folder / "data_batch_1"


def cifar_archive(folder: Path) -> Path:
    """Write the same in a compressed archive."""
    inner = folder / "inner"
    inner.mkdir()
    cifar(inner)
    with tarfile.open(folder / "cifar-10-python.tar.gz", "w:gz") as archive:
        for path in sorted(inner.iterdir()):
            archive.add(path, f"cifar-10-batches-py/{path.name}")
            path.unlink()
    inner.rmdir()
    return folder / "cifar-10-python.tar.gz"


# Functions that write a data set into a folder, and return the file to damage. The data set is
# that file, or its folder if the file alone is none.
DATA_SETS: dict[str, Callable[[Path], Path]] = {
    "Parquet": parquet,
    "Arrow": arrow,
    "CSV": csv_table,
    "JSON lines": json_lines,
    "npz": npz,
    "npy": npy,
    "MATLAB": mat,
    "HDF5": hdf5,
    "idx": idx,
    "compressed idx": idx_gz,
    "ZIP": zip_folders,
    "pickles of CIFAR": cifar,
    "archive of CIFAR": cifar_archive,
}
OF_FOLDERS = {"Arrow", "CSV", "JSON lines", "npy", "idx", "compressed idx", "pickles of CIFAR"}
