"""Classifiers on frozen features: logistic and ridge regression, nearest mean, cosine.

Sources: logistic on L2-normalised features, Tian et al., arXiv 2003.11539; nearest mean with centring and L2
(CL2N), Wang et al., SimpleShot, arXiv 1911.04623.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed
from fewshot.config import Positive, Settings
from fewshot.learners.protocol import Classifier, Task

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class Options(Settings):
    """c: inverse strength of the regularisation of logistic and ridge; several values: chosen by cross-validation.

    centre: subtract the support's mean; normalise: to unit length after that; scale: of the logits, but for logistic.
    """

    classifier: Literal["logistic", "ridge", "nearest-mean", "cosine"] = "logistic"
    c: Positive | tuple[Positive, ...] = 1.0
    centre: bool = True
    normalise: bool = True
    scale: Positive = 10.0


class Probe(nn.Module):
    """Fits a classifier to the support's features; the backbone is never trained."""

    feed = None

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.backbone = backbone.requires_grad_(False)
        self.n_way = task.n_way
        self.options = options

    def train(self, mode: bool = True) -> Probe:
        super().train(mode)
        self.backbone.eval()
        return self

    def loss(self, item: Labelled) -> Tensor:
        """Cross-entropy of the fitted classifier; nothing here is trainable."""
        return functional.cross_entropy(self.adapt(item)(item.images), item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        return classifier(self.backbone, support, self.options)


def classifier(backbone: Backbone, support: Labelled, options: Options) -> Classifier:
    """A classifier fitted to the support's features; the backbone is left as it is."""
    raw = embed(backbone, support.images)
    centre = raw.mean(0) if options.centre else torch.zeros_like(raw[0])
    n_way = int(support.labels.max()) + 1

    def prepared(features: Tensor) -> Tensor:
        features = features - centre
        return F.normalize(features, dim=-1) if options.normalise else features

    features = prepared(raw)
    if options.classifier in ("nearest-mean", "cosine"):
        means = functional.prototypes(features, support.labels, n_way)

        def classify(images: Tensor) -> Tensor:
            queries = prepared(embed(backbone, images))
            if options.classifier == "cosine":
                return options.scale * functional.cosine_similarities(queries, means)
            return -options.scale * functional.squared_distances(queries, means)

        return classify
    weight, bias = fit(features, support.labels, n_way, options)
    return lambda images: F.linear(prepared(embed(backbone, images)), weight, bias)


def fit(features: Tensor, labels: Tensor, n_way: int, options: Options) -> tuple[Tensor, Tensor]:
    """Weights [n_way, d] and biases [n_way] of scikit-learn's classifier; labels 0..n_way-1 are all present."""
    from sklearn.linear_model import LogisticRegression, RidgeClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    def make(c: float) -> LogisticRegression | RidgeClassifier:
        if options.classifier == "logistic":
            return LogisticRegression(C=c, max_iter=1000)
        return RidgeClassifier(alpha=1 / c)

    x, y = features.detach().double().cpu().numpy(), labels.cpu().numpy()
    grid = options.c if isinstance(options.c, tuple) else (options.c,)
    c, least = grid[len(grid) // 2], int(labels.bincount().min())
    with _blas_of_scipy().limit(limits=1):
        if len(grid) > 1 and least > 1:
            folds = StratifiedKFold(min(5, least), shuffle=True, random_state=0)
            c = max(grid, key=lambda each: cross_val_score(make(each), x, y, cv=folds).mean())
        fitted = make(c).fit(x, y)
    weight, bias = torch.as_tensor(fitted.coef_).reshape(-1, x.shape[1]), torch.as_tensor(fitted.intercept_)
    if n_way == 2:  # scikit-learn keeps one row for two classes: the logit of the second
        weight, bias = torch.cat([-weight, weight]) / 2, torch.cat([-bias, bias]) / 2
    scale = options.scale if options.classifier == "ridge" else 1.0
    return (scale * weight).to(features), (scale * bias).to(features)


@cache
def _blas_of_scipy() -> ThreadpoolController:
    """The threads of scipy's own copy of BLAS, where its wheel brings one.

    L-BFGS goes to and fro between scipy's short vectors and numpy's large products. Each copy has threads, and those of
    one wait for work on the cores that the other's need: fits took up to sixteen times as long where scipy's were not
    limited to one (benchmarks/results/fits.json).
    """
    from threadpoolctl import ThreadpoolController

    found = ThreadpoolController().select(user_api="blas")
    return found.select(filepath=[each.filepath for each in found.lib_controllers if _is_of_scipy(each.filepath)])


def _is_of_scipy(library: str) -> bool:
    """Whether it lies where scipy's wheels put theirs: scipy.libs, or on macOS scipy/.dylibs."""
    folder = Path(library).parent
    return folder.name == "scipy.libs" or (folder.name, folder.parent.name) == (".dylibs", "scipy")
