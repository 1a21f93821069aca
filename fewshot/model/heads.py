"""Fit the head of a classifier to features, and predict labelled images that it did not see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from fewshot.config import FEW_LABELS, Prior
from fewshot.errors import UserError
from fewshot.heads import affine, calibration
from fewshot.heads.affine import AffineHead
from fewshot.heads.calibration import relative_spread
from fewshot.model.classifier import Recipe
from fewshot.runs import calibrating


class OutOfFold(NamedTuple):
    """Predictions for labelled images by heads that were fitted without them.

    Attributes:
        logits: under the prior, with the spread that the head of all images has, [m, n_way].
        labels: int64 [m].
        positions: which of the labelled images they are, int64 [m].
        n_folds: how many heads were fitted.
    """

    logits: Tensor
    labels: Tensor
    positions: Tensor
    n_folds: int


def fit_head(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    recipe: Recipe,
    classes: Sequence[str] = (),
) -> AffineHead:
    """Fit a head to the features of labelled images; the prior is in its bias.

    Args:
        features: float [n, d].
        labels: int64 [n]; every class 0..n_way-1 occurs.
        n_way: number of classes.
        recipe: how to fit it.
        classes: class names in the order of the labels, for a prior that names classes.

    Raises:
        UserError: the head was trained together with the network.
    """
    if recipe.kind == "trained":
        raise UserError(
            "the head of this classifier was trained together with its network, so it cannot be "
            "fitted again to other images: fit a new classifier to all of them."
        )
    head = affine.fit(
        features,
        labels,
        n_way,
        kind=recipe.kind,
        c=recipe.c,
        scale=recipe.scale,
        centre=recipe.centre,
        normalise=recipe.normalise,
    )
    # As files hold it: another order in memory would change the last bits of the answers.
    head = head._replace(weight=head.weight.contiguous())
    return with_prior(head, labels, recipe.kind == "logistic", recipe.prior, classes)


def with_prior(
    head: AffineHead, labels: Tensor, learned: bool, prior: Prior, classes: Sequence[str]
) -> AffineHead:
    """Return a head whose logits expect the classes as often as the prior says.

    Args:
        head: the head.
        labels: that it was fitted to, int64 [n].
        learned: whether its logits contain the frequencies of these labels.
        prior: how frequent the classes are expected to be.
        classes: class names in the order of the labels.
    """
    counts = labels.bincount(minlength=len(head.bias))
    shift = calibration.prior_shift(prior, classes, counts, learned)
    return head if shift is None else head._replace(bias=head.bias + shift.to(head.bias))


def out_of_fold(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    recipe: Recipe,
    classes: Sequence[str] = (),
    clusters: Tensor | None = None,
) -> OutOfFold:
    """Return what heads that were fitted without a fold predict for that fold.

    With fewer images, regularisation changes the spread of the logits, so those of a fold are
    scaled to the spread that the head of all images has.

    Args:
        features, labels, n_way, recipe, classes: as for `fit_head`.
        clusters: images of one cluster are in one fold, int64 [n]; None if each is on its own.

    Returns:
        The predictions; none if no class has two images.
    """
    chosen, n_held_out = [], 0
    for split in calibrating.folds(labels, clusters, recipe.seed):
        chosen.append(split)
        n_held_out += len(split[1])
        if n_held_out >= calibrating.ENOUGH:
            break
    return on_splits(features, labels, n_way, recipe, classes, chosen)


def on_splits(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    recipe: Recipe,
    classes: Sequence[str],
    splits: Sequence[tuple[Tensor, Tensor]],
) -> OutOfFold:
    """Return what heads predict for the second part of each split that were fitted to the first.

    Args:
        features, labels, n_way, recipe, classes: as for `fit_head`.
        splits: indices to fit to and indices held out, int64.
    """
    whole = fit_head(features, labels, n_way, recipe, classes)(features)
    logits = [features.new_empty(0, n_way)]
    for inside, outside in splits:
        head = fit_head(features[inside], labels[inside], n_way, recipe, classes)
        scale = relative_spread(whole, head(features[inside]))
        logits.append(scale * head(features[outside]))
    at = torch.cat([labels.new_empty(0), *(outside for _, outside in splits)])
    return OutOfFold(torch.cat(logits), labels[at], at, len(splits))


def temperature(
    head: AffineHead,
    features: Tensor,
    labels: Tensor,
    held_out: OutOfFold,
    prior: Prior = "balanced",
    classes: Sequence[str] = (),
    *,
    pretrained: bool = True,
) -> float:
    """Choose the temperature of a head as a run does: on predictions out of fold.

    It has a prior around the temperature that gives the logits the spread of a cosine head.
    Without predictions it is that temperature.

    Args:
        head: fitted to the features.
        features: of the labelled images, float [n, d].
        labels: int64 [n].
        held_out: predictions by heads of the same recipe.
        prior: how frequent the classes are expected to be.
        classes: as for `fit_head`.
        pretrained: whether the network began with pretrained weights; features of others say
            little about the spread that logits should have.
    """
    n_way = len(head.bias)
    expected = None
    if pretrained and len(labels) <= FEW_LABELS * n_way:
        reference = calibration.cosine_reference(features, labels, n_way, features)
        expected = relative_spread(head(features), reference)
    if not len(held_out.labels):
        return expected or 1.0
    frequencies = calibration.frequencies(prior, classes, labels.bincount(minlength=n_way))
    return calibration.choose_temperature(
        held_out.logits,
        held_out.labels,
        calibration.image_weights(held_out.labels, frequencies),
        expected=expected or 1.0,
        tolerance=calibrating.TOLERANCE if expected else calibrating.WIDE_TOLERANCE,
    )
