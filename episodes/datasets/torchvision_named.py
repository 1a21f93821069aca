"""Data sets of torchvision by name, such as torchvision:Flowers102 or torchvision:EMNIST:letters.

They are downloaded by torchvision, which verifies their checksums, to <root>/torchvision/NAME.

Source:
    https://docs.pytorch.org/vision/stable/datasets.html
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.datasets import network
from episodes.datasets.arrays.labels import numbered
from episodes.datasets.known_sets import may_be_mirrored
from episodes.datasets.source import CHUNK, Content, Part, Payload, Source
from episodes.datasets.stamps import stamp
from episodes.errors import NotHere, UserError

FOLDER = "torchvision"

_Arguments = Mapping[str, object]


class _Named(NamedTuple):
    """How a data set of torchvision is built.

    Attributes:
        train: arguments of the training part, or of the whole.
        test: arguments of the test part; None if there is none.
        unused: a part that is not used; empty if there is none.
        variant: argument that chooses between versions of the data set; empty if there are none.
        variants: its values, the default first.
    """

    train: _Arguments
    test: _Arguments | None
    unused: str = ""
    variant: str = ""
    variants: tuple[str, ...] = ()


_SPLIT = _Named({"split": "train"}, {"split": "test"})
_TRAIN = _Named({"train": True}, {"train": False})
_TRAINVAL = _Named({"split": "trainval"}, {"split": "test"})
_VALIDATED = _Named({"split": "train"}, {"split": "val"})
_WHOLE = _Named({}, None)
_EMNIST = ("balanced", "byclass", "bymerge", "letters", "digits", "mnist")
_NAMED = {
    **dict.fromkeys(("CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "KMNIST"), _TRAIN),
    **dict.fromkeys(("QMNIST", "USPS"), _TRAIN),
    **dict.fromkeys(("Food101", "StanfordCars", "GTSRB", "FER2013"), _SPLIT),
    **dict.fromkeys(("SUN397", "EuroSAT", "Caltech101", "Caltech256", "SEMEION"), _WHOLE),
    **dict.fromkeys(("Flowers102", "DTD", "PCAM", "RenderedSST2"), _SPLIT._replace(unused="val")),
    **dict.fromkeys(("CLEVRClassification", "ImageNet"), _VALIDATED),
    "Country211": _SPLIT._replace(unused="valid"),
    "SVHN": _SPLIT._replace(unused="extra"),
    "STL10": _SPLIT._replace(unused="unlabeled"),
    "EMNIST": _TRAIN._replace(variant="split", variants=_EMNIST),
    "FGVCAircraft": _TRAINVAL._replace(
        variant="annotation_level", variants=("variant", "family", "manufacturer")
    ),
    "OxfordIIITPet": _TRAINVAL._replace(
        variant="target_types", variants=("category", "binary-category")
    ),
    "Imagenette": _VALIDATED._replace(variant="size", variants=("160px", "320px", "full")),
    "Places365": _Named(
        {"split": "train-standard", "small": True}, {"split": "val", "small": True}
    ),
}


def source(name: str, root: Path) -> Source:
    """Locate a data set of torchvision, and download it if it is not here.

    Args:
        name: name of the class in `torchvision.datasets`, with `:` and a version if it has several.
        root: folder of the data sets.

    Raises:
        UserError: there is no such data set, or it has no class for each image.
        NotHere: it cannot be downloaded.
    """
    dataset, _, variant = name.partition(":")
    named = _known(name, dataset, variant)
    common: dict[str, object] = {}
    if named.variant:
        common[named.variant] = variant or named.variants[0]
        name = f"{dataset}-{variant or named.variants[0]}"
    arguments = [{**part, **common} for part in (named.train, named.test) if part is not None]
    folder = root / FOLDER / name
    if not folder.is_dir():
        _download(dataset, name, arguments, folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = tuple((path.relative_to(folder).as_posix(), stamp(path.stat())) for path in paths)
    notes = [f"the part {named.unused} of {name} is not used"] if named.unused else []
    return Source(
        name,
        "images",
        files,
        tuple(notes),
        lambda: _read(dataset, arguments, folder),
        mirror=may_be_mirrored(name),
        has_test=named.test is not None,
    )


def downloaded(root: Path) -> list[str]:
    """Return the names of the data sets that are in a folder, as `source` has stored them."""
    folder = root / FOLDER
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name.replace("-", ":", 1) for name in names if name.partition("-")[0] in _NAMED]


def names_like(data: str) -> list[str]:
    """Return the name of a data set of torchvision that is spelt alike, such as `cifar-100`."""
    plain = re.sub(r"[\W_]", "", data).lower()
    return [f"torchvision:{name}" for name in _NAMED if name.lower() == plain]


def _known(name: str, dataset: str, variant: str) -> _Named:
    named = _NAMED.get(dataset)
    if named is None:
        usual = {known.lower(): known for known in _NAMED}
        close = get_close_matches(dataset.lower(), usual, n=1)
        hint = f" Did you mean torchvision:{usual[close[0]]}?" if close else ""
        raise UserError(
            f"torchvision:{name} is not a data set with one class for each image.{hint} There are "
            f"{', '.join(sorted(_NAMED))}."
        )
    if variant and variant not in named.variants:
        choices = f"one of {', '.join(named.variants)}" if named.variants else "none"
        raise UserError(f"torchvision:{name} has no version {variant!r}, expected {choices}.")
    return named


def _built(dataset: str, folder: Path, arguments: _Arguments, download: bool) -> Any:
    """Return one part, whose images are paths if torchvision would open files, or pixels."""
    import torchvision.datasets

    kind = getattr(torchvision.datasets, dataset)
    parameters = inspect.signature(kind.__init__).parameters
    transform = _payload_of_emnist if dataset == "EMNIST" else _payload
    given: dict[str, object] = {**arguments, "transform": transform}
    # ImageNet and FER2013 have no download; the subclasses of MNIST pass the argument on.
    if "download" in parameters or ("kwargs" in parameters and dataset != "ImageNet"):
        given["download"] = download
    if "loader" in parameters:
        given["loader"] = Path
    return kind(str(folder), **given)


def _download(dataset: str, name: str, arguments: list[dict[str, object]], folder: Path) -> None:
    """Download all parts while other processes wait; an unfinished download is never used.

    Raises:
        NotHere: the download failed.
    """
    from filelock import FileLock

    unfinished = folder.parent / f".{name}.partial"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.parent / f".{name}.lock"), network.downloading():
            if folder.is_dir():
                return
            logging.getLogger("fewshot").warning("downloading %s; this happens once", name)
            shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
            unfinished.mkdir()
            for part in arguments:
                _built(dataset, unfinished, part, download=True)
            os.rename(unfinished, folder)
    except Exception as error:  # torchvision and what it downloads with raise errors of many types
        shutil.rmtree(unfinished, ignore_errors=True)
        raise NotHere(
            f"{name} of torchvision is not in {folder}, and its download failed ({_line(error)}). "
            f"Connect to a network, or put the files that torchvision expects into {folder}."
        ) from error


def _line(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 300).rstrip(". ")


def _read(dataset: str, arguments: list[dict[str, object]], folder: Path) -> Content:
    try:
        parts = [_built(dataset, folder, part, download=False) for part in arguments]
        labels = [np.array([int(part[i][1]) for i in range(len(part))]) for part in parts]
    except Exception as error:  # as above
        raise UserError(
            f"{folder} is not what torchvision expects of {dataset} ({_line(error)}): remove it, "
            "so that it is downloaded again, or correct it."
        ) from error
    last = max(int(own.max(initial=0)) for own in labels)
    classes, numbers = numbered(labels, _names(parts[0], last))
    own_parts = [_part(part, own, folder) for part, own in zip(parts, numbers, strict=True)]
    return Content(classes, own_parts[0], own_parts[1] if len(parts) > 1 else None)


def _names(part: Any, last: int) -> list[str] | None:
    """Return the class names that torchvision has; None if there are none for all labels."""
    names = getattr(part, "classes", None) or getattr(part, "categories", None) or []
    plain = [name if isinstance(name, str) else ", ".join(name) for name in names]
    return plain if len(plain) > last else None


def _part(dataset: Any, labels: np.ndarray, folder: Path) -> Part:
    def payloads(start: int) -> list[Payload]:
        return [dataset[i][0] for i in range(start, min(start + CHUNK, len(labels)))]

    def chunks() -> Iterator[list[Payload]]:
        return (payloads(start) for start in range(0, len(labels), CHUNK))

    def name_of(i: int) -> str:
        payload = dataset[i][0]
        return payload.relative_to(folder).as_posix() if isinstance(payload, Path) else f"row {i}"

    return Part(labels, name_of, chunks)


def _payload(image: Any) -> Payload:
    """Return the path of an image that is not read yet, or its pixels."""
    if isinstance(image, Path):
        return image
    if path := getattr(image, "filename", ""):
        image.close()
        return Path(path)
    return np.asarray(image.convert("RGB"))


def _payload_of_emnist(image: Any) -> Payload:
    """Return the pixels of an image that its file stores column after column."""
    return np.asarray(image.convert("RGB")).swapaxes(0, 1)
