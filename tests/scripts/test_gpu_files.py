"""What travels to a GPU machine; oracles: sizes and images counted anew, data sets loaded."""

from __future__ import annotations

import io
import subprocess
from collections import Counter
from importlib import metadata
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from episodes import datasets
from scripts import gpu_files


def jpeg(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "jpeg")
    return content.getvalue()


def write_set(folder: Path, n_images: int) -> None:
    """Write a data set of two classes in the format of the real ones; test images are few."""
    folder.mkdir(parents=True)
    for part, count in (("train", n_images), ("validation", 4)):
        images = [{"bytes": jpeg(number), "path": f"{number}.jpg"} for number in range(count)]
        table = pa.table({"image": images, "label": [number % 2 for number in range(count)]})
        pq.write_table(table, folder / f"{part}-00000-of-00001.parquet", compression="zstd")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_set(tmp_path / "data" / "cifar10", 8)
    write_set(tmp_path / "data" / "tinyimagenet32", 200)
    return tmp_path / "data"


def collect(data: Path, out: Path, *words: str) -> int:
    return gpu_files.main(["--data", str(data), "--out", str(out), *words])


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_what_fits_is_copied_as_it_is(data: Path, tmp_path: Path) -> None:
    assert collect(data, tmp_path / "out", "--mebibytes", "1000") == 0
    for path in data.rglob("*.parquet"):
        assert (tmp_path / "out" / path.relative_to(data)).read_bytes() == path.read_bytes()


def test_a_smaller_limit_takes_the_same_number_of_images_of_each_class(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu_files, "checkout_size", lambda root, leave_out: 0)
    monkeypatch.setattr(gpu_files, "SPARE", 0.0)
    limit = 0.6 * size(data)
    assert collect(data, tmp_path / "out", "--mebibytes", str(limit / 2**20)) == 0
    assert "reduced" in capsys.readouterr().out
    assert 0.4 * size(data) < size(tmp_path / "out") <= limit
    monkeypatch.setenv("FEWSHOT_DATA", str(tmp_path / "out"))
    train = datasets.load("tinyimagenet32").train
    counts = Counter(train.labels.tolist())
    assert len(set(counts.values())) == 1
    assert 30 < counts[0] < 80
    whole = pq.read_table(next((data / "tinyimagenet32").glob("train*")))["image"].to_pylist()
    reduced = pq.read_table(next((tmp_path / "out" / "tinyimagenet32").glob("train*")))
    assert reduced["image"].to_pylist() == whole[: 2 * counts[0]]


def test_too_small_a_limit_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(data, tmp_path / "out", "--mebibytes", "2", "--only", "cifar10") == 2
    assert "MiB too much; see --leave-out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--package", "no-such-package"], "no-such-package is not installed here"),
        (["--data", "nowhere"], "nowhere contains no folder cifar10"),
    ],
)
def test_a_wrong_request_is_one_sentence(
    words: list[str], message: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(data, tmp_path / "out", *words) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_package_can_be_found_in_its_copy(tmp_path: Path) -> None:
    copied = gpu_files.copy_package("typer", tmp_path)
    assert copied == size(tmp_path) > 0
    (package,) = metadata.distributions(name="typer", path=[str(tmp_path)])
    assert package.version == metadata.version("typer")
    assert (tmp_path / "typer" / "main.py").is_file()


def test_the_checkout_is_what_git_lists(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    for name, length in ((".gitignore", 0), ("a/b.txt", 5), ("c.txt", 7), ("ignored.txt", 100)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x" * length)
    (tmp_path / ".gitignore").write_text("ignored*")
    assert gpu_files.checkout_size(tmp_path, []) == 8 + 5 + 7
    assert gpu_files.checkout_size(tmp_path, ["a"]) == 8 + 7
