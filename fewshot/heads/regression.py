"""Logistic and ridge regression on features, fitted by scikit-learn."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

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
        c: inverse strength of the regularisation; of several values, cross-validation chooses one,
            or the middle one is taken if a class has a single image.
        scale: factor of the logits of ridge regression; logistic regression has its own.

    Returns:
        Weights [n_way, d] and biases [n_way], in the precision and on the device of the features.
    """
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    x, y = features.detach().double().cpu().numpy(), labels.cpu().numpy()
    candidates = c if isinstance(c, tuple) else (c,)
    best, smallest_class = candidates[len(candidates) // 2], int(labels.bincount().min())
    with _scipy_blas().limit(limits=1):
        if len(candidates) > 1 and smallest_class > 1:
            folds = StratifiedKFold(min(MAX_FOLDS, smallest_class), shuffle=True, random_state=0)
            best = max(
                candidates,
                key=lambda value: cross_val_score(_make(kind, value), x, y, cv=folds).mean(),
            )
        fitted = _make(kind, best).fit(x, y, _ridge_weights(kind, y))
    weight = torch.as_tensor(fitted.coef_).reshape(-1, x.shape[1])
    bias = torch.as_tensor(fitted.intercept_)
    if n_way == 2:  # scikit-learn returns one row for two classes: the logit of the second
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    factor = scale if kind == "ridge" else 1.0
    return (factor * weight).to(features), (factor * bias).to(features)


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
