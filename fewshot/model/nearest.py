"""The labelled images that a run's network holds to be nearest to a test image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.features import frozen
from fewshot.model.restore import rebuild

MOST = 5000  # labelled images that are compared; of more, so many at even distances


class Found(NamedTuple):
    """For each query: indices among the training images [n, k], nearest first, labels [n, k], 1 - cosine [n, k].

    compared: of how many labelled images they are the nearest; labelled: how many the draw trained on.
    """

    images: list[list[int]]
    labels: list[list[int]]
    distances: list[list[float]]
    compared: int
    labelled: int


def nearest(run: Path, seed: int, queries: Sequence[int], most: int = 5) -> Found:
    """Of a run's folder, one draw and test images by index: the `most` nearest of the images that the draw trained on.

    Features are those of the trained backbone in evaluation mode, from the cache where they are kept; cosines are taken
    after the mean of the labelled images is subtracted, as the probe does (Wang et al., arXiv 1911.04623).
    Raises UserError where a file, the data or the weights are not there, or not those of the run.
    """
    plan, learner, kept = rebuild(run, seed)
    some = kept[torch.linspace(0, len(kept) - 1, min(len(kept), MOST)).long()]
    device = plan.compute.device
    support = frozen.cached(learner.backbone, plan.data.train, some, device)
    asked = frozen.cached(learner.backbone, plan.data.test, torch.tensor(queries), device)
    order, distances = ranked(support.images, asked.images, most)
    return Found(
        some[order].tolist(),
        support.labels[order].tolist(),
        distances.tolist(),
        len(some),
        len(kept),
    )


def ranked(support: Tensor, queries: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """Places in the support [n, k] and 1 - cosine [n, k], nearest first; features [n_support, d] and [n, d].

    The support's mean is subtracted from both; of equal distances the first image comes first.
    """
    support, queries = support.double(), queries.double()
    centre = support.mean(0)
    distances = 1 - F.normalize(queries - centre, dim=1) @ F.normalize(support - centre, dim=1).T
    found = distances.sort(dim=1, stable=True)
    return found.indices[:, :most], found.values[:, :most]
