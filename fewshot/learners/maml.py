"""MAML, first-order MAML and ANIL, on learn2learn's clones and updates.

Sources: MAML and its first-order form, Finn et al., arXiv 1703.03400; adapting the head alone
(ANIL), Raghu et al., arXiv 1909.09157; a head that starts from the prototypes (Proto-MAML) or at
zero, Triantafillou et al., arXiv 1903.03096.
"""

from __future__ import annotations

import math
from types import ModuleType
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.rng import generator
from episodes.types import Episode, Features, Labelled
from fewshot import functional
from fewshot.backbones import Backbone, embed, hold_batch_norm
from fewshot.config import Count, Positive, renamed
from fewshot.errors import UserError
from fewshot.learners import anil
from fewshot.learners.base import Classifier, EpisodeOptions, Learner, Needs, Task

Steps = Annotated[int, Field(ge=0, strict=True)]


class Options(EpisodeOptions):
    """The settings of `maml`."""

    order: Literal["first", "second"] = Field(
        default="first",
        description="Order of the gradients of the outer loss: second is MAML; first takes the "
        "inner gradients as constants.",
    )
    inner_trainable: Literal["all", "head"] | Count = Field(
        default="head",
        description="What the inner steps change: all weights, the head (ANIL), or the head and "
        "this number of the backbone's last stages.",
        json_schema_extra=renamed("adapts"),
    )
    head: Literal["zero", "prototypes", "learned"] = Field(
        default="prototypes",
        description="The head before the inner steps: all zero, made from the prototypes, or "
        "`learned`, an initial head for a fixed number of classes that is trained like all other "
        "weights, as in the original MAML.",
    )
    relabel: bool = Field(
        default=True,
        description="Whether every training episode numbers its classes in a new random order; if "
        "not, they have the data set's numbers, which a learned head can memorise.",
    )
    inner_lr: Positive = Field(default=0.1, description="Learning rate of the inner steps.")
    body_lr: Positive | None = Field(
        default=None,
        description="Learning rate of the inner steps for the backbone, which a rate that suits "
        "the head may ruin; null uses inner_lr.",
    )
    inner_steps: Steps = Field(default=5, description="Inner steps while training.")
    test_steps: Steps | None = Field(
        default=None,
        description="Inner steps in the evaluation: at least as many as in training; null takes as "
        "many as in training, and 0 evaluates the weights before adaptation.",
    )
    inner_batch: Count = Field(
        default=1000,
        description="Largest batch of an inner step; a larger support set is split into "
        "class-balanced batches, with first-order gradients, and then the order of the images has "
        "an influence on their choice. [images]",
    )
    centre: bool = Field(
        default=True, description="Whether the support's mean is subtracted from the features."
    )
    normalise: bool = Field(
        default=True,
        description="Whether the features, after centring, are scaled to unit length.",
    )
    scale: Positive = Field(
        default=10.0, description="Initial factor of the logits, which is then learned."
    )

    @model_validator(mode="after")
    def _coherent(self) -> Options:
        if self.test_steps and self.test_steps < self.inner_steps:
            raise ValueError("test_steps must be inner_steps or more, 0, or null for as many")
        return self

    def excludes_base(self) -> str | None:
        return None if self.relabel else "relabel"


class MAML(Learner):
    """MAML: a few gradient steps on the support, from initial weights trained for them.

    Unless it is `learned`, the head is made anew for each support, from zero or from the
    prototypes. So no order of the labels can be memorised, and the learner works for any number of
    classes. The outer steps train whatever `train.phases` says, including weights that the inner
    steps do not change. Batch norm uses its running statistics: learn2learn's clones share buffers,
    and nothing may write them.

    Args:
        backbone: the network that turns images into features.
        options: all settings at once.
        n_way: the number of classes, which a learned head and fixed numbers of classes need.
        **settings: single settings; see `Options`.
    """

    feed = "episodes"
    at_once = 8
    options_type = Options
    options: Options
    caution = (
        "maml had a single task to learn from, the support's own classes, so this is fine-tuning "
        "by a few steps and not learning from many tasks"
    )

    def __init__(
        self,
        backbone: Backbone,
        options: Options | None = None,
        *,
        n_way: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(backbone, options, **settings)
        _learn2learn()
        self.n_way: int | None = None
        self.head: nn.Linear | None = None
        if self.options.head == "learned" or not self.options.relabel:
            if n_way is None:
                raise TypeError("MAML: head='learned' and relabel=False need n_way")
            self.n_way = n_way
        if self.options.head == "learned":
            self.head = nn.Linear(backbone.n_features, n_way or 0)
        self.needs = Needs(images=self.options.inner_trainable != "head")
        body_names = _inner_names(backbone, self.options.inner_trainable)
        self.inner_names = {"weight", "bias", *(f"backbone.{name}" for name in body_names)}
        self.log_scale = nn.Parameter(torch.tensor(math.log(self.options.scale)))

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> MAML:
        return cls(backbone, options, n_way=task.n_way)

    def train(self, mode: bool = True) -> MAML:
        super().train(mode)
        hold_batch_norm(self.backbone)
        return self

    def loss(self, item: Episode) -> Tensor:
        n_way, support, query = len(item.classes), item.support, item.query
        self._check_classes(n_way)
        if not self.options.relabel:
            support = Labelled(support.images, item.classes[support.labels])
            query = Labelled(query.images, _renumbered(query.labels, item.classes))
        if self._adapts_heads_at_once(len(support.labels)):
            support_TSD, query_TQD = (
                embed(self.backbone, part.images)[None] for part in (support, query)
            )
            labels_TS, steps = support.labels[None], self.options.inner_steps
            logits = self._head_logits(support_TSD, labels_TS, query_TQD, n_way, steps)[0]
        else:
            logits = self._classifier(support, n_way, self.options.inner_steps)(query.images)
        return functional.cross_entropy(logits, query.labels)

    def learns_frequencies(self, n_images: int, *, trained: bool = True) -> bool:
        """Return whether there are inner steps, on all images; their batches are balanced."""
        return self._test_steps > 0 and n_images <= self.options.inner_batch

    def adapt(self, support: Labelled) -> Classifier:
        n_way = int(support.labels.max()) + 1
        self._check_classes(n_way)
        return self._classifier(support, n_way, self._test_steps)

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        if not self._adapts_heads_at_once(labels_TS.shape[1]):
            return super().task_logits(support_TSD, labels_TS, query_TQD, n_way)
        self._check_classes(n_way)
        return self._head_logits(support_TSD, labels_TS, query_TQD, n_way, self._test_steps)

    def _adapts_heads_at_once(self, n_support: int) -> bool:
        """Return whether the inner steps change the head alone, and see the whole support."""
        return not self.needs.images and n_support <= self.options.inner_batch

    def _head_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int, steps: int
    ) -> Tensor:
        """Return the logits [t, q, n_way] of tasks after inner steps of the head alone."""
        options = self.options
        if options.centre:
            centre = support_TSD.mean(1, keepdim=True)
            support_TSD, query_TQD = support_TSD - centre, query_TQD - centre
        if options.normalise:
            support_TSD = F.normalize(support_TSD, dim=-1)
            query_TQD = F.normalize(query_TQD, dim=-1)
        head = options.head if self.head is None else self.head
        start = anil.start(head, support_TSD, labels_TS, n_way)
        scale = self.log_scale.exp()
        heads = anil.adapt(start, support_TSD, labels_TS, scale, options.inner_lr, steps)
        if options.order == "first":
            heads = anil.with_constant_steps(start, heads)
        return scale * (query_TQD @ heads.weight_TWD.mT + heads.bias_TW[:, None])

    @property
    def _test_steps(self) -> int:
        steps = self.options.test_steps
        return self.options.inner_steps if steps is None else steps

    def _check_classes(self, n_way: int) -> None:
        """Check the number of classes of a task, if the learner is for a fixed number.

        Raises:
            UserError: it is another.
        """
        if self.n_way not in (None, n_way):
            raise UserError(
                f"maml was built for {self.n_way} classes and got a task of {n_way}: label two "
                "images of every class, or use learner.head=prototypes and learner.relabel=true."
            )

    def _classifier(self, support: Labelled, n_way: int, steps: int) -> Classifier:
        """Return the adapted model, differentiable in the learner's weights if gradients are on."""
        options, differentiable = self.options, torch.is_grad_enabled()
        features = self.log_scale.new_zeros(0, self.backbone.n_features)
        if not self.needs.images or options.centre or options.head == "prototypes":
            features = embed(self.backbone, support.images)
        model = self._start(features, support.labels, n_way)
        if not self.needs.images:  # all inner steps see the same features
            support = Labelled(features.as_subclass(Features), support.labels)
        in_batches = len(support.labels) > options.inner_batch
        second_order = differentiable and options.order == "second" and not in_batches
        with torch.enable_grad():
            for step in range(steps):
                batch = support
                if in_batches:
                    batch = _balanced_batch(support, n_way, options.inner_batch, step)
                parameters = {
                    name: parameter
                    for name, parameter in model.named_parameters()
                    if name in self.inner_names
                }
                loss = functional.cross_entropy(model(batch.images), batch.labels)
                gradients = torch.autograd.grad(
                    loss, list(parameters.values()), create_graph=second_order, allow_unused=True
                )
                _step(model, dict(zip(parameters, gradients, strict=True)), options)
        if not differentiable:
            _learn2learn().utils.detach_module(model)
        return model

    def _start(self, features: Tensor, labels: Tensor, n_way: int) -> _Model:
        """Return a clone of the backbone with its initial head.

        The features of the support are [n, d], or [0, d] where neither centre nor head need them.
        """
        centre = features.new_zeros(features.shape[1])
        if self.options.centre:
            centre = features.mean(0)
        model = _Model(self.backbone, n_way, centre, self.log_scale.exp(), self.options.normalise)
        model = _learn2learn().utils.clone_module(model)
        if self.options.head == "prototypes":
            prototypes = functional.prototypes(model.prepare(features), labels, n_way)
            # Minus half the squared distance; the square of the query is the same for all classes.
            _add(model, {"weight": prototypes, "bias": -prototypes.square().sum(1) / 2})
        elif self.head is not None:
            _add(model, {"weight": self.head.weight, "bias": self.head.bias})
        for name, parameter in model.named_parameters():
            # Without gradients, or frozen in the outer loop, it has none yet.
            if name in self.inner_names and not parameter.requires_grad:
                parameter.requires_grad_()
        return model


def _renumbered(labels: Tensor, classes: Tensor) -> Tensor:
    """Return labels of a task, numbers or soft labels [n, n_way], as labels of the data set."""
    if labels.ndim == 1:
        return classes[labels]
    return torch.empty_like(labels).index_copy(1, classes, labels)


def _inner_names(backbone: Backbone, inner_trainable: Literal["all", "head"] | int) -> list[str]:
    """Return the names of the backbone's parameters that the inner steps change."""
    if inner_trainable == "all":
        return [name for name, _ in backbone.named_parameters()]
    if inner_trainable == "head":
        return []
    first_stage = max(0, len(backbone.stages) - inner_trainable)
    return [name for stage in backbone.stages[first_stage:] for name in stage]


class _Model(nn.Module):
    """What the inner steps change: images or features -> logits [n, n_way].

    The logits are scale * (weight @ prepared features + bias).
    """

    def __init__(
        self, backbone: Backbone, n_way: int, centre: Tensor, scale: Tensor, normalise: bool
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros_like(centre).repeat(n_way, 1))
        self.bias = nn.Parameter(torch.zeros_like(centre[:1]).repeat(n_way))
        self.backbone = backbone
        self.centre, self.scale, self.normalise = centre, scale, normalise

    def prepare(self, features: Tensor) -> Tensor:
        features = features - self.centre
        return F.normalize(features, dim=-1) if self.normalise else features

    def forward(self, images: Tensor) -> Tensor:
        features = self.prepare(embed(self.backbone, images))
        return self.scale * F.linear(features, self.weight, self.bias)


def _step(model: nn.Module, gradients: dict[str, Tensor | None], options: Options) -> None:
    """Take one step of gradient descent; a parameter without a gradient does not change."""
    body_lr = options.inner_lr if options.body_lr is None else options.body_lr
    changes: dict[str, Tensor] = {}
    for name, gradient in gradients.items():
        if gradient is not None:
            rate = options.inner_lr if name in ("weight", "bias") else body_lr
            changes[name] = -rate * gradient
    _add(model, changes)


def _add(model: nn.Module, changes: dict[str, Tensor]) -> None:
    """Add to each named parameter its change, within the graph."""
    updates = [changes.get(name) for name, _ in model.named_parameters()]
    _learn2learn().utils.update_module(model, updates=updates)


def _balanced_batch(support: Labelled, n_way: int, size: int, step: int) -> Labelled:
    """Return equally many images of every class, another choice at each step.

    The choice comes from a fixed generator; a class with too few images repeats them. It depends on
    the order of the support.
    """
    labels = support.labels
    random = torch.rand(len(labels), generator=generator(0, "inner", step), dtype=torch.float64)
    # By class, and in random order within it.
    order = (labels + random.to(labels.device, non_blocking=True)).argsort()
    counts = (labels[:, None] == torch.arange(n_way, device=labels.device)).sum(0)
    starts = counts.cumsum(0) - counts
    positions = torch.arange(max(1, size // n_way), device=labels.device)
    chosen = order[(starts[:, None] + positions % counts[:, None]).flatten()]
    return Labelled(support.images[chosen], labels[chosen])


def _learn2learn() -> ModuleType:
    """Return learn2learn, which takes seconds to import and is an optional dependency.

    Raises:
        UserError: if it is not installed, with the command that installs it.
    """
    try:
        import learn2learn
    except ImportError:
        raise UserError(
            "method 'maml' needs learn2learn, which is not installed: pip install --no-deps "
            "-r requirements/learn2learn.txt (and the extra: pip install 'fewshot[maml]')."
        ) from None
    return learn2learn
