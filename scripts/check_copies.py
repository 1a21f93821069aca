"""Measure the search for copies: on the copies that are known in CIFAR-10, and on planted ones.

python -m scripts.check_copies     # measure what has no record yet

A pair of CIFAR-10 is named by the class and the rank within its class of both images. The records
are in reports/records/check; scripts.check_copies_tables makes tables of them.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
import torch
from PIL import Image

from episodes import datasets
from fewshot import io
from fewshot.checks import near_copies, reading
from fewshot.checks.inspected import Inspected
from scripts.pages import RECORDS, ROOT

FOLDER = RECORDS / "check"
LIST = ROOT / "tests" / "fewshot" / "checks" / "cifar10_copies.json"
SAMPLE = 100  # pairs to inspect
PLANTED = 100  # copies of each change
ORIGINALS = {"imagenette160": 600, "cifar10": 5000}  # training images among which they are
DRAWINGS = ("digits", "omniglot-small1")
Name = tuple[str, int]  # class, and rank within the class
Change = Callable[[Image.Image], Image.Image]


def _as_jpeg(image: Image.Image) -> Image.Image:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=70)
    return Image.open(buffer).convert("RGB")


def _cropped(image: Image.Image) -> Image.Image:
    """Return an image without a tenth of its width and of its height, at its old size."""
    width, height = image.size
    box = (0, height / 20, width * 9 / 10, height * 19 / 20)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


CHANGES: dict[str, Change] = {
    "JPEG, quality 70": _as_jpeg,
    "half the size": lambda image: image.resize(
        (image.width // 2, image.height // 2), Image.Resampling.BICUBIC
    ),
    "a tenth cropped off": _cropped,
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "brighter, less contrast": lambda image: image.point(lambda v: min(255, int(v * 0.8 + 50))),
}


class Listed(TypedDict):
    """A listed pair: whether its first image is reported, and as a copy of the second one."""

    kind: str
    chose_threshold: bool
    reported: bool
    as_this_pair: bool


class Known(TypedDict):
    """What is reported of CIFAR-10; images and pairs beyond the list are those that it lacks."""

    in_training: list[Listed]
    within_test: list[Listed]
    test_images: int
    test_images_beyond: int
    pairs: int
    pairs_within_test: int
    pairs_within_test_beyond: int
    sample: list[tuple[Name, Name]]


class Planted(TypedDict):
    """How many planted copies are reported by change, and how many other pairs."""

    data: str
    originals: int
    reported: dict[str, int]
    others: list[tuple[str, str]]


class Drawings(TypedDict):
    """What is reported among drawings, without and with their classes."""

    data: str
    images: int
    equal: int
    pairs: int
    pairs_without_classes: int


class Seconds(TypedDict):
    """Seconds of one thread."""

    images: str
    seconds: float


class Positions(NamedTuple):
    """The images of a data set by class and rank, and back."""

    of_name: dict[Name, int]
    names: list[Name]


def positions(part: Inspected) -> Positions:
    """Return the positions of the images of a part by their names."""
    counts = dict.fromkeys(part.classes, 0)
    names: list[Name] = []
    for label in part.labels.tolist():
        name = part.classes[label]
        names.append((name, counts[name]))
        counts[name] += 1
    return Positions({name: position for position, name in enumerate(names)}, names)


def known_copies(train: Inspected, test: Inspected) -> Known:
    """Return what is reported of CIFAR-10."""
    listed = io.read_json(LIST)
    of_train, of_test = positions(train), positions(test)
    links = near_copies.links([train, test]).pairs
    across = links[(links[:, 0] < len(train.labels)) & (links[:, 1] >= len(train.labels))]
    across = across[:, ::-1] - np.array([len(train.labels), 0])  # the test images first
    own = near_copies.links([test]).pairs
    rows = _compared(listed["test and training"], across, of_test, of_train)
    rows_within = _compared(
        listed["within the test set"], np.concatenate([own, own[:, ::-1]]), of_test, of_test
    )
    names = {(name, rank) for name, rank, *_ in listed["test and training"]}
    beyond = [pair for pair in across.tolist() if of_test.names[pair[0]] not in names]
    sample = _sample(beyond)
    n_listed = sum(row["as_this_pair"] for row in rows_within)
    return Known(
        in_training=rows,
        within_test=rows_within,
        test_images=len(np.unique(across[:, 0])),
        test_images_beyond=len({first for first, _ in beyond}),
        pairs=len(across),
        pairs_within_test=len(own),
        pairs_within_test_beyond=len(own) - n_listed,
        sample=[(of_test.names[first], of_train.names[second]) for first, second in sample],
    )


def _compared(
    listed: list[tuple[str, int, str, int, str]],
    reported: np.ndarray,
    first: Positions,
    second: Positions,
) -> list[Listed]:
    """Return which pairs of a list are reported; the pairs may be in the reported ones twice."""
    pairs = set(map(tuple, reported.tolist()))
    images = set(reported[:, 0].tolist())
    rows = []
    for number, (name, rank, other, rank_of_other, kind) in enumerate(listed):
        pair = (first.of_name[name, rank], second.of_name[other, rank_of_other])
        rows.append(
            Listed(
                kind=kind,
                chose_threshold=number % 2 == 0,
                reported=pair[0] in images,
                as_this_pair=pair in pairs,
            )
        )
    return rows


def _sample(pairs: list[list[int]]) -> list[list[int]]:
    """Return one pair, at random, of each of some random first images."""
    random = np.random.default_rng(0)
    groups = [list(group) for _, group in itertools.groupby(sorted(pairs), lambda pair: pair[0])]
    chosen = random.permutation(len(groups))[:SAMPLE]
    return [groups[number][random.integers(len(groups[number]))] for number in chosen]


def _originals(data: str) -> Iterator[Image.Image]:
    """Yield random training images of a data set as they are stored."""
    part = datasets.contents(data).train
    payloads = [payload for chunk in part.chunks() for payload in chunk]
    order = np.random.default_rng(0).permutation(len(payloads))[: ORIGINALS[data]]
    for position in order:
        payload = payloads[position]
        with Image.open(payload if isinstance(payload, Path) else BytesIO(payload)) as image:
            yield image.convert("RGB")


def plant(data: str, folder: Path) -> None:
    """Write original images, and copies of some of them with the name of their change."""
    folder.mkdir(parents=True)
    changes = list(CHANGES.values())
    for number, image in enumerate(_originals(data)):
        image.save(folder / f"{number:04d}.png")
        change, _ = divmod(number, PLANTED)
        if change < len(changes):
            changes[change](image).save(folder / f"{number:04d}-{change}.png")


def planted_copies(data: str) -> Planted:
    """Return what is reported of images with planted copies, all in one class."""
    with tempfile.TemporaryDirectory() as temporary:
        plant(data, Path(temporary) / "images")
        (part,) = reading.read(str(Path(temporary) / "images"))
    pairs = [sorted(Path(part.names[one]).stem for one in pair) for pair in _pairs(part)]
    is_planted = [first == second.partition("-")[0] for first, second in pairs]
    changes = [int(pair[1][-1]) for pair, own in zip(pairs, is_planted, strict=True) if own]
    return Planted(
        data=data,
        originals=ORIGINALS[data],
        reported={name: changes.count(number) for number, name in enumerate(CHANGES)},
        others=[(pair[0], pair[1]) for pair, own in zip(pairs, is_planted, strict=True) if not own],
    )


def _pairs(part: Inspected) -> list[list[int]]:
    pairs: list[list[int]] = near_copies.links([part]).pairs.tolist()
    return pairs


def drawings(data: str) -> Drawings:
    """Return what is reported among the training images of a data set of drawings."""
    part = reading.read(data)[0]
    links = near_copies.links([part])
    unlabelled = part._replace(classes=("any",), labels=torch.zeros_like(part.labels))
    without_classes = near_copies.links([unlabelled])
    return Drawings(
        data=data,
        images=len(part.labels),
        equal=int((links.scores == 1).sum()),
        pairs=int((links.scores < 1).sum()),
        pairs_without_classes=int((without_classes.scores < 1).sum()),
    )


def timings(train: Inspected, test: Inspected) -> list[Seconds]:
    """Return the seconds of searches in one thread; everything was read before."""
    searches = {f"{n:,} training images": [_first(train, n)] for n in (5_000, 10_000, 20_000)}
    searches["50,000 training and 10,000 test images"] = [train, test]
    rows = []
    for words, parts in searches.items():
        started = time.thread_time()
        near_copies.links(parts)
        rows.append(Seconds(images=words, seconds=time.thread_time() - started))
    return rows


def _first(part: Inspected, n: int) -> Inspected:
    """Return the first images of a part after mixing, as far as the search needs them."""
    rows = torch.randperm(len(part.labels), generator=torch.Generator().manual_seed(0))[:n]
    return part._replace(
        labels=part.labels[rows],
        thumbnails=part.thumbnails[rows],
        features=part.features[rows],
        digests=tuple(part.digests[row] for row in rows.tolist()),
    )


def measure() -> None:
    """Measure what has no record yet."""
    torch.set_num_threads(1)
    io.make_folder(FOLDER)
    if not (FOLDER / "copies.json").exists():
        _write("copies", known_copies(*reading.read("cifar10")))
    if not (FOLDER / "copies_planted.json").exists():
        _write("copies_planted", [planted_copies(data) for data in ORIGINALS])
    if not (FOLDER / "copies_drawings.json").exists():
        _write("copies_drawings", [drawings(data) for data in DRAWINGS])
    if not (FOLDER / "copies_seconds.json").exists():
        _write("copies_seconds", timings(*reading.read("cifar10")))


def _write(name: str, record: Known | list[Planted] | list[Drawings] | list[Seconds]) -> None:
    io.write_json(FOLDER / f"{name}.json", record)
    print(FOLDER / f"{name}.json", flush=True)


if __name__ == "__main__":
    measure()
