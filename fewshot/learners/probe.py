"""Classifiers on frozen features: logistic and ridge regression, nearest mean, cosine.

Sources: logistic regression on features of unit length, Tian et al., arXiv 2003.11539; nearest
mean with centring and unit length (CL2N), Wang et al., SimpleShot, arXiv 1911.04623.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from episodes.types import Features, Labelled
from fewshot import functional
from fewshot.backbones import Backbone, Finish, embed
from fewshot.config import Positive
from fewshot.errors import UserError
from fewshot.heads import affine, calibration, names, nearest_mean
from fewshot.heads.affine import AffineHead
from fewshot.heads.calibration import Calibration
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task


class Options(LearnerOptions):
    """The settings of `probe`."""

    classifier: Literal["logistic", "ridge", "nearest-mean", "cosine"] = Field(
        default="logistic", description="Classifier that is fitted to the support features."
    )
    c: Positive | tuple[Positive, ...] = Field(
        default=1.0,
        description="Inverse strength of the regularisation of logistic and ridge regression; of "
        "several values, cross-validation on the support chooses the one of least log-loss.",
    )
    centre: bool = Field(
        default=True, description="Whether the support's mean is subtracted from the features."
    )
    normalise: bool = Field(
        default=True,
        description="Whether the features, after centring, are scaled to unit length.",
    )
    scale: Positive = Field(
        default=10.0,
        description="Factor of the logits of all classifiers but the logistic regression, which "
        "has its own.",
    )
    prior_from_names: bool | dict[str, tuple[str, ...]] = Field(
        default=False,
        description="Whether to mix the classifier with class probabilities of the pretraining, "
        "whose classes are matched to the data's by name; a mapping lists the pretraining's "
        "classes for each class of the data instead.",
    )

    def needs_labels(self) -> bool:
        return not self.prior_from_names


class Probe(Learner):
    """A classifier fitted to frozen features; the backbone is never trained.

    Args:
        backbone: the network that turns images into features; its weights are frozen.
        options: all settings at once.
        classes: names of the classes to distinguish, which `prior_from_names` reads.
        **settings: single settings; see `Options`.
    """

    feed = None
    options_type = Options
    options: Options

    def __init__(
        self,
        backbone: Backbone,
        options: Options | None = None,
        classes: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        super().__init__(backbone.requires_grad_(False), options, **settings)
        self.groups = self._groups(classes) if self.options.prior_from_names else None

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Any) -> Probe:
        return cls(backbone, options, task.classes)

    def _groups(self, classes: Sequence[str]) -> list[list[int]]:
        """Return for each class the numbers of its classes of the pretraining."""
        known, finish = self.backbone.pretraining, self.backbone.finish
        if known is None or not isinstance(finish, Finish) or not finish.n_classes:
            raise UserError(
                "learner.prior_from_names needs weights that name the classes of their "
                "pretraining, as mini-resnet's and files of `fewshot pretrain` do: use those, or "
                "remove it."
            )
        given = self.options.prior_from_names
        table = given if isinstance(given, dict) else known.matches(classes)
        return known.numbers(table, classes)

    def train(self, mode: bool = True) -> Probe:
        super().train(mode)
        self.backbone.eval()
        return self

    def loss(self, item: Labelled) -> Tensor:
        """Return the cross-entropy of the fitted classifier; it has no trainable weight."""
        return functional.cross_entropy(self.adapt(item)(item.images), item.labels)

    def learns_frequencies(self, n_images: int, *, trained: bool = True) -> bool:
        """Return whether this is logistic regression alone; a mixture is balanced before."""
        return self.options.classifier == "logistic" and self.groups is None

    def adapt(self, support: Labelled) -> Classifier:
        if self.groups is None:
            return fit_classifier(self.backbone, support, self.options)
        finish, groups = self.backbone.finish, self.groups
        assert isinstance(finish, Finish)
        features = embed(self.backbone, support.images).as_subclass(Features)
        classify = names.mix(
            support._replace(images=features),
            self._fit_balanced,
            lambda rows: names.log_probabilities(finish.class_log_probabilities(rows), groups),
        )
        return lambda images: classify(embed(self.backbone, images).as_subclass(Features))

    def affine_head(self, support: Labelled) -> AffineHead | None:
        return fit_head(self.backbone, support, self.options) if self.groups is None else None

    def _fit_balanced(self, support: Labelled) -> Classifier:
        """Fit the classifier, without the frequencies of the labels."""
        learned = self.options.classifier == "logistic"
        shift = calibration.prior_shift("balanced", (), support.labels.bincount(), learned)
        return Calibration(shift).shifted(fit_classifier(self.backbone, support, self.options))


def fit_classifier(backbone: Backbone, support: Labelled, options: Options) -> Classifier:
    """Fit a classifier to the support's features; the backbone does not change."""
    if options.classifier == "logistic" or options.classifier == "ridge":
        head = fit_head(backbone, support, options)
        return lambda images: head(embed(backbone, images))
    support_features = embed(backbone, support.images)
    n_way = int(support.labels.max()) + 1
    zeros = torch.zeros_like(support_features[0])
    centre = support_features.mean(0) if options.centre else zeros

    def prepare(features: Tensor) -> Tensor:
        features = features - centre
        return F.normalize(features, dim=-1) if options.normalise else features

    classify = nearest_mean.fit(
        prepare(support_features),
        support.labels,
        n_way,
        distance="cosine" if options.classifier == "cosine" else "euclidean",
        scale=options.scale,
    )
    return lambda images: classify(prepare(embed(backbone, images)))


def fit_head(backbone: Backbone, support: Labelled, options: Options) -> AffineHead:
    """Fit a classifier to the support's features, as numbers; the backbone does not change."""
    return affine.fit(
        embed(backbone, support.images),
        support.labels,
        int(support.labels.max()) + 1,
        kind=options.classifier,
        c=options.c,
        scale=options.scale,
        centre=options.centre,
        normalise=options.normalise,
    )
