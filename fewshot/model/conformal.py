"""Sets of classes that contain the true one with a chosen probability.

An image's score is one minus the probability of its true class. A class is in the set of a new
image if its score there is not among the largest of the scores of labelled images, which were
computed with their own folds held out. A set always has the most probable class.

`exact_sets` needs no folds: for each class, a new image joins the labelled images of that class,
the head is fitted again, and the score of every image is that without its own part in the fit.

Sources: Sadinle et al., "Least ambiguous set-valued classifiers", JASA 114 (525), 2019; scores out
of fold, Vovk, "Cross-conformal predictors", Annals of Mathematics and AI 74, 2015;
full conformal prediction, Vovk et al., "Algorithmic Learning in a Random World", 2005.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from fewshot.errors import UserError
from fewshot.model import refitting
from fewshot.model.classifier import ImageClassifier, LabelledFeatures, Recipe

MOST_EXACT = 1_000  # labelled images


def needed(coverage: float) -> int:
    """Return how many labelled images a coverage needs at least: 9 for 0.9, 99 for 0.99."""
    return math.ceil(round(coverage / (1 - coverage), 9))


def sets(scores: Tensor, probabilities: Tensor, coverage: float) -> Tensor:
    """Return which classes are in the set of each image, bool [n, n_way].

    Args:
        scores: of the labelled images, out of fold: one minus the probability of the true class,
            float [n_labels].
        probabilities: of the images to classify, float [n, n_way].
        coverage: share of the sets that contain the true class, in (0, 1).

    Raises:
        UserError: there are too few labelled images for this coverage.
    """
    check(coverage, len(scores))
    rank = math.ceil(round(coverage * (len(scores) + 1), 9))
    largest = scores.sort().values[rank - 1]
    inside = 1 - probabilities <= largest
    inside[torch.arange(len(inside)), probabilities.argmax(1)] = True
    return inside


def exact_sets(classifier: ImageClassifier, features: Tensor, coverage: float) -> Tensor:
    """Return which classes are in the set of each image, by full conformal prediction.

    The sets contain the true class at least as often as they say, if the images come from where the
    labelled ones come from. Of labelled copies of one image, one counts.

    Args:
        classifier: a classifier whose head was fitted to fixed features.
        features: of the images to classify, float [n, d].
        coverage: share of the sets that contain the true class, in (0, 1).

    Returns:
        bool [n, n_way].

    Raises:
        UserError: the head was trained together with the network, or the labelled images are too
            few for this coverage, or more than MOST_EXACT.
    """
    best = classifier.log_probabilities(features).argmax(1)
    return full_sets(
        classifier.support, classifier.classes, classifier.recipe, features, best, coverage
    )


def full_sets(
    support: LabelledFeatures,
    classes: Sequence[str],
    recipe: Recipe,
    features: Tensor,
    best: Tensor,
    coverage: float,
) -> Tensor:
    """Return the sets of `exact_sets`, from the parts of a classifier.

    Args:
        support: the labelled images.
        classes: class names.
        recipe: how the head is fitted.
        features: of the images to classify, float [n, d].
        best: the most probable class of each, int64 [n].
        coverage: share of the sets that contain the true class, in (0, 1).
    """
    rows = _one_of_each_cluster(support.clusters, len(support.labels))
    _check_exact(recipe, len(rows))
    check(coverage, len(rows))
    labelled, labels = support.features[rows], support.labels[rows]
    least = math.floor(round((1 - coverage) * (len(rows) + 1), 9))
    chunks = [torch.empty(0, len(classes), dtype=torch.bool)]
    for part in features.split(max(1, refitting.LARGEST // (len(rows) + 1) ** 2)):
        if not len(part):
            break
        gram = refitting.prepared_gram(labelled, part, recipe)
        inside = torch.empty(len(part), len(classes), dtype=torch.bool)
        for label in range(len(classes)):
            joined = torch.cat([labels, torch.tensor([label])])
            scores = refitting.scores(gram, joined, classes, recipe)
            inside[:, label] = (scores[:, :-1] >= scores[:, -1:]).sum(1) + 1 > least
        chunks.append(inside)
    sets = torch.cat(chunks)
    sets[torch.arange(len(sets)), best] = True
    return sets


def _check_exact(recipe: Recipe, n_labels: int) -> None:
    """Raise UserError if a head cannot be fitted again for each image."""
    if recipe.kind == "trained":
        raise UserError(
            "exact sets need a head that can be fitted again for each image, and this one was "
            "trained together with its network: use the sets from held-out images instead."
        )
    if n_labels > MOST_EXACT:
        raise UserError(
            f"exact sets are for at most {MOST_EXACT} labelled images, and there are {n_labels}: "
            "use the sets from held-out images instead, which are as good with so many."
        )


def _one_of_each_cluster(clusters: Tensor | None, n: int) -> Tensor:
    """Return the first image of each cluster, int64, ascending."""
    if clusters is None:
        return torch.arange(n)
    first = {cluster: row for row, cluster in reversed(list(enumerate(clusters.tolist())))}
    return torch.tensor(sorted(first.values()))


def check(coverage: float, n_labels: int) -> None:
    """Raise UserError if a coverage is impossible, or needs more labelled images."""
    if not 0 < coverage < 1:
        raise UserError(
            f"a coverage of {coverage:g} is impossible: choose a share between 0 and 1, such as "
            "0.9."
        )
    least = needed(coverage)
    if n_labels < least:
        remedy = "label more images"
        if n_labels:
            highest = math.floor(100 * n_labels / (n_labels + 1)) / 100
            remedy += f", or choose a coverage of at most {highest:g}"
        raise UserError(
            f"sets that contain the true class in {100 * coverage:.4g}% of all cases need at least "
            f"{least} labelled images that were held out, and there are {n_labels}: {remedy}."
        )


def in_words(coverage: float, n_labels: int) -> str:
    """Return how sure sets of a coverage are, such as "about 90%, from 160 labels"."""
    percent = f"{100 * coverage:.4g}%"
    return f"about {percent}, from {n_labels} label{'' if n_labels == 1 else 's'}"
