"""Omniglot: 1,623 handwritten characters of 50 alphabets, 20 drawings of each.

The data sets below read the authors' zip files, or folders that were extracted from them, in
`omniglot` or in torchvision's `omniglot-py`. A class is ALPHABET/CHARACTER, and the alphabets are
the superclasses. The drawings, black ink on white paper of 105x105 pixels, are inverted: ink is
white (255) on black (0), so that whatever an augmentation uncovers looks like paper.

Source:
    B. Lake, R. Salakhutdinov, J. Tenenbaum, Human-level concept learning through probabilistic
    program induction, Science 350, 2015; https://github.com/brendenlake/omniglot (MIT licence).
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import re
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np

from episodes.datasets import drafts, network
from episodes.datasets.source import CHUNK, Content, Part, Payload, Source
from episodes.datasets.stamps import Stamp, stamp
from episodes.errors import NotHere, UserError

IMAGE_SIZE = 32  # pixels; our own networks for small images take this size without resizing
FOLDERS = ("omniglot", "omniglot-py")  # the second is torchvision's
RUNS = "omniglot-runs"
URL = "https://github.com/brendenlake/omniglot/raw/master/python"
DESCRIPTIONS = {
    "omniglot": "1,623 handwritten characters of 50 alphabets, 20 drawings of each",
    "omniglot-background": "964 characters of 30 alphabets of Omniglot, to learn from",
    "omniglot-evaluation": "659 characters of 20 other alphabets of Omniglot",
    "omniglot-small1": "136 characters of 5 alphabets of Omniglot: the first minimal background",
    "omniglot-small2": "156 characters of 5 alphabets of Omniglot: the second minimal background",
    RUNS: "the authors' 20 one-shot runs, 20 characters of one alphabet each",
}
_ARCHIVES = {
    "omniglot": ("images_background", "images_evaluation"),
    "omniglot-background": ("images_background",),
    "omniglot-evaluation": ("images_evaluation",),
    "omniglot-small1": ("images_background_small1",),
    "omniglot-small2": ("images_background_small2",),
    RUNS: ("all_runs",),
}
_OF_TORCHVISION = ("images_background", "images_evaluation")
_DRAWING = re.compile(r"([^/]+)/(character\d+)/\w+\.png$")


class _Archive:
    """The files of a zip file, or of the folder that was extracted from it.

    Args:
        path: the zip file or the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def files(self) -> tuple[tuple[str, Stamp], ...]:
        """Relative path and stamp of the files that decide the content."""
        if self.path.is_file():
            return ((self.path.name, stamp(self.path.stat())),)
        paths = sorted(path for path in self.path.rglob("*") if path.is_file())
        return tuple((path.relative_to(self.path).as_posix(), stamp(path.stat())) for path in paths)

    def names(self) -> list[str]:
        """Return the names of all files, sorted.

        Raises:
            UserError: the zip file is damaged.
        """
        if self.path.is_dir():
            return [name for name, _ in self.files]
        with self._reading(), zipfile.ZipFile(self.path) as archive:
            return sorted(archive.namelist())

    def contents(self, names: list[str]) -> Iterator[bytes]:
        """Yield the bytes of some files.

        Raises:
            UserError: the zip file is damaged.
        """
        with self._reading():
            if self.path.is_dir():
                yield from ((self.path / name).read_bytes() for name in names)
                return
            with zipfile.ZipFile(self.path) as archive:
                yield from (archive.read(name) for name in names)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        try:
            yield
        except (OSError, KeyError, zipfile.BadZipFile, NotImplementedError) as error:
            raise UserError(
                f"{self.path} cannot be read ({error}): copy it again from {URL}."
            ) from error


def source(name: str, root: Path) -> Source:
    """Locate one of the data sets of `DESCRIPTIONS`.

    Args:
        name: name of the data set.
        root: folder that holds `omniglot` or `omniglot-py`.

    Raises:
        NotHere: a file is missing and cannot be downloaded.
    """
    archives = [_Archive(_located(stem, root)) for stem in _ARCHIVES[name]]
    files = tuple(file for archive in archives for file in archive.files)
    read: Callable[[], Content] = lambda: _drawings(archives)  # noqa: E731
    notes: list[str] = []
    if name == RUNS:
        read = lambda: _runs(archives[0])  # noqa: E731
        notes = [
            "a superclass is a run: a task of 20 classes whose training images are its support "
            "and whose test images are its queries"
        ]
    return Source(
        name,
        "drawings",
        files,
        tuple(notes),
        read,
        mirror=False,
        superclass_in_name=True,
        has_test=name == RUNS,
        default_size=IMAGE_SIZE,
    )


def is_here(name: str, root: Path) -> bool:
    """Return whether all files of a data set are in a folder."""
    return all(_path(stem, root) is not None for stem in _ARCHIVES[name])


def _path(stem: str, root: Path) -> Path | None:
    """Return the path of a zip file, or of its extracted folder; None if there is none."""
    for folder in FOLDERS:
        for path in (root / folder / f"{stem}.zip", root / folder / stem):
            if path.exists():
                return path
    return None


def _located(stem: str, root: Path) -> Path:
    path = _path(stem, root)
    if path is None and stem in _OF_TORCHVISION:
        _download(stem, root)
        path = _path(stem, root)
    if path is None:
        raise NotHere(
            f"{stem}.zip of Omniglot is not in {root / FOLDERS[0]}: copy it there from "
            f"{URL}/{stem}.zip, or set FEWSHOT_DATA to the folder that holds omniglot/."
        )
    return path


def _download(stem: str, root: Path) -> None:
    """Download one of torchvision's two zip files to <root>/omniglot-py.

    One process downloads while others wait. An unfinished download is never used.

    Raises:
        NotHere: the download failed.
    """
    from filelock import FileLock
    from torchvision.datasets import Omniglot

    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".omniglot.lock"), drafts.draft_folder(root) as unfinished:
            if _path(stem, root) is not None:
                return
            logging.getLogger("fewshot").warning("downloading %s.zip of Omniglot, once", stem)
            with network.downloading():
                Omniglot(str(unfinished), background=stem == "images_background", download=True)
            folder = root / FOLDERS[1]
            folder.mkdir(exist_ok=True)
            for name in (stem, f"{stem}.zip"):  # either is enough for the data set
                os.replace(unfinished / FOLDERS[1] / name, folder / name)
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise NotHere(
            f"{stem}.zip of Omniglot is not in {root / FOLDERS[0]}, and its download failed "
            f"({error}). Copy it there from {URL}/{stem}.zip, or set FEWSHOT_DATA to the folder "
            "that holds omniglot/."
        ) from error


def _drawings(archives: list[_Archive]) -> Content:
    """List the drawings of alphabets."""
    drawings: list[tuple[_Archive, str]] = []
    class_names: list[str] = []
    for archive in archives:
        for name in archive.names():
            if match := _DRAWING.search(name):
                drawings.append((archive, name))
                class_names.append(f"{match[1]}/{match[2]}")
    if not drawings:
        raise UserError(
            f"{archives[0].path} holds no ALPHABET/CHARACTER/DRAWING.png: copy it again from {URL}."
        )
    classes, labels = np.unique(class_names, return_inverse=True)
    return Content(tuple(map(str, classes)), _part(drawings, labels), None)


def _runs(archive: _Archive) -> Content:
    """List the images of the one-shot runs: of each class, one to learn from and one to classify.

    A line of RUN/class_labels.txt pairs a test image with the training image of its class.
    """
    listings = [name for name in archive.names() if name.endswith("class_labels.txt")]
    classes: list[str] = []
    train: list[tuple[_Archive, str]] = []
    test: list[tuple[_Archive, str]] = []
    for listing, content in zip(listings, archive.contents(listings), strict=True):
        prefix = listing[: listing.index("run")]
        pairs = [line.split() for line in content.decode().splitlines() if line.strip()]
        for test_name, train_name in sorted(pairs, key=lambda pair: pair[1]):
            run, _, file = train_name.split("/")
            classes.append(f"{run}/{Path(file).stem}")
            train.append((archive, prefix + train_name))
            test.append((archive, prefix + test_name))
    if not classes:
        raise UserError(f"{archive.path} holds no class_labels.txt: copy it again from {URL}.")
    labels = np.arange(len(classes))
    return Content(tuple(classes), _part(train, labels), _part(test, labels))


def _part(drawings: list[tuple[_Archive, str]], labels: np.ndarray) -> Part:
    def chunks() -> Iterator[list[Payload]]:
        for start in range(0, len(drawings), CHUNK):
            yield list(_pixels(drawings[start : start + CHUNK]))

    return Part(labels.astype(np.int64), lambda i: drawings[i][1], chunks)


def _pixels(drawings: list[tuple[_Archive, str]]) -> Iterator[np.ndarray]:
    """Yield drawings as white ink on black, uint8 [h, w, 3]."""
    from PIL import Image

    for archive in dict.fromkeys(archive for archive, _ in drawings):
        names = [name for own, name in drawings if own is archive]
        for name, content in zip(names, archive.contents(names), strict=True):
            try:
                with Image.open(BytesIO(content)) as image:
                    grey = np.asarray(image.convert("L"))
            except OSError as error:
                raise UserError(
                    f"{archive.path}: {name} is not an image ({error}): copy the file "
                    f"again from {URL}."
                ) from error
            yield np.repeat(255 - grey[:, :, None], 3, axis=2)
