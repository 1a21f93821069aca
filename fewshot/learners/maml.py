"""MAML, first-order MAML and ANIL, on learn2learn's clones and updates.

Sources: MAML and its first order, Finn et al., arXiv 1703.03400; the head alone adapts (ANIL), Raghu et al.,
arXiv 1909.09157; the head starts from the prototypes (Proto-MAML) or at zero, Triantafillou et al., arXiv 1903.03096.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.rng import generator
from episodes.types import Episode, Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count, Positive
from fewshot.errors import UserError
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task

Steps = Annotated[int, Field(ge=0, strict=True)]


class Options(LearnerOptions):
    """order: second is MAML, first takes the inner gradients for constants; head: what it is before the inner steps.

    adapts: what inner steps change: all, the head (ANIL), or the head and the backbone's last n stages.
    body_lr: the backbone's inner rate, null: inner_lr; a head on unit features bears one that breaks a network.
    test_steps: inner steps when judged, null: as in training; inner_batch: images of an inner step at most, beyond
    which batches are class-balanced and the order is the first.
    centre: subtract the support's mean from features; normalise: to unit length after that; scale: the logits' first.
    shots and queries: of a training episode, at most; the support's smaller classes give what they have.
    """

    order: Literal["first", "second"] = "first"
    adapts: Literal["all", "head"] | Count = "head"
    head: Literal["zero", "prototypes"] = "prototypes"
    inner_lr: Positive = 0.1
    body_lr: Positive | None = None
    inner_steps: Steps = 5
    test_steps: Steps | None = None
    inner_batch: Count = 1000
    centre: bool = True
    normalise: bool = True
    scale: Positive = 10.0
    shots: Count = 8
    queries: Count = 8

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.test_steps is not None and self.test_steps < self.inner_steps:
            raise ValueError("test_steps must be inner_steps or more, or null for as many")
        return self


class Maml(Learner):
    """A few gradient steps on the support, from a start that is trained for them.

    The head is made anew for each support, from zero or from the prototypes, so no order of labels can be learned by
    heart and any number of ways fits. The outer steps train whatever the phases say, also what inner steps leave
    alone. Batch norm keeps its running statistics: learn2learn's clones share buffers, and nothing may write them.
    """

    options_type = Options
    feed = "episodes"
    caution = (
        "maml had a single task to learn from, the support's own classes, so this is fine-tuning by a few steps "
        "and not learning from many tasks"
    )

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        _learn2learn()
        self.backbone = backbone
        self.options = options
        self.needs = Needs(images=options.adapts != "head")
        self.adapted = {
            "weight",
            "bias",
            *(f"backbone.{name}" for name in _adapted(backbone, options.adapts)),
        }
        self.log_scale = nn.Parameter(torch.tensor(math.log(options.scale)))

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Maml:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> Maml:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    def loss(self, item: Episode) -> Tensor:
        classify = self._classifier(item.support, len(item.classes), self.options.inner_steps)
        return functional.cross_entropy(classify(item.query.images), item.query.labels)

    def adapt(self, support: Labelled) -> Classifier:
        steps = (
            self.options.inner_steps if self.options.test_steps is None else self.options.test_steps
        )
        return self._classifier(support, int(support.labels.max()) + 1, steps)

    def _classifier(self, support: Labelled, n_way: int, steps: int) -> Classifier:
        """Differentiable in the learner's weights, or cut from every graph where no gradient is wanted."""
        options, differentiable = self.options, torch.is_grad_enabled()
        features = embed(self.backbone, support.images)
        model = self._start(features, support.labels, n_way)
        if not self.needs.images:  # its features stay as they are through all steps
            support = Labelled(features, support.labels)
        many = len(support.labels) > options.inner_batch
        second = differentiable and options.order == "second" and not many
        with torch.enable_grad():
            for step in range(steps):
                part = _balanced(support, n_way, options.inner_batch, step) if many else support
                moved = {
                    name: each for name, each in model.named_parameters() if name in self.adapted
                }
                loss = functional.cross_entropy(model(part.images), part.labels)
                found = torch.autograd.grad(
                    loss, list(moved.values()), create_graph=second, allow_unused=True
                )
                _step(model, dict(zip(moved, found, strict=True)), options)
        if not differentiable:
            _learn2learn().utils.detach_module(model)
        return model

    def _start(self, features: Tensor, labels: Tensor, n_way: int) -> _Model:
        """A clone of the backbone and the head's first weights, from the support's features [n, d]."""
        centre = features.mean(0) if self.options.centre else torch.zeros_like(features[0])
        model = _Model(self.backbone, n_way, centre, self.log_scale.exp(), self.options.normalise)
        model = _learn2learn().utils.clone_module(model)
        if self.options.head == "prototypes":
            prototypes = functional.prototypes(model.prepared(features), labels, n_way)
            # minus half the squared distance; the query's own square is the same for all classes and drops out
            _add(model, {"weight": prototypes, "bias": -prototypes.square().sum(1) / 2})
        for name, each in model.named_parameters():
            if (
                name in self.adapted and not each.requires_grad
            ):  # no gradient wanted, or frozen in the outer loop
                each.requires_grad_()
        return model


def _adapted(backbone: Backbone, adapts: str | int) -> list[str]:
    """Names of the backbone's parameters that inner steps change."""
    if adapts == "all":
        return [name for name, _ in backbone.named_parameters()]
    stages = backbone.stages
    keep = adapts if isinstance(adapts, int) else 0
    return [name for stage in stages[max(0, len(stages) - keep) :] for name in stage]


class _Model(nn.Module):
    """What inner steps change: images or features -> scale * (weight @ prepared features + bias), float [n, n_way]."""

    def __init__(
        self, backbone: Backbone, n_way: int, centre: Tensor, scale: Tensor, normalise: bool
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros_like(centre).repeat(n_way, 1))
        self.bias = nn.Parameter(torch.zeros_like(centre[:1]).repeat(n_way))
        self.backbone = backbone
        self.centre, self.scale, self.normalise = centre, scale, normalise

    def prepared(self, features: Tensor) -> Tensor:
        features = features - self.centre
        return F.normalize(features, dim=-1) if self.normalise else features

    def forward(self, images: Tensor) -> Tensor:
        return self.scale * F.linear(
            self.prepared(embed(self.backbone, images)), self.weight, self.bias
        )


def _step(model: nn.Module, gradients: dict[str, Tensor | None], options: Options) -> None:
    """One step of gradient descent; what the loss does not depend on has no gradient and stays."""
    body_lr = options.inner_lr if options.body_lr is None else options.body_lr
    rates = {
        name: options.inner_lr if name in ("weight", "bias") else body_lr for name in gradients
    }
    _add(model, {name: -rates[name] * each for name, each in gradients.items() if each is not None})


def _add(model: nn.Module, changes: dict[str, Tensor]) -> None:
    """Each named parameter plus its change, in the graph; the others stay."""
    every = [changes.get(name) for name, _ in model.named_parameters()]
    _learn2learn().algorithms.maml_update(model, -1.0, every)


def _balanced(support: Labelled, n_way: int, size: int, step: int) -> Labelled:
    """As many images of every class, drawn anew each step from a fixed generator; a smaller class repeats its own."""
    labels = support.labels
    shuffled = torch.rand(
        len(labels), generator=generator(0, "inner", step), dtype=torch.float64
    ).to(labels.device)
    order = (labels + shuffled).argsort()  # class by class, in random order inside each
    counts = (labels[:, None] == torch.arange(n_way, device=labels.device)).sum(0)
    place = torch.arange(max(1, size // n_way), device=labels.device)
    chosen = order[((counts.cumsum(0) - counts)[:, None] + place % counts[:, None]).flatten()]
    return Labelled(support.images[chosen], labels[chosen])


def _learn2learn() -> ModuleType:
    """learn2learn, which takes seconds to import and is no ordinary dependency; a UserError says how to install it."""
    try:
        import learn2learn
    except ImportError:
        raise UserError(
            "method 'maml' needs learn2learn, which is not installed: "
            "pip install --no-deps -r requirements/learn2learn.txt (and the extra: pip install 'fewshot[maml]')."
        ) from None
    return learn2learn
