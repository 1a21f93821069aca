"""Named data sets, folders and Parquet files -> `ImageSet`; decoded once, memory-mapped from then on."""

from __future__ import annotations

import os
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import torch

from episodes.datasets import cifar10, class_folders, parquet
from episodes.datasets.digits import load_digits
from episodes.datasets.superclasses import groups_of
from episodes.datasets.image_cache import Entry, decoded
from episodes.datasets.locations import cache_root, user_cache
from episodes.datasets.source import Source, few
from episodes.errors import NotHere, UserError
from episodes.types import ImageSet, TrainTest

__all__ = ["available", "cache_root", "load"]

LARGEST_IMAGE_SIZE = 1024
_KINDS = (
    (cifar10, "CIFAR-10 batches"),
    (parquet, "Parquet files"),
    (class_folders, "class folders"),
)


def load(
    data: str,
    *,
    image_size: int | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> TrainTest:
    """The train and test parts of `digits`, a path, or a name under `root`; `cifar10` may be downloaded.

    image_size: side of the square images in pixels. None keeps one common square size up to 224, and
        otherwise scales to 64; `digits` are 32.
    root: where names are looked up; None for $FEWSHOT_DATA, or `data` in the user's cache folder.
    cache: where decoded images are kept; None for $FEWSHOT_CACHE, or the user's cache folder.
    progress: tell on stderr while images are decoded, which happens on the first load alone.

    Images are upright, RGB, on white where transparent, their middle square. The notes, of both parts, are on
    `train`. UserError where data is missing, broken or has fewer than two classes.
    """
    if image_size is not None and not 4 <= image_size <= LARGEST_IMAGE_SIZE:
        raise UserError(
            f"The image size {image_size} is not between 4 and {LARGEST_IMAGE_SIZE} pixels."
        )
    if data == "digits" and not Path(data).is_dir():  # a path comes before a name
        return load_digits(image_size or 32)
    place = _place(data, root or _data_root())
    name = "cifar10" if data == "cifar10" else place.stem if place.is_file() else place.name
    source = _source(place, name)
    entries = decoded(source, image_size, cache or cache_root(), progress)
    return _assembled(source, place if place.is_dir() else place.parent, *entries)


def available(root: Path | None = None) -> list[tuple[str, str]]:
    """Names that `load` takes and a line about each: digits, CIFAR-10, and every data set under `root`."""
    base = root or _data_root()
    found = {"digits": "1,797 handwritten digits of 8x8 pixels, installed with scikit-learn"}
    found["cifar10"] = "60,000 images of 32x32 pixels in 10 classes, downloaded on first use"
    for place in sorted(base.iterdir()) if base.is_dir() else []:
        if place.is_dir() and not place.name.startswith(".") and (kind := _kind(place)):
            found["cifar10" if place.name == cifar10.BATCHES else place.name] = f"{kind} in {place}"
    return list(found.items())


def _data_root() -> Path:
    named = os.environ.get("FEWSHOT_DATA")
    return Path(named).expanduser() if named else user_cache() / "data"


def _place(data: str, root: Path) -> Path:
    path = Path(data).expanduser()
    candidates = [path, root / data] if data.strip() else []
    if data == "cifar10":
        candidates.append(root / cifar10.BATCHES)
    for candidate in candidates:
        if candidate.exists():
            return Path(os.path.abspath(candidate))
    if data == "cifar10":
        return cifar10.download(root)
    near = get_close_matches(data, [name for name, _ in available(root)], n=3)
    hint = f" Did you mean {', '.join(near)}?" if near else ""
    raise NotHere(
        f"There is no data set {data!r}: it is neither a path nor in {root}.{hint} Give the path of a folder "
        "of images, or set FEWSHOT_DATA to the folder that holds it; without a network, digits always works."
    )


def _source(place: Path, name: str) -> Source:
    try:
        if place.is_file() and place.suffix != ".parquet":
            raise UserError(f"{place} is neither a folder nor a Parquet file.")
        kinds = (parquet,) if place.is_file() else (cifar10, parquet, class_folders)
        for kind in kinds:
            if source := kind.source(place, name):
                return source
    except OSError as error:
        raise UserError(f"{error.filename or place} cannot be read: {error.strerror}.") from error
    raise UserError(
        f"{place} holds no class folders with images, no Parquet files and no {cifar10.BATCHES}."
    )


def _kind(place: Path) -> str | None:
    for kind, words in _KINDS:
        try:
            if kind.source(place, place.name):
                return words
        except (UserError, OSError):
            continue
    return None


def _assembled(source: Source, place: Path, train: Entry, test: Entry) -> TrainTest:
    """Both parts under one list of classes: those of which at least one image was decoded."""
    in_train, in_test = (
        np.bincount(part.labels, minlength=len(part.classes)) > 0 for part in (train, test)
    )
    names = np.array(train.classes)
    skip_notes = _skip_notes(source.unit, train, test)
    skipped = f" It {skip_notes[0]}." if skip_notes else ""
    if unknown := list(names[in_test & ~in_train]):
        raise UserError(
            f"{place} has no training images of {few(unknown)}, but test images.{skipped}"
        )
    if (count := in_train.sum()) < 2:
        raise UserError(
            f"{place} needs images of two classes or more, but has {count or 'none'}.{skipped}"
        )
    if not len(test.labels):
        raise UserError(f"{place} has no test images.{skipped}")
    classes = tuple(str(name) for name in names[in_train])
    groups = groups_of(place, classes)
    notes = [*source.notes, *skip_notes]
    if train.jpeg and source.name == "cifar10":
        notes.append("these CIFAR-10 images are a JPEG re-encoding, not the original pixels")
    if gone := list(names[~in_train]):
        notes.append(f"no images of {few(gone)}, so no such class")
    if untested := list(names[in_train & ~in_test]):
        notes.append(f"no test images of {few(untested)}")
    number = (
        np.cumsum(in_train) - 1
    )  # [n_named] from the source's labels to those of the classes kept

    def part(entry: Entry, notes: list[str]) -> ImageSet:
        return ImageSet(
            name=source.name,
            images=torch.from_numpy(entry.images),
            labels=torch.from_numpy(number[entry.labels]),
            classes=classes,
            fingerprint=entry.fingerprint,
            groups=groups,
            notes=tuple(notes),
        )

    return TrainTest(part(train, notes), part(test, []))


def _skip_notes(unit: str, *entries: Entry) -> list[str]:
    skipped = [f"{name} ({reason})" for entry in entries for name, reason in entry.skipped]
    total = sum(entry.total for entry in entries)
    return [f"skipped {len(skipped)} of {total:,} {unit}: {few(skipped)}"] if skipped else []
