"""Classify a folder of images with a finished run, as CSV: streamed, and resumed after a stop."""

from __future__ import annotations

import csv
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets.image_formats import is_image_file, quiet_pillow, why_skipped
from episodes.datasets.parallel_decode import decoded_chunks
from episodes.datasets.source import few
from fewshot import io, progress
from fewshot.errors import UserError
from fewshot.model import predictor
from fewshot.model.partial_file import Parts
from fewshot.model.predictor import Predictor


class Written(NamedTuple):
    """How many images the CSV holds, and which files were left out, with the reason."""

    images: int
    left_out: list[str]

    def __str__(self) -> str:
        if not self.left_out:
            return f"{self.images:,} images"
        return f"{self.images:,} images; left out {len(self.left_out):,}: {few(self.left_out)}"


@dataclass(frozen=True)
class _Columns:
    """The columns of the CSV.

    Args:
        kaggle: an id and a class, instead of a file and its best classes with probabilities.
        top: how many of the best classes.
    """

    kaggle: bool
    top: int

    def header(self) -> list[str]:
        if self.kaggle:
            return ["id", "label"]
        names = ["file", "label", "probability"]
        for rank in range(2, self.top + 1):
            names += [f"label_{rank}", f"probability_{rank}"]
        return names

    def row(self, name: str, classes: list[str], probabilities: list[float]) -> list[Any]:
        if self.kaggle:
            return [_id(name), classes[0]]
        row: list[Any] = [name]
        for label, probability in zip(classes, probabilities, strict=True):
            row += [label, f"{probability:.6f}"]
        return row


class _Chunk(NamedTuple):
    """Files that are classified at once, and the key under which their rows are stored."""

    key: str
    names: list[str]


def predict(
    run: Path,
    images: Path,
    out: Path,
    *,
    seed: int | None = None,
    kaggle: bool = False,
    top: int = 1,
    skip_broken: bool = False,
    device: str | None = None,
) -> Written:
    """Write the classes of all images in a folder as CSV.

    Finished parts are stored beside `out` until it is written, whole and by rename. The same call
    resumes after whatever stopped it, and computes a part again only if one of its files has
    changed or could not be decoded. Memory does not grow with the number of images, except for
    their names.

    Args:
        run: folder of a finished run.
        images: folder of image files; hidden files and folders inside it are skipped.
        out: the CSV file.
        seed: trial of the run; None for the first.
        kaggle: write rows `id,label` by rising id, of files named by integers, instead of
            `file,label,probability` by name.
        top: how many of the best classes to write for each file, one after the other.
        skip_broken: leave out files that cannot be decoded.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the request is wrong, or files cannot be decoded and `skip_broken` is off. In the
            latter case all other files are done and stored.
    """
    names, others = _listing(images, kaggle)
    if others and not skip_broken:
        raise UserError(
            f"{images}: {few(others)}; remove them, or use --skip-broken to leave them out."
        )
    if out.is_dir():
        raise UserError(
            f"{out} is a folder: name the CSV file to write, such as {out / 'predictions.csv'}."
        )
    progress.update("loading the run")
    ready = predictor.load(run, seed, device)
    if top > len(ready.classes):
        raise UserError(
            f"--top {top}: the run has {len(ready.classes)} classes, so at most "
            f"{len(ready.classes)} can be written."
        )
    columns = _Columns(kaggle, top)
    chunks = _chunks(ready, columns, images, names)
    with Parts(out) as parts:
        broken = _complete(parts, ready, columns, images, chunks, skip_broken)
        if broken and not skip_broken:
            raise UserError(
                f"{images}: {few(broken)}; all other images are done and stored: repair or remove "
                "these and repeat the command, or use --skip-broken to leave them out."
            )
        if len(broken) == len(names):
            raise UserError(f"{images}: no file could be read as an image: {few(broken)}.")
        texts = chain([_csv([columns.header()])], (parts[key]["rows"] for key, _ in chunks))
        io.write_bytes(out, (text.encode(errors="surrogateescape") for text in texts))
        parts.remove()
    return Written(len(names) - len(broken), others + broken)


def _listing(folder: Path, kaggle: bool) -> tuple[list[str], list[str]]:
    """Return the names of a folder's images, sorted, and the other files with a reason."""
    try:
        with os.scandir(folder) as entries:
            files = sorted(
                entry.name
                for entry in entries
                if not entry.name.startswith(".") and entry.is_file()
            )
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read as a folder of images: {error.strerror}."
        ) from None
    names = [name for name in files if is_image_file(folder / name)]
    others = [
        f"{name} ({why_skipped(folder / name)})"
        for name in files
        if not is_image_file(folder / name)
    ]
    if not names:
        listed = f" ({few(others)})" if others else ""
        raise UserError(
            f"{folder} holds no images{listed}: name the folder that holds them, not one above it."
        )
    if kaggle:
        _sort_by_id(folder, names)
    return names, others


def _sort_by_id(folder: Path, names: list[str]) -> None:
    """Sort files that are named by integers in place, and refuse other names and equal ids."""
    for name in names:
        if not os.path.splitext(name)[0].encode(errors="replace").isdigit():
            raise UserError(
                f"{folder / name}: --kaggle needs files named by integers, such as 1.png; or use "
                "--out."
            )
    names.sort(key=_id)
    for name, following in pairwise(names):
        if _id(name) == _id(following):
            raise UserError(
                f"{folder}: {name} and {following} have the same id: remove or rename one."
            )


def _id(name: str) -> int:
    # Many times faster than Path, for hundreds of thousands of names.
    return int(os.path.splitext(name)[0])


def _chunks(ready: Predictor, columns: _Columns, folder: Path, names: list[str]) -> list[_Chunk]:
    """Split the files into chunks that are classified at once."""
    size = ready.batch_size
    groups = [names[start : start + size] for start in range(0, len(names), size)]
    prefix = f"{ready.fingerprint} {columns}"
    return [_Chunk(_key(prefix, folder, group), group) for group in groups]


def _key(prefix: str, folder: Path, names: list[str]) -> str:
    """Hash what decides the rows of some files: the predictor, and names, sizes and times."""
    digest = hashlib.sha256(prefix.encode())
    for name in names:
        try:
            stat = os.stat(folder / name)
        except OSError as error:
            raise UserError(f"{folder / name} can no longer be read ({error.strerror}).") from None
        digest.update(os.fsencode(name) + f"\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _complete(
    parts: Parts,
    ready: Predictor,
    columns: _Columns,
    folder: Path,
    chunks: list[_Chunk],
    skip_broken: bool,
) -> list[str]:
    """Compute the missing chunks and return all files that could not be decoded.

    A chunk with broken files is computed again, because they may have been repaired, unless broken
    files are to be skipped.
    """
    missing = [
        chunk
        for chunk in chunks
        if chunk.key not in parts or (parts[chunk.key]["broken"] and not skip_broken)
    ]
    total = sum(len(chunk.names) for chunk in chunks)
    done = total - sum(len(chunk.names) for chunk in missing)
    _fill(parts, ready, columns, folder, missing, _Progress(done, total))
    broken: list[str] = []
    for chunk in chunks:
        broken += parts[chunk.key]["broken"]
    return broken


def _fill(
    parts: Parts,
    ready: Predictor,
    columns: _Columns,
    folder: Path,
    missing: list[_Chunk],
    report: Callable[[int], None],
) -> None:
    """Compute chunks, while the images of the following ones are decoded."""
    with quiet_pillow():
        decoded = decoded_chunks(
            ([folder / name for name in names] for _, names in missing), ready.decoding
        )
        for (key, names), (pixels, reasons, _) in zip(missing, decoded, strict=True):
            reason_of = dict(zip(names, reasons, strict=True))
            good = [name for name in names if reason_of[name] is None]
            broken = [f"{name} ({reason})" for name, reason in reason_of.items() if reason]
            parts[key] = {"rows": _csv(_rows(ready, columns, good, pixels)), "broken": broken}
            report(len(names))


def _rows(
    ready: Predictor, columns: _Columns, names: list[str], pixels: np.ndarray
) -> Iterator[list[Any]]:
    if not names:
        return
    logits = ready.logits(pixels)
    # Of equal logits the first class comes first, as with argmax.
    best = logits.argsort(stable=True, dim=1, descending=True)[:, : columns.top]
    probabilities = logits.softmax(1).gather(1, best)
    for name, indices, shares in zip(names, best.tolist(), probabilities.tolist(), strict=True):
        yield columns.row(name, [ready.classes[index] for index in indices], shares)


def _csv(rows: Iterable[list[Any]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


class _Progress:
    """Report how many images are done, how many a second, and how long the rest takes."""

    def __init__(self, done: int, total: int) -> None:
        self.done, self.total = done, total
        self.done_at_start, self.started = done, time.perf_counter()

    def __call__(self, newly_done: int) -> None:
        self.done += newly_done
        per_second = (self.done - self.done_at_start) / (time.perf_counter() - self.started)
        seconds = (self.total - self.done) / per_second
        left = f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"
        progress.update(
            f"{self.done:,} of {self.total:,} images, {per_second:.0f} a second, {left} left"
        )
