"""Mixture of experts, one for each superclass.

Source: Jacobs, Jordan, Nowlan, Hinton, Adaptive mixtures of local experts, Neural Computation 3 (1), 1991.

p(y|x) is the sum over superclasses g of p(g|x) p(y|g,x). The superclasses are known, so the gate is supervised, and
they share no class, so an expert gives the classes of the others nothing.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, concatenate, embed, hold_batch_norm
from fewshot.config import NotNegative
from fewshot.errors import UserError
from fewshot.heads import trainable
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task

UNTIE = 0.1  # of a row's length: two rows of one class that are equal would stay so


class Options(trainable.Options, LearnerOptions):
    """head, start, c, scale, dropout: of every head, as of `finetune`.

    networks: all heads on one backbone, or a backbone for each expert and a general one, which also has a vote.
    batch_norm: keeps its running statistics, or is trained, as random weights with batch norm want.
    gate_weight, expert_weight: of the gate's and the experts' own cross-entropies beside the mixture's likelihood.
    """

    networks: Literal["shared", "separate"] = "shared"
    batch_norm: Literal["held", "trained"] = "held"
    gate_weight: NotNegative = 0.0
    expert_weight: NotNegative = 0.0


class _Found(NamedTuple):
    """gate: logits of the groups [n, n_groups]; within: log p(y | its group, x) [n, n_way], each expert in its columns;
    general: log p(y|x) of the general network, where there is one; mixed: log p(y|x) of the mixture.
    """

    gate: Tensor
    within: Tensor
    general: Tensor | None
    mixed: Tensor


class Experts(Learner):
    """A gate over the superclasses and an expert for each, mixed softly.

    The gate is a head over all classes, pooled: a group's logit is the log of the sum of exp over its classes. A gate
    with one linear logit a group could not say 'one of these four'; this one, with heads that start alike, makes the
    mixture start as the flat classifier (the nearest prototype or the probe) exactly, because the product of softmax
    summed over a group and softmax within it is the flat softmax. From there gate and experts may part.

    networks: shared: one term of the sum is left for each class, so the mixture's likelihood is the gate's
    cross-entropy plus the experts', and `gate_weight` and `expert_weight` only weigh them anew.
    networks: separate (study experts, row E10): backbone 0 is general and bears the gate, backbone g + 1 the expert of
    group g; the general network's own p(y|x) is mixed in with a learned weight that starts at a half. There the two
    weights keep each network at its own part; the general network's cross-entropy counts with the experts'.

    Beside it a flat head learns on the same features, with as many parameters as all the heads as nearly as whole rows
    a class allow (two on one backbone, pooled as the gate is). It reads detached features and adds its gradient to the
    loss, not its value: the mixture is what it would be without it, unless gradients are clipped by their common norm.
    """

    options_type = Options
    feed = "batches"
    metric_names = ("gate_accuracy", "oracle_gate_accuracy", "flat_accuracy")
    group_of_class: Tensor
    column_of_class: Tensor

    def __init__(self, backbone: Backbone, task: Task, options: Options) -> None:
        super().__init__()
        if task.group_of_class is None:
            raise UserError(
                "method 'experts' needs the superclass of every class, and the data set states none: put a groups.yaml "
                "into the folder of the images, with a line `superclass: [class, class]` for each."
            )
        self.options, self.n_way = options, task.n_way
        self.n_groups = int(task.group_of_class.max()) + 1
        self.width = backbone.n_features
        members = [
            (task.group_of_class == group).nonzero().flatten() for group in range(self.n_groups)
        ]
        self.register_buffer("group_of_class", task.group_of_class, persistent=False)
        self.register_buffer("column_of_class", torch.cat(members).argsort(), persistent=False)
        separate = options.networks == "separate"
        copies = [backbone.build_again() for _ in members] if separate else []
        self.backbone = concatenate([backbone, *copies]) if separate else backbone
        self.gate = self._head(self.width, task.n_way)
        self.experts = nn.ModuleList(self._head(self.width, len(each)) for each in members)
        self.general = self._head(self.width, task.n_way) if separate else None
        self.general_logit = nn.Parameter(torch.zeros(())) if separate else None
        a_row = task.n_way * (self.backbone.n_features + 1)
        self.flat_rows = max(
            1, round(sum(each.numel() for each in self._mixture_parameters()) / a_row)
        )
        self.flat = self._head(self.backbone.n_features, task.n_way * self.flat_rows)

    def _head(self, n_features: int, n_logits: int) -> nn.Module:
        return trainable.build(self.options, n_features, n_logits)

    def _mixture_parameters(self) -> list[nn.Parameter]:
        return [
            each
            for name, each in self.named_parameters()
            if not name.startswith(("backbone.", "flat."))
        ]

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Experts:
        return cls(backbone, task, options)

    def train(self, mode: bool = True) -> Experts:
        super().train(mode)
        if self.options.batch_norm == "held":
            hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """Every head starts as a nearest-prototype classifier or a probe, an expert with the rows of its classes."""
        if self.options.start == "random":
            return
        features = embed(self.backbone, support.images)
        general, own = self._parts(features)
        ways = torch.arange(self.n_way, device=features.device)

        def begun(seen: Tensor) -> nn.Module:
            head = self._head(seen.shape[1], self.n_way).to(seen.device)
            trainable.begin(head, self.options, seen, support.labels, self.n_way)
            return head

        first = begun(general)
        trainable.take_rows(self.gate, first, ways)
        if self.general is not None:
            trainable.take_rows(self.general, first, ways)
        for group, (expert, seen) in enumerate(zip(self.experts, own, strict=True)):
            source = first if self.general is None else begun(seen)
            trainable.take_rows(expert, source, ways[self.group_of_class == group])
        weight = trainable.last_layer(self.flat).weight
        random = F.normalize(weight, dim=1)
        trainable.take_rows(
            self.flat,
            first if self.general is None else begun(features),
            ways.repeat(self.flat_rows),
        )
        if self.flat_rows > 1:
            weight.add_(UNTIE * weight.norm(dim=1, keepdim=True) * random)

    def _parts(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The features that the gate and the general network see, and those of each expert."""
        general, *own = features.split(self.width, 1)
        return general, own or [general] * self.n_groups

    def _mixture(self, features: Tensor) -> _Found:
        general, own = self._parts(features)
        gate = functional.group_logits(self.gate(general), self.group_of_class, self.n_groups)
        logits = torch.cat(
            [expert(seen) for expert, seen in zip(self.experts, own, strict=True)], 1
        )
        within = functional.log_softmax_within(
            logits[:, self.column_of_class], self.group_of_class, self.n_groups
        )
        mixed = functional.mixture(gate, within, self.group_of_class)
        if self.general is None or self.general_logit is None:
            return _Found(gate, within, None, mixed)
        alone = self.general(general).log_softmax(1)
        vote = F.logsigmoid(self.general_logit) + alone
        return _Found(
            gate, within, alone, torch.logaddexp(F.logsigmoid(-self.general_logit) + mixed, vote)
        )

    def _flat(self, features: Tensor) -> Tensor:
        return self.flat(features.detach()).unflatten(1, (self.flat_rows, self.n_way)).logsumexp(1)

    def loss(self, item: Labelled) -> Tensor:
        features = embed(self.backbone, item.images)
        found, options = self._mixture(features), self.options
        loss = functional.negative_log_likelihood(found.mixed, item.labels)
        if options.gate_weight:
            groups = functional.group_labels(item.labels, self.group_of_class, self.n_groups)
            loss = loss + options.gate_weight * functional.cross_entropy(found.gate, groups)
        if options.expert_weight:
            for own in (found.within, *([] if found.general is None else [found.general])):
                loss = loss + options.expert_weight * functional.negative_log_likelihood(
                    own, item.labels
                )
        flat = functional.cross_entropy(self._flat(features), item.labels)
        return loss + (flat - flat.detach())

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self._mixture(embed(self.backbone, images)).mixed

    def extra_metrics(self, batch: Labelled) -> dict[str, Tensor]:
        """Whether each image is right, bool [n], labels int64: the gate of its superclass, the mixture of its class
        where the superclass is given (no gate could do better), the flat head of its class.
        """
        features = embed(self.backbone, batch.images)
        found, group = self._mixture(features), self.group_of_class[batch.labels]
        given = found.mixed.masked_fill(self.group_of_class != group[:, None], -torch.inf)
        return {
            "gate_accuracy": found.gate.argmax(1) == group,
            "oracle_gate_accuracy": given.argmax(1) == batch.labels,
            "flat_accuracy": self._flat(features).argmax(1) == batch.labels,
        }
