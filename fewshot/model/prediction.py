"""Classify images in a folder with a finished run, as CSV: streamed, and resumed after a stop."""

from __future__ import annotations

import csv
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.names import readable
from episodes.datasets.source import few
from fewshot import io, progress
from fewshot.errors import UserError
from fewshot.model import predictor
from fewshot.model.image_listing import id_of, listing
from fewshot.model.partial_file import Parts
from fewshot.model.predictor import Predictor

log = logging.getLogger("fewshot")


class Written(NamedTuple):
    """How many images the CSV holds, and which files were left out, with the reason."""

    images: int
    left_out: list[str]

    def __str__(self) -> str:
        images = f"{self.images:,} image{'' if self.images == 1 else 's'}"
        if not self.left_out:
            return images
        return f"{images}; left out {len(self.left_out):,}: {few(self.left_out)}"


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
            return [id_of(name), classes[0]]
        row: list[Any] = [readable(name)]
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
    """Write the classes of an image, or of all in a folder and the folders below it, as CSV.

    Finished parts are stored beside `out` until it is written, whole and by rename. The same call
    resumes after whatever stopped it, and computes a part again only if one of its files has
    changed or could not be decoded. Memory does not grow with the number of images, except for
    their names.

    Args:
        run: folder of a finished run.
        images: an image file, or a folder; hidden files and folders inside it are skipped. Files
            that are not images are left out.
        out: the CSV file.
        seed: trial of the run; None for the first.
        kaggle: write rows `id,label` by rising id, of files named by integers, instead of
            `file,label,probability` by name, relative to the folder.
        top: how many of the best classes to write for each file, one after the other.
        skip_broken: leave out files that cannot be decoded.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the request is wrong, or files cannot be decoded and `skip_broken` is off. In the
            latter case all other files are done and stored.
    """
    if out.is_dir():
        raise UserError(
            f"{out} is a folder: name the CSV file to write, such as {out / 'predictions.csv'}."
        )
    folder, names, unreadable, others, notes = listing(images, kaggle, out)
    if unreadable and not skip_broken:
        raise UserError(
            f"{images}: {few(unreadable)}; convert or remove them, or use --skip-broken to leave "
            "them out."
        )
    for note in notes:
        log.warning("%s: %s.", images, note)
    progress.update("loading the run")
    ready = predictor.load(run, seed, device)
    if top > len(ready.classes):
        raise UserError(
            f"--top {top}: the run has {len(ready.classes)} classes, so at most "
            f"{len(ready.classes)} can be written."
        )
    columns = _Columns(kaggle, top)
    chunks = _chunks(ready, columns, folder, names)
    with Parts(out) as parts:
        broken = _complete(parts, ready, columns, folder, chunks, skip_broken)
        if broken and not skip_broken:
            raise UserError(
                f"{images}: {few(broken)}; all other images are done and stored: repair or remove "
                "these and repeat the command, or use --skip-broken to leave them out."
            )
        if len(broken) == len(names):
            raise UserError(f"{images}: no file could be read as an image: {few(broken)}.")
        texts = chain([_csv([columns.header()])], (parts[key]["rows"] for key, _ in chunks))
        io.write_bytes(out, (text.encode() for text in texts))
        parts.remove()
    return Written(len(names) - len(broken), unreadable + others + broken)


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
            broken = [
                f"{readable(name)} ({reason})" for name, reason in reason_of.items() if reason
            ]
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
