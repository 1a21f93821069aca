"""Load a data set by name or path: CIFAR-10, digits, Omniglot, class folders or Parquet files."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from episodes.datasets import (
    cifar10,
    copy_notes,
    omniglot,
    separate_test,
    torchvision_named,
    unreadable,
)
from episodes.datasets.arrays import cifar_files, idx, npz
from episodes.datasets.assembling import assembled
from episodes.datasets.decoding import image_sizes
from episodes.datasets.decoding.image_cache import decoded, parts_of, signature
from episodes.datasets.digits import load_digits
from episodes.datasets.folders import class_folders, zip_folders
from episodes.datasets.locations import cache_root, data_root
from episodes.datasets.names import native
from episodes.datasets.source import TEST_SHARE, Content, LoadOptions, Part, Source, chunked
from episodes.datasets.tables import arrow_folders, csv_labels, hub_datasets, parquet
from episodes.errors import NoClasses, NotHere, UserError
from episodes.types import Fit, ImageSet, TrainTest

LARGEST_IMAGE_SIZE = 1024  # pixels
KNOWN_SIDES = {"digits": 8, "cifar10": 32}  # pixels

# What each kind of source is called, and the function that locates it in a folder; in the order in
# which they are tried.
_KINDS: dict[str, Callable[[Path, str], Source | None]] = {
    "CIFAR files": cifar_files.source,
    "idx files": idx.source,
    "Parquet files": parquet.source,
    "Arrow files": arrow_folders.source,
    "images and labels in a CSV file": csv_labels.source,
    "arrays": npz.source,
    "class folders": class_folders.source,
}
# The functions that also take the path of one file; each returns None if the file is not its kind.
_OF_FILES: tuple[Callable[[Path, str], Source | None], ...] = (
    parquet.source,
    arrow_folders.source,
    csv_labels.source,
    cifar_files.source,
    idx.source,
    npz.source,
    zip_folders.source,
)
# Prefix of a name, as in torchvision:Flowers102 -> the function that locates the data set, given
# the rest of the name and the folder in which names are looked up.
_CATALOGUES: dict[str, Callable[[str, Path], Source]] = {
    "torchvision": torchvision_named.source,
    "hf": hub_datasets.source,
}


def load(
    data: str,
    *,
    image_size: int | None = None,
    input_size: int = 0,
    fit: Fit = "crop",
    test: float | str | None = TEST_SHARE,
    group_by: str | None = None,
    root: Path | None = None,
    cache: Path | None = None,
    progress: bool = False,
) -> TrainTest:
    """Load the training and the test set of a data set.

    Images are upright, RGB, on white where they are transparent, and square. They are decoded on
    the first load and memory-mapped afterwards.

    Args:
        data: a path, "digits", a part of Omniglot (see `omniglot`), or a name in `root`. "cifar10"
            and the two large parts of Omniglot are downloaded if they are not there.
        image_size: side of the square images in pixels. None for the common size of square images,
            at most 224 or `input_size`, and otherwise for `input_size`, at least 64. The default of
            "digits" and of Omniglot is 32.
        input_size: side in pixels that the backbone needs; 0 without one.
        fit: how an image that is not square becomes square.
        test: what to test on: the path or name of other images, whose test part is used if they
            have one; or, for a data set without a test part, a fixed, stratified share of its
            images, or None to return the whole data set as both parts.
        group_by: what keeps images on one side of a split: "subfolder", "prefix" or the name of a
            column of the source; None if each image is on its own.
        root: folder in which names are looked up; None for $FEWSHOT_DATA, or `data` in the user's
            cache folder.
        cache: folder for decoded images; None for $FEWSHOT_CACHE, or the user's cache folder.
        progress: whether to report progress while images are decoded.

    Returns:
        The two sets. The notes of both are on `train`.

    Raises:
        UserError: the data is missing or broken, or has fewer than two classes.
    """
    if image_size is not None and not 4 <= image_size <= LARGEST_IMAGE_SIZE:
        raise UserError(
            f"The image size {image_size} is not between 4 and {LARGEST_IMAGE_SIZE} pixels."
        )
    _check_test(test)
    root, cache = root or data_root(), cache or cache_root()
    share = test if isinstance(test, float) else None
    if data == "digits" and not Path(data).is_dir():  # a folder of that name takes precedence
        if isinstance(test, str):
            raise UserError("digits has a test part of its own: leave out the other test images.")
        if group_by is not None:
            raise UserError("digits has no files or columns to group by: leave out --group-by.")
        return load_digits(image_size or 32)
    source, place = located(data, root)
    if isinstance(test, str):
        source = separate_test.joined(source, *located(test, root))
    options = LoadOptions(image_size, input_size, fit, share, group_by)
    entries = decoded(source, options, cache, progress)
    sets = assembled(source, place, entries, options)
    split = signature(source, LoadOptions(None, 0, "crop", share, group_by))
    file = copy_notes.file_of(entries, cache, split)
    return copy_notes.with_copies(sets, entries, file, lambda: parts_of(source, options))


def _check_test(test: float | str | None) -> None:
    if isinstance(test, float) and not 0 < test < 1:
        raise UserError(f"the share of test images is {test:g}, which is not between 0 and 1.")


def located(data: str, root: Path) -> tuple[Source, Path]:
    """Return the source of a name or path, and its folder."""
    data = native(data)
    if data in omniglot.DESCRIPTIONS and not _is_own_folder(data):
        return omniglot.source(data, root), root / omniglot.FOLDERS[0]
    if data == "digits" and not Path(data).is_dir():
        raise UserError("digits has no files: only data sets with files can be test images.")
    catalogue, _, rest = data.partition(":")
    if catalogue in _CATALOGUES and not os.path.exists(data):
        return _CATALOGUES[catalogue](rest, root), root
    place = _locate(data, root)
    name = place.stem if place.is_file() else place.name
    source = _source(place, data if data == "cifar10" else name)
    return source, place if place.is_dir() else place.parent


def _is_own_folder(data: str) -> bool:
    """Return whether the name of a part of Omniglot is that of a folder with other images."""
    return Path(data).is_dir() and not omniglot.is_here(data, Path())


def contents(data: str, root: Path | None = None) -> Content:
    """Return the images of a data set before they are decoded; a single class is enough.

    Args:
        data: a path or name, as for `load`.
        root: folder in which names are looked up, as for `load`.

    Raises:
        UserError: the data is missing or broken.
    """
    if data == "digits" and not Path(data).is_dir():
        sets = load_digits()
        train, test = map(of_pixels, sets)
        return Content(sets.train.classes, train, test)
    return located(data, root or data_root())[0].read()


def of_pixels(images: ImageSet) -> Part:
    """Return decoded images as a part that can be decoded to another size."""
    pixels = images.images.permute(0, 2, 3, 1).expand(-1, -1, -1, 3).contiguous().numpy()
    return Part(images.labels.numpy(), str, lambda: chunked(pixels))


def has_test_part(data: str, root: Path | None = None) -> bool:
    """Return whether a data set has a test part of its own, without reading its images.

    Args:
        data: a path or name, as for `load`.
        root: folder in which names are looked up, as for `load`.

    Raises:
        UserError: the data is missing or broken.
    """
    if data == "digits" and not Path(data).is_dir():
        return True
    return located(data, root or data_root())[0].has_test


def natural_side(data: str, root: Path | None = None) -> int:
    """Return the usual shorter side of the images of a data set in pixels, from a few of them.

    Args:
        data: a path or name, as for `load`.
        root: folder in which names are looked up, as for `load`.

    Returns:
        The median, or the side at which the data set is always decoded; 0 if none can be read.

    Raises:
        UserError: the data is missing or broken.
    """
    if data in KNOWN_SIDES and not Path(data).is_dir():
        return KNOWN_SIDES[data]
    source = located(data, root or data_root())[0]
    return source.default_size or image_sizes.median_side(source.read().train)


def folders_outside(data: str, root: Path | None = None) -> list[str]:
    """Return the folders outside a data set that hold images which its tables name.

    Args:
        data: a path or name, as for `load`.
        root: folder in which names are looked up, as for `load`.
    """
    if data == "digits" and not Path(data).is_dir():
        return []
    source, place = located(data, root or data_root())
    names = {os.path.dirname(name) for name, _ in source.files if name.startswith("../")}
    return sorted(os.path.normpath(place / name) for name in names)


def available(root: Path | None = None) -> list[tuple[str, str]]:
    """List the names that `load` accepts, each with one line of description.

    Args:
        root: folder in which names are looked up; None for $FEWSHOT_DATA, or `data` in the user's
            cache folder.

    Returns:
        (name, description) of digits, CIFAR-10, the parts of Omniglot that are here, and
        every other data set in `root`.
    """
    base = root or data_root()
    descriptions = {
        "digits": "1,797 handwritten digits of 8x8 pixels, installed with scikit-learn",
        "cifar10": "60,000 images of 32x32 pixels in 10 classes, downloaded on first use",
    }
    for name, description in omniglot.DESCRIPTIONS.items():
        if omniglot.is_here(name, base):
            descriptions[name] = description
    for name in torchvision_named.downloaded(base):
        descriptions[f"torchvision:{name}"] = f"{name} of torchvision, downloaded"
    for place in sorted(base.iterdir()) if base.is_dir() else []:
        is_hidden = place.name.startswith(".") or place.name == torchvision_named.FOLDER
        kind = None if is_hidden else _kind(place)
        if kind:
            name = "cifar10" if place.name == cifar10.BATCHES else place.name
            descriptions[name] = f"{kind} in {place}"
    return list(descriptions.items())


def _locate(data: str, root: Path) -> Path:
    """Return the path of a data set that is given as a path, or as a name in `root`."""
    candidates = [Path(os.path.expanduser(data)), root / data] if data.strip() else []
    if data == "cifar10":
        candidates.append(root / cifar10.BATCHES)
    for candidate in candidates:
        if os.path.exists(candidate):
            return Path(os.path.abspath(candidate))
    if data == "cifar10":
        return cifar10.download(root)
    suggestions = torchvision_named.names_like(data)
    suggestions += get_close_matches(data, [name for name, _ in available(root)], n=3)
    hint = f" Did you mean {', '.join(suggestions)}?" if suggestions else ""
    raise NotHere(
        f"There is no data set {data!r}: it is neither a path nor a name in {root}.{hint} Give the "
        "path of a folder or file, or set FEWSHOT_DATA to the folder that holds the data set; "
        "digits always works, even without an internet connection."
    )


def _source(place: Path, name: str) -> Source:
    """Return the source at a path, of whichever kind it is."""
    try:
        for locate in _OF_FILES if place.is_file() else _KINDS.values():
            if source := locate(place, name):
                return source
    except OSError as error:
        raise UserError(
            f"{error.filename or place} cannot be read: {error.strerror}; check its permissions."
        ) from error
    if place.is_file():
        raise UserError(f"{place} is {unreadable.reason(place)}.")
    archives = sorted(path for path in place.iterdir() if unreadable.is_archive(path))
    zips = [path for path in archives if path.suffix.lower() == ".zip"]
    hint = f", or give {zips[0]}" if zips else f", or unpack {archives[0]}" if archives else ""
    raise NoClasses(
        f"{place} has no class folders with images and no file of a format that can be read "
        f"(docs/data.md): make one folder of images per class in it{hint}."
    )


def _kind(place: Path) -> str | None:
    """Return what the source at a path is called, or None if there is none."""
    files = {"ZIP of class folders": zip_folders.source, "arrays": npz.source}
    kinds = files if place.is_file() else _KINDS
    for kind, locate in kinds.items():
        try:
            if locate(place, place.name):
                return kind
        except (UserError, OSError):
            continue
    return None
