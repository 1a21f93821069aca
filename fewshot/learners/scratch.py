"""A network trained from random weights on whatever labels there are: the baseline of every study."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from episodes.types import Labelled
from fewshot import distributed, functional
from fewshot.backbones import Backbone, Finish, build, concatenate, embed, from_file
from fewshot.config import BackboneSettings, Count, NotNegative, Positive
from fewshot.errors import UserError
from fewshot.heads import trainable
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task

PROXY_SIDE = 20  # pixels
NEWEST = 0.5  # the share of what the network says now in the mean of all that it has said


class Options(LearnerOptions):
    """hidden: widths of dense layers between the features and the logits; dropout: before every dense layer.

    head: linear, or a cosine with a learnable scale (then without hidden layers).
    rotation: weight of a second loss, which of four quarter turns a quarter of the batch was given (Mangla et al.,
    S2M2, arXiv 1907.12087; Gidaris et al., arXiv 1803.07728).
    teachers: files of `fewshot pretrain` on the same classes, whose class probabilities for the same augmented images
    are targets too (Hinton et al., arXiv 1503.02531; of networks of the same form, Furlanello et al., arXiv
    1805.04770; for few-shot features, Tian et al., arXiv 2003.11539); distil: their share of the loss; temperature:
    that of both sides.
    keep: the share of each batch that trains: the images of greatest loss to a small network, which trains on the same
    and is left behind (airbench96_faster.py in Jordan's cifar10-airbench); it is of speed-cnn's kind, on 20 pixels.
    keep_until: the share of the training in which that is so; after it whole batches train.
    recall: the share of an image's target that is, at the end, the mean of what the network said of it before; it grows
    to that with the steps done (Kim et al., arXiv 2006.12000; the mean of many epochs, Laine and Aila, arXiv
    1610.02242). With alternating flips that is said of both sides, and either alone comes to tell what both do.
    members: networks of one form, each with a head of its own, that train on the same batches, each by its own loss;
    the mean of their class probabilities is the answer, and is what `recall` recalls (Lakshminarayanan et al., arXiv
    1612.01474).
    """

    head: Literal["linear", "cosine"] = "linear"
    hidden: tuple[Count, ...] = ()
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    rotation: NotNegative = 0.0
    teachers: tuple[str, ...] = ()
    distil: Annotated[float, Field(ge=0, le=1)] = 0.7
    temperature: Positive = 2.0
    keep: Annotated[float, Field(gt=0, le=1)] = 1.0
    keep_until: Annotated[float, Field(gt=0, le=1)] = 1.0
    recall: Annotated[float, Field(ge=0, le=1)] = 0.0
    members: Count = 1

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.head == "cosine" and self.hidden:
            raise ValueError("a cosine head takes no hidden layers")
        if self.rotation and self.teachers:
            raise ValueError("rotation and teachers exclude each other: leave one away")
        if self.keep < 1 and (self.rotation or self.teachers):
            raise ValueError("keep below 1 excludes rotation and teachers: leave one away")
        if self.keep == 1 and self.keep_until < 1:
            raise ValueError("keep_until is for keep below 1: give both, or leave it away")
        if self.recall and (self.rotation or self.teachers):
            raise ValueError("recall excludes rotation and teachers: leave one away")
        if self.members > 1 and (self.rotation or self.teachers):
            raise ValueError("several members exclude rotation and teachers: leave one away")
        return self

    def weight_files(self) -> dict[str, tuple[str, ...]]:
        return {"teachers": self.teachers} if self.teachers else {}

    def excludes_mixing(self) -> str | None:
        return "recall" if self.recall else None


class Scratch(Learner):
    """Backbone and linear head, all trained by cross-entropy (studies: H1, H2, H4, E1-E4, A1-A5, K1, K2, K6).

    A backbone of which nothing trains (`train.phases: [{trainable: head}]`, as in H2) works in evaluation mode.
    """

    options_type = Options
    feed = "batches"
    metric_names = ("accuracy_without_views",)

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        networks = [backbone, *(backbone.build_again() for _ in range(1, options.members))]
        for network in networks:
            network.finish = (
                None  # the body alone: what follows it tells of the body that it was found for
            )
        own = [_head(network.n_features, task.n_way, options) for network in networks]
        several = options.members > 1
        self.backbone = concatenate(networks) if several else backbone
        self.head = trainable.Members(own) if several else own[0]
        self.options = options
        images = bool(options.teachers or options.rotation or options.keep < 1)
        self.needs = Needs(images=images, metric_images=True)
        self._teachers = [
            _teacher(Path(each), task.n_way) for each in options.teachers
        ]  # no parts: never trained
        self.turn_head = nn.Linear(backbone.n_features, 4) if options.rotation else None
        self.proxy = _proxy(task.n_way) if options.keep < 1 else None
        self.selects = True  # by the proxy, if there is one
        self.n_way = task.n_way
        self.register_buffer("past", None)
        self.register_buffer("done", torch.zeros(()), persistent=False)

    past: (
        Tensor | None
    )  # class probabilities of each image of the training batches, zeros at first, [n, n_way]
    done: Tensor

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Scratch:
        return cls(backbone, task, options)

    def on_train_start(self, n_images: int) -> None:
        if self.options.recall:
            self.past = torch.zeros(n_images, self.n_way, device=self.done.device)

    def on_train_end(self) -> None:
        self.past = None

    def on_step(self, progress: float) -> None:
        self.done.fill_(progress)
        self.selects = progress < self.options.keep_until

    def train(self, mode: bool = True) -> Scratch:
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.backbone.parameters()):
            self.backbone.eval()
        return self

    def loss(self, item: Labelled) -> Tensor:
        if self._teachers:
            logits = self.head(self.backbone(item.images))
            known = functional.cross_entropy(logits, item.labels)
            taught = functional.distillation(
                logits, self._taught(item.images), self.options.temperature
            )
            return (1 - self.options.distil) * known + self.options.distil * taught
        if self.proxy is not None:
            return self._selected(item, self.proxy)
        if self.turn_head is None:
            return self._known(
                self.head(embed(self.backbone, item.images)), item.labels, item.pool_indices
            )
        n = len(item.images)
        turned, turns = functional.quarter_turns(item.images[: -(-n // 4)])
        features = self.backbone(torch.cat([item.images, turned]))
        supervised = functional.cross_entropy(self.head(features[:n]), item.labels)
        return supervised + self.options.rotation * functional.cross_entropy(
            self.turn_head(features[n:]), turns
        )

    def _selected(self, item: Labelled, proxy: nn.Sequential) -> Tensor:
        """The loss of the images that the proxy knows least; the proxy's own adds its gradient alone."""
        if (
            not self.selects
        ):  # every parameter gets a gradient, which DistributedDataParallel waits for
            untouched = sum(0 * parameter.sum() for parameter in proxy.parameters())
            return (
                self._known(self.head(self.backbone(item.images)), item.labels, item.pool_indices)
                + untouched
            )
        proxy[0].set_compute(self.backbone.precision, self.backbone.channels_last)  # type: ignore[operator]
        with torch.no_grad():
            chosen = functional.hardest(
                proxy(item.images), item.labels, math.ceil(self.options.keep * len(item.images))
            )
        images, labels = item.images[chosen], item.labels[chosen]
        places = None if item.pool_indices is None else item.pool_indices[chosen]
        known = self._known(self.head(self.backbone(images)), labels, places)
        own = functional.cross_entropy(proxy(images), labels)
        return known + (own - own.detach())

    def _known(self, logits: Tensor, labels: Tensor, places: Tensor | None) -> Tensor:
        """Cross-entropy with the labels and with what was said of the same images before; what is said now is noted."""
        loss = functional.cross_entropy if logits.ndim == 2 else functional.ensemble_cross_entropy
        if self.past is None or places is None:
            return loss(logits, labels)
        targets = functional.recall_targets(
            labels, self.past[places], self.options.recall * self.done
        )
        places, said = (
            distributed.joined(places),
            distributed.joined(self._joint(logits.detach().float()).softmax(1)),
        )
        before = self.past[places]
        newest = torch.where(before.sum(1, keepdim=True) > 0, NEWEST, 1.0)
        self.past[places] = torch.lerp(before, said, newest)
        return loss(logits, targets)

    def _joint(self, logits: Tensor) -> Tensor:
        """What all members say, [n, n_way], of logits [n, n_way] of one or [n, members, n_way]."""
        return logits if logits.ndim == 2 else functional.ensemble_log_probabilities(logits)

    @torch.no_grad()
    def _taught(self, images: Tensor) -> Tensor:
        """Class probabilities at the temperature, [n, n_way], each teacher's of its part of the batch.

        Batches are shuffled, so that the gradient is that of the teachers' mean, on average, at one teacher's price.
        """
        logits = []
        for teacher, part in zip(self._teachers, images.chunk(len(self._teachers)), strict=False):
            teacher.to(images.device).set_compute(
                self.backbone.precision, self.backbone.channels_last
            )
            logits.append(teacher.class_logits(part))
        return (torch.cat(logits) / self.options.temperature).softmax(1)

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self._joint(self.head(embed(self.backbone, images)))

    @torch.no_grad()
    def extra_metrics(self, batch: Labelled) -> dict[str, Tensor]:
        """Whether each image is told right without test-time views, [n], where there are such: what the views gain."""
        views = self.backbone.views
        if views == "none" or batch.images.ndim == 2:
            return {}
        self.backbone.views = "none"
        right = self._joint(self.head(embed(self.backbone, batch.images))).argmax(1) == batch.labels
        self.backbone.views = views
        return {"accuracy_without_views": right}


def _head(n_features: int, n_way: int, options: Options) -> nn.Module:
    if options.head == "cosine":
        return trainable.Cosine(n_features, n_way, dropout=options.dropout)
    return trainable.linear(n_features, n_way, options.hidden, options.dropout)


def _proxy(n_way: int) -> nn.Sequential:
    """airbench96_faster's, at the side where it is cheap."""
    backbone = build(
        BackboneSettings(name="speed-cnn", options={"widths": [32, 64, 64]}, input_size=PROXY_SIDE)
    )
    return nn.Sequential(backbone, nn.Linear(backbone.n_features, n_way, bias=False))


def _teacher(path: Path, n_way: int) -> Backbone:
    teacher = from_file(path).requires_grad_(False).eval()
    n_classes = teacher.finish.n_classes if isinstance(teacher.finish, Finish) else 0
    if n_classes != n_way:
        raise UserError(
            f"learner.teachers: {path} tells {n_classes} classes apart, the data has {n_way}: name files that "
            "`fewshot pretrain` wrote for the same data."
        )
    return teacher
