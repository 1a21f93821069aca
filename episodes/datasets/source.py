"""What sources provide before decoding, and the split of one without a test part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from episodes.datasets.stamps import Stamp
from episodes.types import Fit

# An encoded image, the path of an image file, or pixels, uint8 [h, w, 3].
Payload = bytes | Path | np.ndarray

LONGEST = 400  # characters of a name in a message
# Images that a thread decodes at a time: enough to make its overhead small, and few enough that
# photographs need little memory.
CHUNK = 256

TEST_SHARE = 0.2  # of the images, if a data set without a test part is split


@dataclass(frozen=True)
class LoadOptions:
    """How a data set is read.

    Attributes:
        image_size: side of the decoded images in pixels; None to choose it (see
            `decode.working_size`).
        input_size: side in pixels that the backbone needs; the choice follows it.
        fit: how an image that is not square becomes square.
        test_share: share of each class to set aside as the test part of a source without one; None
            to leave the source whole.
        group_by: what keeps images on one side of a split: "subfolder", "prefix" or the name of a
            column of the source; None if each image is on its own.
    """

    image_size: int | None = None
    input_size: int = 0
    fit: Fit = "crop"
    test_share: float | None = TEST_SHARE
    group_by: str | None = None


@dataclass(frozen=True, eq=False)
class Part:
    """The images of one part of a data set in a fixed order, not yet decoded.

    Attributes:
        labels: int64 [n], indices into the classes of the content.
        name_of: index -> name of that image in messages: its path relative to the data set, with
            `/`, if it is a file.
        chunks: start a pass over all n payloads in order, in lists; raises UserError if the source
            is broken.
        column: name of a column of the source -> its value for each image, as text; raises
            UserError, with the names that there are, for another name. None without columns.
        clusters: number of the cluster of each image, int64 [n]; None if each is on its own.
        subfolder_of: index -> folder of that image below its class folder, with `/`; empty if the
            image lies directly in the class folder. None if the source has no class folders.
    """

    labels: np.ndarray
    name_of: Callable[[int], str]
    chunks: Callable[[], Iterator[list[Payload]]]
    column: Callable[[str], Sequence[str]] | None = None
    clusters: np.ndarray | None = None
    subfolder_of: Callable[[int], str] | None = None

    def select(self, mask: np.ndarray) -> Part:
        """Return the images that a mask, bool [n], selects."""
        indices = np.flatnonzero(mask)

        def chunks() -> Iterator[list[Payload]]:
            start = 0
            for chunk in self.chunks():
                own = mask[start : start + len(chunk)]
                start += len(chunk)
                if own.any():
                    yield [payload for payload, is_own in zip(chunk, own, strict=True) if is_own]

        all_values, all_subfolders = self.column, self.subfolder_of

        def column(name: str) -> Sequence[str]:
            values = all_values(name) if all_values else ()
            return [values[int(index)] for index in indices]

        def subfolder_of(i: int) -> str:
            return all_subfolders(int(indices[i])) if all_subfolders else ""

        return Part(
            self.labels[mask],
            lambda i: self.name_of(int(indices[i])),
            chunks,
            column if all_values else None,
            clusters=None if self.clusters is None else self.clusters[mask],
            subfolder_of=subfolder_of if all_subfolders else None,
        )


@dataclass(frozen=True, eq=False)
class Content:
    """The parts of a data set, and the class names that their labels index.

    Attributes:
        classes: class names.
        train: the training part, or the whole data set if it has no test part.
        test: the test part; None if the data set has none.
        notes: sentences for the user that are known only after reading.
    """

    classes: tuple[str, ...]
    train: Part
    test: Part | None
    notes: tuple[str, ...] = ()

    @property
    def parts(self) -> list[Part]:
        """The training part, and the test part if there is one."""
        return [self.train, *([] if self.test is None else [self.test])]


@dataclass(frozen=True, eq=False)
class Source:
    """A data set that has been located but not read.

    Attributes:
        name: name of the data set.
        unit: what one image is in this source, in the plural: "files" or "rows".
        files: relative path and stamp of every file that `read` uses. A change in any of them
            invalidates the index of the cache.
        notes: sentences for the user.
        read: read what is needed to list the images; raises UserError if a file is broken.
        mirror: whether a mirrored image belongs to the same class.
        superclass_in_name: whether class names are SUPERCLASS/CLASS.
        has_test: whether the content has a test part.
        default_size: side at which the images are decoded if no other is asked for; None to choose
            it by their own sizes and the backbone.
    """

    name: str
    unit: str
    files: tuple[tuple[str, Stamp], ...]
    notes: tuple[str, ...]
    read: Callable[[], Content]
    mirror: bool = True
    superclass_in_name: bool = False
    has_test: bool = True
    default_size: int | None = None


def chunked(payloads: list[Payload] | np.ndarray) -> Iterator[list[Payload]]:
    """Yield payloads, or the images of pixels uint8 [n, h, w, 3], in lists of at most CHUNK."""
    for start in range(0, len(payloads), CHUNK):
        yield list(payloads[start : start + CHUNK])


def beside(place: Path, folder: Path) -> list[str]:
    """Return a note about what lies beside the folder that is used; none if there is nothing.

    Args:
        place: folder that is given as data.
        folder: the same, or the folder in it that is used.
    """
    if folder == place:
        return []
    used = place / folder.relative_to(place).parts[0]
    names = [path.name for path in sorted(place.iterdir()) if path != used]
    others = [name for name in names if not name.startswith(".") and "README" not in name.upper()]
    return [f"only {folder.relative_to(place)}/ is used, not {few(others)}"] if others else []


def few(names: list[str]) -> str:
    """Join at most five names, of which long ones are cut, and add how many more there are."""
    more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
    shown = [name if len(name) <= LONGEST else f"{name[:LONGEST]}..." for name in names[:5]]
    return ", ".join(shown) + more


def images(count: int, noun: str = "image") -> str:
    """Return a number of images in words."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def held_out(
    labels: np.ndarray, share: float = TEST_SHARE, per_class: int | None = None
) -> np.ndarray:
    """Choose a fixed, stratified test set; the only image of a class is never chosen.

    Args:
        labels: int64 [n].
        share: test images of each class, rounded, but at least one.
        per_class: test images of each class, in place of the share.

    Returns:
        bool [n], true for test images.
    """
    is_test = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        n_test = per_class or max(1, round(len(indices) * share))
        order = np.random.default_rng([0, int(label)]).permutation(indices)
        is_test[order[: min(n_test, len(indices) - 1)]] = True
    return is_test
