"""Fine-tuning: a head on a backbone, head first, then the backbone's last stages with smaller rates.

Sources: cosine head, Chen et al., arXiv 1904.04232; head that starts from a fitted probe, or is trained first (LP-FT),
Kumar et al., arXiv 2202.10054.
"""

from __future__ import annotations

import copy
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, concatenate, embed, hold_batch_norm
from fewshot.config import Count, Positive
from fewshot.heads import trainable
from fewshot.learners import probe
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task


class Options(trainable.Options, LearnerOptions):
    """As a head's. readout: what classifies, the trained head, or a logistic regression fitted anew to the features.

    readout_c: inverse strength of the regression's regularisation.
    probe_share: the weight, in the mean with the trained head's class probabilities, of those of a probe (`probe_c` is
    its `c`) on the features that the backbone had before training: the two err on other images. It takes a second pass
    of the network to classify.
    members: networks that begin alike and train on parts of each batch of their own, as many images each as there are;
    the mean of their class probabilities is the trained head's answer (Lakshminarayanan et al., arXiv 1612.01474).
    """

    readout: Literal["trained", "logistic"] = "trained"
    readout_c: Positive = 10.0
    probe_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    probe_c: Positive = 3.0
    members: Count = 1

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.members > 1 and self.readout == "logistic":
            raise ValueError(
                "several members answer by their trained heads: leave readout away, or members"
            )
        return self


class Finetune(Learner):
    """Cross-entropy on the support with a linear or cosine head; batch norm keeps its running statistics.

    Which stages train, and when, is the trainer's configuration (`train.phases`, `train.layer_decay`).
    """

    options_type = Options
    feed = "batches"

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        self.n_way, self.options = task.n_way, options
        own = trainable.build(options, backbone.n_features, task.n_way)
        several = options.members > 1
        networks = [backbone, *(copy.deepcopy(backbone) for _ in range(1, options.members))]
        self.backbone = concatenate(networks, split_batch=True) if several else backbone
        self.head = (
            trainable.Members([own, *(copy.deepcopy(own) for _ in networks[1:])])
            if several
            else own
        )
        self.needs = Needs(support=options.readout == "logistic" or options.probe_share > 0)
        # No part: it is neither trained nor kept, since every build begins with the same backbone.
        self._untrained = (
            [copy.deepcopy(backbone).requires_grad_(False)] if options.probe_share else []
        )

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Finetune:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> Finetune:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """The head starts as a nearest-prototype classifier or a probe, or stays random."""
        if self.options.start == "random":
            return  # without a look at the support, which may be large
        own, *_ = embed(self.backbone, support.images).chunk(
            self.options.members, 1
        )  # members are alike as yet
        first, *others = (
            self.head.parts if isinstance(self.head, trainable.Members) else [self.head]
        )
        trainable.begin(first, self.options, own, support.labels, self.n_way)
        for head in others:
            head.load_state_dict(first.state_dict())

    def loss(self, item: Labelled) -> Tensor:
        logits = self.head(embed(self.backbone, item.images))
        if logits.ndim == 2:
            return functional.cross_entropy(logits, item.labels)
        return functional.ensemble_cross_entropy(logits, item.labels)

    def adapt(self, support: Labelled) -> Classifier:
        share, tuned = self.options.probe_share, self._tuned(support)
        if not share:
            return tuned
        untrained = self._untrained[0].to(support.images.device).eval()
        untrained.set_compute(self.backbone.precision, self.backbone.channels_last)
        probed = probe.classifier(untrained, support, probe.Options(c=self.options.probe_c))

        def classify(images: Tensor) -> Tensor:
            both = (1 - share) * tuned(images).softmax(1) + share * probed(images).softmax(1)
            return both.clamp(min=torch.finfo(both.dtype).tiny).log()

        return classify

    def _tuned(self, support: Labelled) -> Classifier:
        if self.options.readout == "logistic":
            return probe.classifier(self.backbone, support, probe.Options(c=self.options.readout_c))
        if self.options.members > 1:
            return lambda images: functional.ensemble_log_probabilities(
                self.head(embed(self.backbone, images))
            )
        return lambda images: self.head(embed(self.backbone, images))
