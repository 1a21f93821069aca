"""Scores of labelled images and one more, from heads that are fitted to all of them.

The score of an image is one minus the probability of its class, from the head without the image's
own part in it: of nearest means exactly, of ridge regression exactly at fixed weights of the
images (Cawley and Talbot, Neural Networks 17 (10), 2004), and of logistic regression to first
order. No image is treated differently from the others, which full conformal prediction needs.

N is the number of images, the labelled ones and one query; Q that of the queries; W of classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from fewshot.heads import calibration
from fewshot.model.classifier import Recipe

LARGEST = 4_000_000  # numbers of the Gram matrices of the queries that are computed at once
STEPS = 100  # of logistic regression, at most
# Of the steps. They converge above half the bound of the curvature of the cross-entropy, which is
# 0.5 (Boehning, Ann. Inst. Stat. Math. 44, 1992).
CURVATURE = 0.3
TOLERANCE = 1e-4
SMALLEST = 1e-12


def prepared_gram(labelled: Tensor, queries: Tensor, recipe: Recipe) -> Tensor:
    """Return the inner products of prepared features, float64 [q, n + 1, n + 1].

    Each query is prepared together with the labelled images, so that the mean that is subtracted is
    theirs and its own.

    Args:
        labelled: features [n, d].
        queries: features [q, d].
        recipe: whether features are centred and scaled to unit length.
    """
    labelled, queries = labelled.double(), queries.double()
    n, q = len(labelled), len(queries)
    gram_QNN = labelled.new_empty(q, n + 1, n + 1)
    gram_QNN[:, :n, :n] = labelled @ labelled.T
    gram_QNN[:, n, :n] = queries @ labelled.T
    gram_QNN[:, :n, n] = gram_QNN[:, n, :n]
    gram_QNN[:, n, n] = queries.square().sum(1)
    if recipe.centre:
        gram_QNN -= gram_QNN.mean(1, keepdim=True)
        gram_QNN -= gram_QNN.mean(2, keepdim=True)
    if recipe.normalise:
        lengths_QN = gram_QNN.diagonal(dim1=1, dim2=2).clamp_min(SMALLEST).sqrt()
        gram_QNN = gram_QNN / lengths_QN[:, :, None] / lengths_QN[:, None, :]
    return gram_QNN


def scores(gram_QNN: Tensor, labels: Tensor, classes: Sequence[str], recipe: Recipe) -> Tensor:
    """Return the scores of all images for each query, float64 [q, n].

    Args:
        gram_QNN: of `prepared_gram`.
        labels: of the labelled images, and last the label that the query is given, int64 [n].
        classes: class names.
        recipe: how the head is fitted.
    """
    n_way = len(classes)
    one_hot_NW = F.one_hot(labels, n_way).to(gram_QNN)
    if recipe.kind == "logistic":
        logits = _logistic(gram_QNN, one_hot_NW, recipe.c / 2 if n_way == 2 else recipe.c)
    elif recipe.kind == "ridge":
        scale = recipe.scale / 2 if n_way == 2 else recipe.scale
        logits = scale * _ridge(gram_QNN, one_hot_NW, recipe.c)
    else:
        logits = recipe.scale * _nearest(gram_QNN, one_hot_NW, recipe.kind == "cosine")
    counts = one_hot_NW.sum(0).long()
    shift = calibration.prior_shift(recipe.prior, classes, counts, recipe.kind == "logistic")
    if shift is not None:
        logits = logits + shift
    return 1 - logits.softmax(2)[:, torch.arange(len(labels)), labels]


def _nearest(gram_QNN: Tensor, one_hot_NW: Tensor, cosine: bool) -> Tensor:
    """Return cosines with the class means, or minus squared distances, up to a part of the image.

    The mean of an image's own class is that of the others; without others it is farthest.
    """
    counts_W = one_hot_NW.sum(0)
    inner_QNW = gram_QNN @ one_hot_NW  # with the sums of the classes
    squares_QW = (one_hot_NW * inner_QNW).sum(1)
    own_QN1 = gram_QNN.diagonal(dim1=1, dim2=2)[..., None]
    is_own_NW = one_hot_NW.bool()
    without_QNW = squares_QW[:, None] - 2 * inner_QNW + own_QN1
    squares_QNW = torch.where(is_own_NW, without_QNW, squares_QW[:, None]).clamp_min(0)
    inner_QNW = inner_QNW - own_QN1 * one_hot_NW
    counts_NW = (counts_W - one_hot_NW).clamp_min(1)
    if cosine:
        lengths = (squares_QNW * own_QN1).clamp_min(SMALLEST).sqrt()
        similarities = inner_QNW / lengths
    else:
        similarities = 2 * inner_QNW / counts_NW - squares_QNW / counts_NW.square()
    alone_NW = is_own_NW & (counts_W == 1)
    return similarities.masked_fill(alone_NW, -torch.inf)


def _ridge(gram_QNN: Tensor, one_hot_NW: Tensor, c: float) -> Tensor:
    """Return the predictions for each image of the ridge regression without it, [q, n, w]."""
    counts_W = one_hot_NW.sum(0)
    weights_N = one_hot_NW @ (len(one_hot_NW) / (len(counts_W) * counts_W.clamp_min(1)))
    targets_NW = 2 * one_hot_NW - 1
    inverse = torch.linalg.inv(gram_QNN + torch.diag(1 / (c * weights_N)))
    coefficients, diagonal = _bordered(inverse, targets_NW)
    return targets_NW - coefficients / diagonal[..., None]


def _logistic(gram_QNN: Tensor, one_hot_NW: Tensor, c: float) -> Tensor:
    """Return the logits for each image of logistic regression without it, nearly, [q, n, w].

    Each step is a ridge regression, whose matrix stays the same. The image is left out of a last
    one, which has the curvature of the loss where all classes are
    equally probable.
    """
    n_way = one_hot_NW.shape[1]
    inverse, ridge = _inverse(gram_QNN, CURVATURE * c)
    logits = torch.zeros(*gram_QNN.shape[:2], n_way, dtype=gram_QNN.dtype)
    residuals = one_hot_NW - logits.softmax(2)
    for _ in range(STEPS):
        targets = logits + residuals / CURVATURE
        logits = targets - ridge * _bordered(inverse, targets)[0]
        before, residuals = residuals, one_hot_NW - logits.softmax(2)
        if (residuals - before).abs().max() < TOLERANCE:
            break
    inverse, _ = _inverse(gram_QNN, c / n_way)
    targets = logits + n_way * residuals
    coefficients, diagonal = _bordered(inverse, targets)
    return targets - coefficients / diagonal[..., None]


def _inverse(gram_QNN: Tensor, c: float) -> tuple[Tensor, float]:
    """Return the inverse of the regularised Gram matrices, and what was added to the diagonal."""
    ridge = torch.eye(gram_QNN.shape[1], dtype=gram_QNN.dtype) / c
    return torch.linalg.inv(gram_QNN + ridge), 1 / c


def _bordered(inverse_QNN: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Solve for kernel coefficients beside a free bias.

    Args:
        inverse_QNN: inverse of the regularised Gram matrices.
        targets: [n, w] or [q, n, w].

    Returns:
        The coefficients [q, n, w], and the diagonal of the inverse of the bordered matrix, [q, n].
    """
    sums_QN = inverse_QNN.sum(2)
    total_Q = sums_QN.sum(1)
    solved = inverse_QNN @ targets
    biases = solved.sum(1, keepdim=True) / total_Q[:, None, None]
    diagonal = inverse_QNN.diagonal(dim1=1, dim2=2) - sums_QN.square() / total_Q[:, None]
    return solved - sums_QN[..., None] * biases, diagonal
