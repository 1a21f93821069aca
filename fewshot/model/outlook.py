"""How sure one can be with so few labels, and how many more would help, in sentences.

A learning curve comes from the labelled images alone: heads are fitted to nested subsets of the
images outside each fold and classify the fold. The law that `fewshot report` fits to records is
fitted to it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from episodes import subsets
from fewshot.evaluation import learning_curve_model as model
from fewshot.evaluation.learning_curve_model import Curve
from fewshot.evaluation.statistics import NORMAL_95
from fewshot.model import candidates, heads
from fewshot.model.card import Quality
from fewshot.model.classifier import LabelledFeatures, Recipe
from fewshot.runs import calibrating

SHARES = (0.25, 0.5, 0.75, 1.0)  # of the labels outside a fold
TIMES = (2, 4)  # as many labels as there are
VAGUE = 0.3  # width of an interval of the accuracy that says nothing
SURE = 0.05  # half of an interval that is called narrow
LEAST_NOISE = 1e-6  # variance of a mean accuracy, so that the covariance is never singular


def sentences(
    support: LabelledFeatures, classes: Sequence[str], recipe: Recipe, quality: Quality
) -> tuple[str, ...]:
    """Return how sure the accuracy is, and what more labels are expected to give.

    Args:
        support: the labelled images.
        classes: class names, in the order of the labels.
        recipe: how the head is fitted.
        quality: how good it is.
    """
    return (*certainty(quality), *forecast(support, classes, recipe))


def certainty(quality: Quality) -> tuple[str, ...]:
    """Return how sure the accuracy is; nothing if it is unknown."""
    if quality.accuracy is None or quality.low is None or quality.high is None:
        return (
            "One image of each class leaves none to test on: label at least two of each, and the "
            "accuracy will be estimated.",
        )
    half = (quality.high - quality.low) / 2
    text = (
        f"From {quality.n_images} labelled images the accuracy is known to within about "
        f"{100 * half:.0f} points"
    )
    if half <= SURE:
        return (f"{text}.",)
    spread = max(quality.accuracy * (1 - quality.accuracy), 0.05)
    enough = round(spread * (NORMAL_95 / SURE) ** 2, -1)
    return (f"{text}; about {enough:.0f} would narrow that to {100 * SURE:.0f}.",)


def forecast(support: LabelledFeatures, classes: Sequence[str], recipe: Recipe) -> tuple[str, ...]:
    """Return what more labels are expected to give; nothing if there are too few for a curve."""
    curve = measured_curve(support, classes, recipe)
    laws = [] if curve is None else model.fit(curve)
    if not laws:
        return ()
    labels = len(support.labels) / len(classes)
    counts = [labels, *(times * labels for times in TIMES)]
    low, middle, high = model.band(laws, counts[-1]).at(counts)
    if high[0] - low[0] > VAGUE:
        return ("That is too few to forecast what more labels would bring.",)
    parts = [
        f"{count:.0f} labels a class: about {100 * value:.0f}% "
        f"({100 * least:.0f} to {100 * most:.0f}%)"
        for count, least, value, most in zip(counts, low, middle, high, strict=True)
    ]
    return (f"Expected accuracy with {'; '.join(parts)}.",)


def measured_curve(
    support: LabelledFeatures, classes: Sequence[str], recipe: Recipe
) -> Curve | None:
    """Return accuracies at rising numbers of labels per class; None if there are too few.

    Args:
        support, classes, recipe: as for `sentences`.
    """
    labels = support.labels
    if int(labels.bincount().median()) < 4:
        return None
    rows = candidates.with_small_coordinates(support.features)
    correct, sizes, n_held_out = [], [], 0
    for inside, outside in calibrating.folds(labels, support.clusters, recipe.seed):
        parts = [nested(labels[inside], len(classes), share, recipe.seed) for share in SHARES]
        sizes.append([len(part) / len(classes) for part in parts])
        predictions = [
            heads.fit_head(rows[inside[part]], labels[inside[part]], len(classes), recipe, classes)(
                rows[outside]
            )
            for part in parts
        ]
        correct.append(torch.stack([one.argmax(1) == labels[outside] for one in predictions]))
        n_held_out += len(outside)
        if n_held_out >= calibrating.ENOUGH:
            break
    hits = torch.cat(correct, 1).double().numpy()
    counts, first = np.unique(np.mean(sizes, 0).round(3), return_index=True)
    if len(counts) < model.LEAST_COUNTS:
        return None
    hits = hits[first]
    # Two images more that are right and two that are wrong at every number of labels (Agresti and
    # Coull, The American Statistician 52 (2), 1998): without a mistake, few images are no proof.
    with_four_more = np.concatenate(
        [hits, np.ones((len(counts), 2)), np.zeros((len(counts), 2))], 1
    )
    noise = np.cov(with_four_more) / with_four_more.shape[1]
    noise += LEAST_NOISE * np.eye(len(counts))
    means = hits.mean(1)
    return Curve("", recipe.kind, counts, means, [hits.shape[1]] * len(counts), noise, [])


def nested(labels: Tensor, n_classes: int, share: float, seed: int) -> Tensor:
    """Return a share of each class, at least one image; a smaller share is part of a larger."""
    return subsets.fraction(labels, n_classes, share, seed)
