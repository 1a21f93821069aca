"""Find images that resemble no class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected

KIND = "image of no class"
FEWEST = 20  # images; the spread of fewer is too uncertain
NEIGHBOURS = 3
CHUNK = 1024  # images whose similarities are computed at once
FAR = 4.0  # robust standard deviations below the median


def find(data: Inspected) -> list[Finding]:
    """Return the images that are far from all others, the farthest first."""
    if len(data.labels) < FEWEST:
        return []
    scores = similarities(data.features, data.labels)
    low = limit(scores)
    findings = []
    for index in scores.argsort(stable=True).tolist():
        if scores[index] >= low:
            break
        name, given = data.names[index], data.classes[int(data.labels[index])]
        words = f"{name} is labelled {given} and looks like no class"
        findings.append(Finding(KIND, (Place("data", index, name),), words, 0.5))
    return findings


def similarities(features: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cosine of each image with its nearest other images, float [n].

    Args:
        features: float [n, d]; the mean of the class means is subtracted.
        labels: int64 [n].
    """
    present, numbers, counts = labels.unique(return_inverse=True, return_counts=True)
    sums = features.new_zeros(len(present), features.shape[1]).index_add_(0, numbers, features)
    unit = F.normalize(features - (sums / counts[:, None]).mean(0), dim=1)
    means = []
    for start in range(0, len(unit), CHUNK):
        rows = unit[start : start + CHUNK]
        cosines = rows @ unit.T
        cosines[torch.arange(len(rows)), torch.arange(start, start + len(rows))] = -torch.inf
        means.append(cosines.topk(min(NEIGHBOURS, len(unit) - 1)).values.mean(1))
    return torch.cat(means)


def limit(scores: Tensor) -> float:
    """Return the score below which an image is far from what is usual among scores [n].

    The spread is that of the scores below the median, so that skewed scores have a limit of their
    own, and the foreign images themselves change it little.
    """
    middle = float(scores.median())
    below = middle - scores[scores < middle]
    spread = float(below.median()) / 0.6745 if len(below) else 0.0
    return middle - FAR * spread
