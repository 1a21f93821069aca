"""Find images that resemble no class.

The known score of an image, its cosine with the nearest class mean, leaves the image itself out.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.model import reject

KIND = "image of no class"
FEWEST = 20  # images; the spread of fewer is too uncertain
LEAST_CLASSES = 3  # the centre of two classes leaves nothing but the difference between them
FAR = 2.2  # robust standard deviations below the median; chosen in docs/log.md
CHUNK = 4096  # images whose features are in memory at a time
NORMAL = 0.6745  # median of the absolute deviations of a normal distribution


def find(data: Inspected) -> list[Finding]:
    """Return the images that resemble no class, the least similar first."""
    if len(data.labels) < FEWEST or not data.features.numel():
        return []
    scores, positions = known_scores(data.features, data.labels)
    if not len(scores):
        return []
    low = limit(scores)
    findings = []
    for place in scores.argsort(stable=True).tolist():
        if scores[place] >= low:
            break
        index = int(positions[place])
        name, given = data.names[index], data.classes[int(data.labels[index])]
        words = f"{name} is labelled {given} and looks like no class"
        findings.append(Finding(KIND, (Place("data", index, name),), words, 0.5))
    return findings


def known_scores(features: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the known scores of the images of classes of several, and which images these are.

    Args:
        features: float [n, d]; the mean of the class means is subtracted.
        labels: int64 [n].

    Returns:
        float [m] and int64 [m]; none where there are too few classes.
    """
    counts = labels.bincount()
    positions = (counts[labels] > 1).nonzero()[:, 0]
    present, numbers = labels[positions].unique(return_inverse=True)
    if len(present) < LEAST_CLASSES:
        return features.new_empty(0), positions[:0]
    counts = counts[present]
    chunks = list(zip(positions.split(CHUNK), numbers.split(CHUNK), strict=True))

    def rows(at: Tensor, centre: Tensor | None) -> Tensor:
        return features[at] if centre is None else F.normalize(features[at] - centre, dim=1)

    def sums(centre: Tensor | None) -> Tensor:
        total = features.new_zeros(len(present), features.shape[1])
        for at, of_classes in chunks:
            total.index_add_(0, of_classes, rows(at, centre))
        return total

    centre = (sums(None) / counts[:, None]).mean(0)
    of_classes = sums(centre)
    scores = [
        reject.scores_left_out(rows(at, centre), own, of_classes, None, counts)
        for at, own in chunks
    ]
    return torch.cat(scores), positions


def limit(scores: Tensor) -> float:
    """Return the score below which an image is far from what is usual among scores [n].

    It follows from medians, which the foreign images themselves change little.
    """
    middle = float(scores.median())
    spread = float((scores - middle).abs().median()) / NORMAL
    return middle - FAR * spread
