"""Suggest which images of a pool to label first."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.datasets import copies as pixel_copies
from episodes.datasets.decoding.image_formats import quiet_pillow
from episodes.datasets.decoding.parallel_decode import decoded_chunks
from episodes.datasets.source import chunked
from episodes.types import Decoding
from fewshot import progress
from fewshot.errors import UserError
from fewshot.model import file_format, hub
from fewshot.model.classifier import ImageClassifier
from fewshot.model.estimator import FewShotClassifier
from fewshot.model.image_listing import NotRead
from fewshot.model.suggest import pools, select
from fewshot.model.suggest.picks import Method, Picks
from fewshot.model.suggest.pools import ImagePool
from fewshot.model.suggest.unlabelled import Payloads

if TYPE_CHECKING:
    import pandas as pd

METHODS: tuple[Method, ...] = get_args(Method)
MOST_ROUNDS = 5  # of picking again without the copies that were found among the picks
COMPARED = 64  # images of the pool that show how much ordinary images are alike
THUMBNAIL = 64  # pixels, for the comparison
WORDS: dict[Method, str] = {
    "max-herding": "similar to many images that are unlike any labelled one",
    "k-means": "in the middle of a group of similar images",
    "typiclust": "typical of a group without a label",
    "margin": "the classifier hesitates",
    "coreset": "unlike any labelled image",
    "random": "chosen at random",
}


class Suggestion(NamedTuple):
    """An image to label.

    Attributes:
        rank: 1 for the image to label first.
        image: its path or number.
        method: the method that selected it.
        gain: what it added to the objective of the method.
        stands_for: images of the pool that are more similar to it than to any other suggestion.
        reason: why it was selected, in words.
    """

    rank: int
    image: str
    method: Method
    gain: float
    stands_for: int
    reason: str


@dataclass(frozen=True, eq=False)
class Suggestions(Sequence[Suggestion]):
    """The images to label, the most useful first.

    Attributes:
        rows: one for each image.
        indices: their positions among the images of the pool that could be read and have no label,
            int64 [budget].
        files: their files; None if images are rows of a table.
        n_pool: images of the pool without a label.
        n_labelled: labelled images.
        n_known: images of the pool that have a label already.
        left_out: files that could not be read.
        payloads: ranks minus one -> the encoded images.
    """

    rows: tuple[Suggestion, ...]
    indices: np.ndarray
    files: tuple[Path, ...] | None
    n_pool: int
    n_labelled: int
    n_known: int
    left_out: tuple[NotRead, ...]
    payloads: Payloads

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # as of a tuple
        return self.rows[index]

    @property
    def images(self) -> list[str]:
        """Paths or numbers of the images."""
        return [row.image for row in self.rows]

    def to_frame(self) -> pd.DataFrame:
        """Return a table with a row for each image."""
        import pandas as pd

        return pd.DataFrame(list(self.rows), columns=list(Suggestion._fields))


def suggest(
    pool: str | Path | Sequence[str | Path],
    budget: int,
    *,
    model: str | Path | ImageClassifier | FewShotClassifier | None = None,
    labelled: str | Path | None = None,
    method: Method | None = None,
    seed: int = 0,
    device: str | None = None,
    quiet: bool = True,
) -> Suggestions:
    """Suggest which images of a pool to label first.

    Args:
        pool: a folder, with folders inside or not; several folders and image files; or one table or
            archive, or the name of a data set, whose training images are the pool. Labels are not
            used.
        budget: number of images to suggest.
        model: a classifier of the labelled images, or its file.
        labelled: in its place, a folder or file of labelled images.
        method: "max-herding", "k-means", "typiclust", "margin", "coreset" or "random"; None chooses
            by the numbers of labels and of suggestions.
        seed: of what is random in the method.
        device: "cpu", "cuda" and so on; None for a GPU if there is one.
        quiet: show no progress.

    Raises:
        UserError: images, labels or arguments are not valid.

    Example:
        suggestions = fewshot.suggest("photos", 20)
        suggestions.to_frame()
    """
    check(budget, method)
    with progress.on_stderr(quiet):
        classifier = _classifier(model, device)
        images = pools.read(
            pool,
            model=classifier,
            labelled=None if labelled is None else os.fspath(labelled),
            device=device,
        )
        progress.update("selecting")
        return of_pool(images, budget, method, seed=seed)


def check(budget: int, method: str | None) -> None:
    """Raise UserError for a budget or a method that does not exist."""
    if budget < 1:
        raise UserError(f"the budget is the number of images to suggest, so it cannot be {budget}.")
    as_method(method)


def as_method(name: str | None) -> Method | None:
    """Return a method by its name; None for None.

    Raises:
        UserError: there is no such method.
    """
    for method in METHODS:
        if method == name:
            return method
    if name is not None:
        raise UserError(f"unknown method '{name}': expected one of {', '.join(METHODS)}.")
    return None


def _classifier(
    model: str | Path | ImageClassifier | FewShotClassifier | None, device: str | None
) -> ImageClassifier | None:
    if isinstance(model, FewShotClassifier):
        return model.classifier_
    if isinstance(model, str | Path):
        return file_format.load(hub.local_file(model), device)
    return model


def of_pool(
    images: ImagePool, budget: int, method: Method | None = None, *, seed: int = 0
) -> Suggestions:
    """Suggest images of a pool that was read.

    Args:
        images: the pool.
        budget: number of images to suggest.
        method: how to select; None for the default.
        seed: of what is random in the method.

    Raises:
        UserError: the budget exceeds the pool, or the method needs more labels.
    """
    n_different = len(images.copies.unique())
    if budget > n_different:
        is_same = n_different == len(images)
        what = "images without a label" if is_same else "different images without a label"
        raise UserError(f"the pool has {n_different:,} {what}, but the budget is {budget:,}.")
    if method == "margin" and images.classify is None:
        raise UserError(
            "the method margin needs a classifier: give --model or --labelled, with two labelled "
            "images or more of each class."
        )
    picks = _without_copies(images, budget, method, seed)
    indices = picks.indices.tolist()
    return Suggestions(
        rows=tuple(_rows(images, picks)),
        indices=picks.indices.numpy(),
        files=None if images.files is None else tuple(images.files[i] for i in indices),
        n_pool=len(images),
        n_labelled=len(images.pool.labels),
        n_known=images.n_known,
        left_out=images.left_out,
        payloads=lambda ranks: images.payloads([indices[i] for i in ranks]),
    )


def _without_copies(images: ImagePool, budget: int, method: Method | None, seed: int) -> Picks:
    """Pick images of which no two show the same picture.

    Equal images are known before. Near copies are found by the pixels of the picks; then the method
    picks again, and counts them as one image.
    """
    copies = images.copies.clone()
    picks = select.pick(images.pool, budget, method, seed=seed, copies=copies)
    for _ in range(MOST_ROUNDS):
        first = _first_copy(images, picks.indices)
        is_copy = first != picks.indices
        if not is_copy.any() or len(copies.unique()) - int(is_copy.sum()) < budget:
            break
        for one, other in zip(picks.indices[is_copy], first[is_copy], strict=True):
            copies[copies == copies[one]] = copies[other].clone()
        picks = select.pick(images.pool, budget, method, seed=seed, copies=copies)
    return picks


def _first_copy(images: ImagePool, indices: Tensor) -> Tensor:
    """Return for each image the first of them that shows the same picture, int64 [m]."""
    others = torch.linspace(0, len(images) - 1, min(len(images), COMPARED)).long()
    others = others[~torch.isin(others, indices)]
    every = torch.cat([indices, others])
    pixels = []
    with quiet_pillow():
        payloads = images.payloads(every.tolist())
        for chunk, reasons, _ in decoded_chunks(chunked(payloads), Decoding(THUMBNAIL, "squeeze")):
            if any(reasons):
                raise UserError("images of the pool changed while they were read: try again.")
            pixels.append(torch.from_numpy(chunk))
    clusters = pixel_copies.clusters_of_copies(pixels, torch.zeros_like(every))
    return every[torch.from_numpy(clusters[: len(indices)])]


def _rows(images: ImagePool, picks: Picks) -> list[Suggestion]:
    """Return a row for each pick, with its reason in words."""
    counts = _represented(images.pool.features, picks.indices)
    hesitations = _hesitations(images, picks.indices)
    rows = []
    for rank, (index, gain) in enumerate(
        zip(picks.indices.tolist(), picks.gains.tolist(), strict=True), 1
    ):
        n = counts[rank - 1]
        words = [WORDS[picks.method], f"stands for {n:,} image{'' if n == 1 else 's'}"]
        words += hesitations[rank - 1]
        reason = "; ".join(words)
        rows.append(Suggestion(rank, images.names[index], picks.method, gain, n, reason))
    return rows


def _represented(features: Tensor, picks: Tensor) -> list[int]:
    """Return how many images each pick is the most similar pick of, by the cosine."""
    centre = features.mean(0)
    chosen = F.normalize(features[picks] - centre, dim=1)
    counts = torch.zeros(len(picks), dtype=torch.int64)
    for part in features.split(4096):
        nearest = (F.normalize(part - centre, dim=1) @ chosen.T).argmax(1)
        counts += nearest.bincount(minlength=len(picks))
    return counts.tolist()


def _hesitations(images: ImagePool, picks: Tensor) -> list[list[str]]:
    """Return the two most probable classes of each pick in words; none without a classifier."""
    if images.classify is None:
        return [[] for _ in picks]
    best = images.classify(images.pool.features[picks]).topk(2, dim=1)
    return [
        [" or ".join(f"{images.classes[i]} {p:.0%}" for i, p in zip(labels, shares, strict=True))]
        for labels, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
