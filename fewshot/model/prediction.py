"""Classes of a folder of images by a finished run, as CSV: streamed, and continued where it was stopped."""

from __future__ import annotations

import csv
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from io import StringIO
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets.parallel_decode import decoded_chunks
from episodes.datasets.decode import named_as_image, why_skipped
from episodes.datasets.source import few
from fewshot import io
from fewshot.errors import UserError
from fewshot.model import predictor
from fewshot.model.partial_file import Parts
from fewshot.model.predictor import Predictor
from fewshot.runs.resolve import Tell


class Written(NamedTuple):
    """How many images the CSV tells of, and which files were left out, with the reason; `str` of it says so."""

    images: int
    left_out: list[str]

    def __str__(self) -> str:
        skipped = (
            f"; left out {len(self.left_out):,}: {few(self.left_out)}" if self.left_out else ""
        )
        return f"{self.images:,} images{skipped}"


class _Form(NamedTuple):
    """What the rows say: an id and a class, or a file and its `top` best classes with their probabilities."""

    kaggle: bool
    top: int

    def header(self) -> list[str]:
        if self.kaggle:
            return ["id", "label"]
        columns = ["label", "probability"]
        return [
            "file",
            *columns,
            *(f"{each}_{k}" for k in range(2, self.top + 1) for each in columns),
        ]

    def row(self, name: str, classes: list[str], probabilities: list[float]) -> list[Any]:
        if self.kaggle:
            return [_id(name), classes[0]]
        return [
            name,
            *chain.from_iterable(zip(classes, map("{:.6f}".format, probabilities), strict=True)),
        ]


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
    tell: Tell = lambda text: None,
) -> Written:
    """Write the classes of all images in a folder as CSV.

    run: folder of a finished run; seed: which of its draws, the first where None. kaggle: rows `id,label` by rising
    id, of files named by integers; otherwise `file,label,probability` by name, with the `top` best classes one after
    the other. Hidden files, and folders in the folder, are passed over.
    Finished parts are kept beside `out` until it is written, whole and by rename: the same call continues after
    whatever stopped it, and computes a part again only where a file of it has changed or could not be decoded. Memory
    does not grow with the number of images but for their names.
    Raises UserError where the request is wrong; where a file cannot be decoded, when all others are done and kept,
    unless `skip_broken` leaves such files out.
    """
    names, others = _listing(images, kaggle)
    if others and not skip_broken:
        raise UserError(
            f"{images}: {few(others)}; remove them, or use --skip-broken to leave them out."
        )
    if out.is_dir():
        raise UserError(
            f"{out} is a folder: name the CSV file to write, as {out / 'predictions.csv'}."
        )
    tell("preparing the run")
    ready = predictor.load(run, seed, device)
    if top > len(ready.classes):
        raise UserError(
            f"--top {top}: the run knows {len(ready.classes)} classes, so {len(ready.classes)} at most."
        )
    form = _Form(kaggle, top)
    listed = [names[start : start + ready.at_once] for start in range(0, len(names), ready.at_once)]
    keys = [_key(f"{ready.mark} {form}", images, part) for part in listed]
    with Parts(out) as parts:
        again = {
            key for key in keys if key not in parts or (parts[key]["broken"] and not skip_broken)
        }
        missing = [(key, part) for key, part in zip(keys, listed, strict=True) if key in again]
        tick = _ticker(tell, len(names) - sum(len(part) for _, part in missing), len(names))
        _fill(parts, ready, form, images, missing, tick)
        broken = [each for key in keys for each in parts[key]["broken"]]
        if broken and not skip_broken:
            raise UserError(
                f"{images}: {few(broken)}; all other images are done and kept: repair or remove these and repeat the "
                "command, or use --skip-broken to leave them out."
            )
        if len(broken) == len(names):
            raise UserError(f"{images}: no file could be read as an image: {few(broken)}.")
        texts = chain([_csv([form.header()])], (parts[key]["rows"] for key in keys))
        io.write_bytes(out, (text.encode(errors="surrogateescape") for text in texts))
        parts.forget()
    return Written(len(names) - len(broken), others + broken)


def _listing(folder: Path, kaggle: bool) -> tuple[list[str], list[str]]:
    """Names of a folder's images, sorted, by id where they are to have one; and what is none by its name."""
    try:
        with os.scandir(folder) as entries:
            found = sorted(
                each.name for each in entries if not each.name.startswith(".") and each.is_file()
            )
    except OSError as error:
        raise UserError(
            f"{folder} cannot be read as a folder of images: {error.strerror}."
        ) from None
    names, others = [], []
    for name in found:
        if named_as_image(Path(name)):
            names.append(name)
        else:
            others.append(f"{name} ({why_skipped(Path(name))})")
    if not names:
        seen = f" ({few(others)})" if others else ""
        raise UserError(
            f"{folder} holds no images{seen}: name the folder that they lie in, not one above it."
        )
    if kaggle:
        for name in names:
            if not os.path.splitext(name)[0].encode(errors="replace").isdigit():
                raise UserError(
                    f"{folder / name}: --kaggle needs files named by integers, as 1.png; or use --out."
                )
        names.sort(key=_id)
        for name, following in pairwise(names):
            if _id(name) == _id(following):
                raise UserError(
                    f"{folder}: {name} and {following} have the same id: remove or rename one."
                )
    return names, others


def _id(name: str) -> int:
    return int(
        os.path.splitext(name)[0]
    )  # many times faster than Path, for names by the hundred thousand


def _key(mark: str, folder: Path, names: list[str]) -> str:
    """Of a part: a hash of what decides its rows, files by name, size and time of change."""
    digest = hashlib.sha256(mark.encode())
    for name in names:
        try:
            stat = os.stat(folder / name)
        except OSError as error:
            raise UserError(
                f"{folder / name} is no longer there to be read ({error.strerror})."
            ) from None
        digest.update(os.fsencode(name) + f"\0{stat.st_size} {stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def _fill(
    parts: Parts,
    ready: Predictor,
    form: _Form,
    folder: Path,
    missing: list[tuple[str, list[str]]],
    tick: Callable[[int], None],
) -> None:
    """Compute the missing parts, the images of the next ones being decoded meanwhile."""
    chunks = decoded_chunks(([folder / name for name in names] for _, names in missing), ready.side)
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", module=r"PIL\."
        )  # of odd metadata in images that decode well
        for (key, names), (pixels, reasons) in zip(missing, chunks, strict=True):
            good = [name for name, reason in zip(names, reasons, strict=True) if reason is None]
            broken = [
                f"{name} ({reason})" for name, reason in zip(names, reasons, strict=True) if reason
            ]
            parts[key] = {"rows": _csv(_rows(ready, form, good, pixels)), "broken": broken}
            tick(len(names))


def _rows(
    ready: Predictor, form: _Form, names: list[str], pixels: np.ndarray
) -> Iterator[list[Any]]:
    if not names:
        return
    logits = ready.logits(pixels)
    best = logits.argsort(stable=True, dim=1, descending=True)[
        :, : form.top
    ]  # of equal ones the first, as argmax
    probabilities = logits.softmax(1).gather(1, best)
    for name, classes, own in zip(names, best.tolist(), probabilities.tolist(), strict=True):
        yield form.row(name, [ready.classes[each] for each in classes], own)


def _csv(rows: Iterable[list[Any]]) -> str:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _ticker(tell: Tell, done: int, total: int) -> Callable[[int], None]:
    """A function to call with the number of images that are newly done: tells how many, how fast, how long yet."""
    began, first = time.perf_counter(), done

    def tick(more: int) -> None:
        nonlocal done
        done += more
        left = (total - done) / (speed := (done - first) / (time.perf_counter() - began))
        length = f"{left / 60:.0f} min" if left >= 100 else f"{left:.0f} s"
        tell(f"{done:,} of {total:,} images, {speed:.0f} a second, {length} left")

    return tick
