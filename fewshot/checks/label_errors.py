"""Find images whose labels are likely wrong.

Every image is classified by a head that was fitted to the features of other images, at a
temperature chosen on these predictions. Images of one cluster of copies are held out together.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from episodes import subsets
from episodes.datasets.copies import clusters_of_copies
from fewshot.checks.findings import Finding, Place
from fewshot.checks.inspected import Inspected
from fewshot.evaluation import confident_learning
from fewshot.evaluation.confident_learning import LikelyErrors
from fewshot.model import heads
from fewshot.model.classifier import Recipe
from fewshot.model.heads import OutOfFold
from fewshot.runs import calibrating
from fewshot.runs.doubtful_labels import FEWEST

KIND = "likely label error"
PART = 5_000  # images that are cross-validated together, about
LOGISTIC_UP_TO, FOLDS, FOLDS_OF_RIDGE = 2_000, 10, 5


def find(data: Inspected) -> list[Finding]:
    """Return the images whose labels are likely wrong, the most likely first.

    About half of them at least are wrong, if the classifier is calibrated. An image that is alone
    in its class is never among them.
    """
    if not data.features.numel():
        return []
    clusters = torch.from_numpy(clusters_of_copies([data.thumbnails], data.labels))
    errors = likely_errors(data.features, data.labels, clusters)
    findings = []
    for index, score, suggested in zip(*(values.tolist() for values in errors), strict=True):
        name, given = data.names[index], data.classes[int(data.labels[index])]
        advice = data.classes[suggested]
        words = f"{name} is labelled {given} and looks more like {advice}"
        findings.append(Finding(KIND, (Place("data", index, name),), words, score, advice))
    return findings


def likely_errors(features: Tensor, labels: Tensor, clusters: Tensor | None) -> LikelyErrors:
    """Return the images whose labels are likely wrong, the most likely first.

    Args:
        features: float [n, d].
        labels: int64 [n].
        clusters: images of one cluster are held out together, int64 [n]; None if each is on its
            own.
    """
    parts = [_of_part(features, labels, clusters, indices) for indices in _parts(labels, clusters)]
    if not parts:
        nothing = labels[:0]
        return LikelyErrors(nothing, features.new_empty(0), nothing)
    errors = LikelyErrors(*(torch.cat(values) for values in zip(*parts, strict=True)))
    order = errors.scores.argsort(descending=True, stable=True)
    return LikelyErrors(*(values[order] for values in errors))


def _parts(labels: Tensor, clusters: Tensor | None) -> Iterator[Tensor]:
    """Yield the images to cross-validate together, so that time grows with their number alone."""
    n_parts = max(1, round(len(labels) / PART))
    if n_parts == 1:
        yield torch.arange(len(labels))
        return
    yield from subsets.parts(labels, n_parts, 0, clusters)


def _of_part(
    features: Tensor, labels: Tensor, clusters: Tensor | None, indices: Tensor
) -> LikelyErrors:
    nothing = LikelyErrors(indices[:0], features.new_empty(0), indices[:0])
    if not len(indices):
        return nothing
    present, numbers, counts = labels[indices].unique(return_inverse=True, return_counts=True)
    if len(present) < 2 or counts.median() < FEWEST:
        return nothing
    of_part = None if clusters is None else clusters[indices]
    held_out, temperature = cross_validated(features[indices], numbers, of_part)
    errors = confident_learning.surest(held_out.labels, held_out.logits, temperature)
    at = indices[held_out.positions[errors.indices]]
    return LikelyErrors(at, errors.scores, present[errors.suggested])


def cross_validated(
    features: Tensor, labels: Tensor, clusters: Tensor | None
) -> tuple[OutOfFold, float]:
    """Return predictions for images by heads that were fitted to others, and their temperature.

    Args:
        features: float [n, d].
        labels: int64 [n]; every class 0..n_way-1 occurs.
        clusters: as for `likely_errors`.
    """
    n_way = int(labels.max()) + 1
    recipe, n_folds = Recipe("logistic"), FOLDS
    if len(labels) > LOGISTIC_UP_TO:
        recipe, n_folds = Recipe("ridge"), FOLDS_OF_RIDGE
    splits = list(calibrating.folds(labels, clusters, most=n_folds))
    held_out = heads.on_splits(features, labels, n_way, recipe, (), splits)
    head = heads.fit_head(features, labels, n_way, recipe)
    return held_out, heads.temperature(head, features, labels, held_out)
