"""The labelled images that a run's network puts nearest to a test image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.features import frozen
from fewshot.model.restore import restore

MAX_COMPARED = 5000  # labelled images that are compared; of more, as many at even distances


class Neighbours(NamedTuple):
    """The nearest labelled images of each query, nearest first.

    Attributes:
        images: indices among the training images, [n, k].
        labels: their labels, [n, k].
        distances: 1 - cosine, [n, k].
        compared: how many labelled images were compared.
        labelled: how many labelled images the trial was trained on.
    """

    images: list[list[int]]
    labels: list[list[int]]
    distances: list[list[float]]
    compared: int
    labelled: int


def nearest(run: Path, seed: int, queries: Sequence[int], k: int = 5) -> Neighbours:
    """Find the training images of a trial that are nearest to some test images.

    Features are those of the trained backbone in evaluation mode, from the cache if they are there.
    The mean of the labelled images is subtracted before cosines are taken, as the probe does (Wang
    et al., arXiv 1911.04623).

    Args:
        run: folder of the run.
        seed: the trial.
        queries: indices of test images.
        k: neighbours of each query.

    Raises:
        UserError: a file, the data or the weights are missing or not those of the run.
    """
    restored, learner, train_indices = restore(run, seed)
    n, device = len(train_indices), restored.compute.device
    compared = train_indices[torch.linspace(0, n - 1, min(n, MAX_COMPARED)).long()]
    backbone, data = learner.backbone, restored.data
    support = frozen.cached(backbone, data.train, compared, device).features
    query = frozen.cached(backbone, data.test, torch.tensor(queries), device).features
    positions, distances = rank(_plain(support.features), _plain(query.features), k)
    return Neighbours(
        compared[positions].tolist(),
        support.labels[positions].tolist(),
        distances.tolist(),
        len(compared),
        n,
    )


def _plain(features: Tensor) -> Tensor:
    return features.as_subclass(Tensor)


def rank(support: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Rank support features by their cosine to each query, after subtracting their mean.

    Args:
        support: [n_support, d].
        queries: [n, d].
        k: how many to return for each query.

    Returns:
        Positions in the support set [n, k] and 1 - cosine [n, k], nearest first; of equal
        distances the first image comes first.
    """
    support, queries = support.double(), queries.double()
    centre = support.mean(0)
    distances = 1 - F.normalize(queries - centre, dim=1) @ F.normalize(support - centre, dim=1).T
    ordered = distances.sort(dim=1, stable=True)
    return ordered.indices[:, :k], ordered.values[:, :k]
