"""Logistic and ridge regression on features, fitted by scikit-learn."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


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
        kind: multinomial logistic regression, or ridge regression on one-hot labels.
        c: inverse strength of the regularisation; of several values cross-validation chooses one.
        scale: factor on the logits of ridge regression; logistic regression has its own.

    Returns:
        Weights [n_way, d] and biases [n_way], in the precision and on the device of the features.
    """
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    def make(c: float) -> LogisticRegression | RidgeClassifier:
        if kind == "logistic":
            return LogisticRegression(C=c, max_iter=1000)
        return RidgeClassifier(alpha=1 / c)

    x, y = features.detach().double().cpu().numpy(), labels.cpu().numpy()
    grid = c if isinstance(c, tuple) else (c,)
    best, smallest_class = grid[len(grid) // 2], int(labels.bincount().min())
    with _blas_of_scipy().limit(limits=1):
        if len(grid) > 1 and smallest_class > 1:
            folds = StratifiedKFold(min(5, smallest_class), shuffle=True, random_state=0)
            best = max(grid, key=lambda value: cross_val_score(make(value), x, y, cv=folds).mean())
        fitted = make(best).fit(x, y)
    weight, bias = (
        torch.as_tensor(fitted.coef_).reshape(-1, x.shape[1]),
        torch.as_tensor(fitted.intercept_),
    )
    if n_way == 2:  # scikit-learn returns one row for two classes: the logit of the second
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    factor = scale if kind == "ridge" else 1.0
    return (factor * weight).to(features), (factor * bias).to(features)


@cache
def _blas_of_scipy() -> ThreadpoolController:
    """The threads of scipy's own copy of BLAS, where its wheel brings one.

    L-BFGS goes to and fro between scipy's short vectors and numpy's large products. Each copy has threads, and those of
    one wait for work on the cores that the other's need: fits took up to sixteen times as long where scipy's were not
    limited to one (benchmarks/results/probe_fit_threads.json).
    """
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    return found.select(
        filepath=[each.filepath for each in found.lib_controllers if _is_of_scipy(each.filepath)]
    )


def _is_of_scipy(library: str) -> bool:
    """Whether it lies where scipy's wheels put theirs: scipy.libs, or on macOS scipy/.dylibs."""
    folder = Path(library).parent
    return folder.name == "scipy.libs" or (folder.name, folder.parent.name) == (".dylibs", "scipy")
