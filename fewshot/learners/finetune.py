"""Fine-tuning: a head on a backbone, head first, then the last stages with smaller rates.

Sources: cosine head, Chen et al., arXiv 1904.04232; a head that starts from a fitted probe, or
trains before the backbone (LP-FT), Kumar et al., arXiv 2202.10054; ensembles, Lakshminarayanan et
al., arXiv 1612.01474.
"""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, concatenate, embed, hold_batch_norm
from fewshot.config import Count, Positive, renamed
from fewshot.heads import trainable
from fewshot.heads.affine import AffineHead
from fewshot.learners import probe
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task


class Options(trainable.HeadOptions, LearnerOptions):
    """The settings of `finetune`: those of the head, and what classifies after the training."""

    readout: Literal["trained", "logistic"] = Field(
        default="trained",
        description="What classifies: the trained head, or a logistic regression that is fitted "
        "to the trained features.",
    )
    readout_c: Positive = Field(
        default=10.0,
        description="Inverse strength of the regularisation of the logistic regression.",
    )
    probe_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0,
        description="Weight of the class probabilities of a probe on the features before "
        "training, in the mean with those of the trained head; above 0, every image passes "
        "through two networks.",
    )
    probe_c: Positive = Field(
        default=3.0, description="Inverse strength of the regularisation of that probe."
    )
    ensemble_size: Count = Field(
        default=1,
        description="Networks that start alike and train on separate parts of each batch; the "
        "mean of their class probabilities is the prediction of the trained head.",
        json_schema_extra=renamed("members"),
    )

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.ensemble_size > 1 and self.readout == "logistic":
            raise ValueError(
                "an ensemble predicts by its trained heads: remove readout, or ensemble_size"
            )
        return self

    @property
    def fitted_at_start(self) -> bool:
        """Whether a logistic regression classifies before the first step, or at all times."""
        return super().fitted_at_start or self.readout == "logistic"


class FineTune(Learner):
    """Fine-tuning of a backbone and a head by cross-entropy on the support.

    Batch norm uses its running statistics. Which stages train, and when, is the configuration of
    the trainer (`train.phases`, `train.layer_decay`).

    Args:
        backbone: the network that turns images into features.
        n_way: number of classes.
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    feed = "batches"
    options_type = Options
    options: Options

    def __init__(
        self, backbone: Backbone, n_way: int, options: Options | None = None, **settings: Any
    ) -> None:
        super().__init__(backbone, options, **settings)
        self.n_way = n_way
        size = self.options.ensemble_size
        head = trainable.build(self.options, backbone.n_features, n_way)
        # Not registered: it is neither trained nor saved, since every build starts from it.
        self._untrained: list[Backbone] = []
        if self.options.probe_share:
            self._untrained.append(copy.deepcopy(backbone).requires_grad_(False))
        self.head: nn.Module = head
        if size > 1:
            networks = [backbone, *(copy.deepcopy(backbone) for _ in range(1, size))]
            self.backbone = concatenate(networks, split_batch=True)
            self.head = trainable.EnsembleHead(
                [head, *(copy.deepcopy(head) for _ in range(1, size))]
            )
        reads_support = self.options.readout == "logistic" or self.options.probe_share > 0
        self.needs = Needs(support=reads_support)

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> FineTune:
        return cls(backbone, task.n_way, options)

    def train(self, mode: bool = True) -> FineTune:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """Make the head a nearest-prototype classifier or a probe, unless it starts random."""
        if self.options.start == "random":
            return
        # The networks of an ensemble are still alike, so the features of the first are enough.
        features, *_ = embed(self.backbone, support.images).chunk(self.options.ensemble_size, 1)
        heads = [self.head]
        if isinstance(self.head, trainable.EnsembleHead):
            heads = list(self.head.parts)
        trainable.start_from_support(heads[0], self.options, features, support.labels, self.n_way)
        for head in heads[1:]:
            head.load_state_dict(heads[0].state_dict())

    def loss(self, item: Labelled) -> Tensor:
        logits = self.head(embed(self.backbone, item.images))
        if self.options.ensemble_size > 1:
            return functional.ensemble_cross_entropy(logits, item.labels)
        return functional.cross_entropy(logits, item.labels)

    def learns_frequencies(self, n_images: int, *, trained: bool = True) -> bool:
        """Return whether the head was trained, or a logistic regression classifies."""
        return trained or self.options.fitted_at_start

    def adapt(self, support: Labelled) -> Classifier:
        probe_share, classify_trained = self.options.probe_share, self._trained(support)
        if not probe_share:
            return classify_trained
        untrained = self._untrained[0].to(support.images.device).eval()
        untrained.set_compute(self.backbone.precision, self.backbone.channels_last)
        options = probe.Options(c=self.options.probe_c)
        classify_untrained = probe.fit_classifier(untrained, support, options)

        def classify(images: Tensor) -> Tensor:
            trained = (1 - probe_share) * classify_trained(images).softmax(1)
            mean = trained + probe_share * classify_untrained(images).softmax(1)
            return mean.clamp(min=torch.finfo(mean.dtype).tiny).log()

        return classify

    def affine_head(self, support: Labelled) -> AffineHead | None:
        if self.options.probe_share or self.options.ensemble_size > 1:
            return None
        if self.options.readout == "logistic":
            options = probe.Options(c=self.options.readout_c)
            return probe.fit_head(self.backbone, support, options)
        return trainable.as_affine(self.head)

    def _trained(self, support: Labelled) -> Classifier:
        """Return the classifier on the trained features."""
        if self.options.readout == "logistic":
            options = probe.Options(c=self.options.readout_c)
            return probe.fit_classifier(self.backbone, support, options)
        if self.options.ensemble_size > 1:
            return lambda images: functional.ensemble_log_probabilities(
                self.head(embed(self.backbone, images))
            )
        return lambda images: self.head(embed(self.backbone, images))
