"""All that a classifier needs beside its network, from the features of its labelled images.

Fitting a classifier and adding images to one both call `fit`, so that they give the same numbers.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fewshot.evaluation import metrics, statistics
from fewshot.evaluation.confident_learning import LikelyErrors
from fewshot.heads.affine import AffineHead
from fewshot.model import doubtful_labels, heads, reject
from fewshot.model.card import Quality
from fewshot.model.classifier import LabelledFeatures, Recipe
from fewshot.model.reject import Rejection


class Fitted(NamedTuple):
    """A head, with what is known about it; the fields are those of `ImageClassifier`.

    Attributes:
        head: features -> logits; the prior is in its bias.
        temperature: divides the logits.
        rejection: what refuses images of no known class.
        fold_scores: one minus the probability of the true class, of labelled images that were held
            out, float [m].
        quality: how good the head is, by cross-validation.
        doubtful: labels of held-out images that look wrong.
    """

    head: AffineHead
    temperature: float
    rejection: Rejection
    fold_scores: Tensor
    quality: Quality
    doubtful: LikelyErrors


def fit(
    support: LabelledFeatures,
    classes: Sequence[str],
    recipe: Recipe,
    share: float,
    centre: Tensor,
) -> Fitted:
    """Fit a head to the features of labelled images, and measure it by cross-validation.

    Args:
        support: the labelled images.
        classes: class names, in the order of the labels.
        recipe: how to fit it.
        share: share of images of the known classes that may be refused.
        centre: what the rejection subtracts from the features, float [d], from `reject.centre`.

    Raises:
        UserError: the recipe is that of a head which was trained together with the network.
    """
    features, labels, n_way = support.features, support.labels, len(classes)
    head = heads.fit_head(features, labels, n_way, recipe, classes)
    started = time.perf_counter()
    held_out = heads.out_of_fold(features, labels, n_way, recipe, classes, support.clusters)
    temperature = heads.temperature(head, features, labels, held_out, recipe.prior, classes)
    seconds = time.perf_counter() - started
    rejection = reject.fit(features, labels, n_way, centre, share, support.clusters)
    return measured(head, temperature, held_out, rejection, classes, seconds)


def measured(
    head: AffineHead,
    temperature: float,
    held_out: heads.OutOfFold,
    rejection: Rejection,
    classes: Sequence[str],
    seconds: float,
) -> Fitted:
    """Return a head with what predictions for held-out images say about it.

    Args:
        head: the head, fitted to all labelled images.
        temperature: divides its logits.
        held_out: predictions by classifiers that were fitted in the same way to fewer images.
        rejection: what refuses images of no known class.
        classes: class names, in the order of the labels.
        seconds: seconds that the predictions took.
    """
    log_probabilities = (held_out.logits / temperature).log_softmax(1)
    true = log_probabilities.gather(1, held_out.labels[:, None])[:, 0].exp()
    return Fitted(
        head,
        temperature,
        rejection,
        1 - true,
        _quality(log_probabilities, held_out, classes, seconds),
        doubtful_labels.find(held_out, temperature),
    )


def _quality(
    log_probabilities: Tensor, held_out: heads.OutOfFold, classes: Sequence[str], seconds: float
) -> Quality:
    """Return how good predictions for held-out images are."""
    n = len(held_out.labels)
    if not n:
        return Quality(None, None, None, None, 0, 0, None, seconds)
    scores = metrics.scores(log_probabilities, held_out.labels)
    interval = statistics.summary([scores.accuracy]).with_test_images(n)
    confusion = torch.tensor(scores.confusion)
    pairs = (confusion + confusion.T).triu(1)
    first, second = divmod(int(pairs.argmax()), len(classes))
    times = int(pairs[first, second])
    return Quality(
        accuracy=scores.accuracy,
        low=interval.low,
        high=interval.high,
        ece=scores.ece,
        n_images=n,
        n_folds=held_out.n_folds,
        confused=(classes[first], classes[second], times) if times else None,
        seconds=seconds,
    )
