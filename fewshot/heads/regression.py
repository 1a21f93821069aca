"""Logistic and ridge regression on features, fitted by scikit-learn."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from episodes.rng import generator

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from threadpoolctl import ThreadpoolController

MAX_FOLDS = 5


def fit(
    features: Tensor,
    labels: Tensor,
    n_way: int,
    *,
    kind: Literal["logistic", "ridge"] = "logistic",
    c: float | tuple[float, ...] = 1.0,
    scale: float = 10.0,
) -> tuple[Tensor, Tensor]:
    """Fit a linear classifier to labelled features.

    Args:
        features: float [n, d].
        labels: int64 [n]; every class 0..n_way-1 occurs.
        n_way: number of classes.
        kind: multinomial logistic regression, or ridge regression on one-hot labels, where every
            class has the same total weight.
        c: inverse strength of the regularisation. Of several values, the one is taken whose
            probabilities are best in cross-validation: by the log-loss, to which every class
            contributes as much. Neither the order of the values nor that of the images matters.
            If a class has a single image, the middle value is taken. Copies of an image may be on
            both sides of a fold, because this function does not know which images are copies.
        scale: factor of the logits of ridge regression; logistic regression has its own.

    Returns:
        Weights [n_way, d] and biases [n_way], in the precision and on the device of the features.
    """
    x, y = features.detach().double().cpu().numpy(), labels.cpu().numpy()
    with _scipy_blas().limit(limits=1):
        best = _choose(kind, c, scale, x, y) if isinstance(c, tuple) else c
        weight, bias = _solve(kind, best, scale, x, y)
    return weight.to(features), bias.to(features)


def _choose(
    kind: Literal["logistic", "ridge"],
    candidates: tuple[float, ...],
    scale: float,
    x: np.ndarray,
    y: np.ndarray,
) -> float:
    """Return the candidate of least log-loss in cross-validation, or the middle one without folds.

    Images are sorted by class and by a random projection of their features before they are dealt
    to folds, so that their order has no influence.
    """
    from sklearn.model_selection import StratifiedKFold

    candidates = tuple(sorted(candidates))
    middle, smallest_class = candidates[len(candidates) // 2], int(np.bincount(y).min())
    if len(candidates) == 1 or smallest_class == 1:
        return middle
    direction = torch.randn(x.shape[1], generator=generator(0, "folds-sort"), dtype=torch.float64)
    order = np.lexsort((x @ direction.numpy(), y))
    x, y = x[order], y[order]
    folds = StratifiedKFold(min(MAX_FOLDS, smallest_class), shuffle=True, random_state=0)
    parts = list(folds.split(x, y))

    def loss(value: float) -> float:
        losses = np.empty(len(y))
        for fitted, held_out in parts:
            weight, bias = _solve(kind, value, scale, x[fitted], y[fitted])
            if kind == "logistic":  # as if all classes were equally frequent
                bias = bias - torch.from_numpy(np.bincount(y[fitted])).log()
            logits = torch.from_numpy(x[held_out]) @ weight.T + bias
            labels = torch.from_numpy(y[held_out])
            losses[held_out] = F.cross_entropy(logits, labels, reduction="none").numpy()
        return float((np.bincount(y, losses) / np.bincount(y)).mean())

    return min(candidates, key=lambda value: (loss(value), abs(math.log(value / middle))))


def _solve(
    kind: Literal["logistic", "ridge"], c: float, scale: float, x: np.ndarray, y: np.ndarray
) -> tuple[Tensor, Tensor]:
    """Return weights [n_way, d] and biases [n_way] in float64; every class occurs in `y`."""
    fitted = _make(kind, c).fit(x, y, _ridge_weights(kind, y))
    weight = torch.as_tensor(fitted.coef_).reshape(-1, x.shape[1])
    bias = torch.as_tensor(fitted.intercept_)
    if y.max() == 1:  # scikit-learn returns one row for two classes: the logit of the second
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    factor = scale if kind == "ridge" else 1.0
    return factor * weight, factor * bias


def _ridge_weights(kind: Literal["logistic", "ridge"], y: np.ndarray) -> np.ndarray | None:
    """Return weights of the images for ridge regression, or None if all are equal.

    Its logits are no logarithms of probabilities, so the weights of the fit and not a shift of the
    logits make up for unequal numbers of labels.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    counts = np.bincount(y)
    if kind == "logistic" or (counts == counts[0]).all():
        return None
    return compute_sample_weight("balanced", y)


def _make(kind: Literal["logistic", "ridge"], c: float) -> LogisticRegression | RidgeClassifier:
    from sklearn.linear_model import LogisticRegression, RidgeClassifier

    if kind == "logistic":
        return LogisticRegression(C=c, max_iter=1000)
    return RidgeClassifier(alpha=1 / c)


@cache
def _scipy_blas() -> ThreadpoolController:
    """Return the threads of the BLAS library that scipy's wheel brings, if it brings one.

    L-BFGS alternates between scipy's short vectors and numpy's large products. Both packages have
    a BLAS of their own with its own threads, and idle threads of one occupy the cores that the
    other needs. Fits took up to sixteen times as long without this limit
    (benchmarks/results/probe_fit_threads.json).
    """
    from threadpoolctl import ThreadpoolController

    blas = ThreadpoolController().select(user_api="blas")
    paths = [library.filepath for library in blas.lib_controllers if _is_scipy(library.filepath)]
    return blas.select(filepath=paths)


def _is_scipy(library: str) -> bool:
    """Return whether a library is in scipy's wheel: scipy.libs, or scipy/.dylibs on macOS."""
    folder = Path(library).parent
    return folder.name == "scipy.libs" or (folder.name, folder.parent.name) == (".dylibs", "scipy")
