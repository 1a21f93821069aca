"""Mixture of experts, one for each superclass.

Source: Jacobs, Jordan, Nowlan, Hinton, Adaptive mixtures of local experts, Neural Computation 3
(1), 1991.

p(y|x) is the sum over superclasses g of p(g|x) p(y|g,x). The superclasses are known, so the gate
is supervised. They have no class in common, so an expert gives no probability to the classes of
the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from episodes.types import Labelled
from fewshot import functional
from fewshot.backbones import Backbone, concatenate, embed, hold_batch_norm
from fewshot.config import NotNegative
from fewshot.errors import UserError
from fewshot.heads import trainable
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Task

# Noise on the rows of the flat head, relative to their length: equal rows of one class would
# otherwise stay equal.
ROW_NOISE = 0.1


class Options(trainable.HeadOptions, LearnerOptions):
    """The settings of `experts`: those of every head, and of the mixture."""

    networks: Literal["shared", "separate"] = Field(
        default="shared",
        description="Whether all heads share one backbone, or each expert has its own beside a "
        "general one, whose prediction is mixed in.",
    )
    batch_norm: Literal["held", "trained"] = Field(
        default="held",
        description="Whether batch norm uses its running statistics, or is trained, which random "
        "weights need.",
    )
    gate_weight: NotNegative = Field(
        default=0.0,
        description="Weight of the gate's cross-entropy beside the likelihood of the mixture.",
    )
    expert_weight: NotNegative = Field(
        default=0.0,
        description="Weight of the experts' cross-entropies beside the likelihood of the mixture.",
    )


class _Output(NamedTuple):
    """What the heads give for n images.

    Attributes:
        gate: logits of the groups, [n, n_groups].
        within: log p(y | group of y, x), [n, n_way]; each expert fills the columns of its classes.
        general: log p(y|x) of the general network, [n, n_way], if there is one.
        mixed: log p(y|x) of the mixture, [n, n_way].
    """

    gate: Tensor
    within: Tensor
    general: Tensor | None
    mixed: Tensor


class Experts(Learner):
    """A mixture of experts: a gate over the superclasses and an expert for each, mixed softly.

    The gate is a head over all classes whose logits are pooled: the logit of a group is the log of
    the sum of exp over its classes. A gate with one linear logit per group could not represent
    "one of these four classes". With heads that start alike, the mixture starts exactly as the
    flat classifier (nearest prototype or probe), because the softmax summed over a group times the
    softmax within it is the flat softmax. From there the gate and the experts may diverge.

    With `networks: shared`, one term of the sum is left for each class. So the likelihood of the
    mixture is the cross-entropy of the gate plus that of the experts, and `gate_weight` and
    `expert_weight` only change their weights.

    With `networks: separate` (study experts, row E10), backbone 0 is general and carries the gate,
    and backbone g + 1 carries the expert of group g. The general network's own p(y|x) is mixed in
    with a learned weight that starts at one half. Here the two weights keep each network at its
    own part; the general network's cross-entropy counts with those of the experts.

    For comparison, a flat head learns on the same features, with about as many parameters as all
    other heads: as many whole rows per class as come nearest (two on one backbone), pooled like
    the gate. It reads detached features and adds its gradient to the loss, but not its value. So
    the mixture trains as without it, unless gradients are clipped by their common norm.

    Args:
        backbone: the network that turns images into features.
        group_of_class: the superclass of each class, integers 0..n_groups-1, [n_way].
        options: all settings at once.
        **settings: single settings; see `Options`.
    """

    feed = "batches"
    options_type = Options
    options: Options
    metric_names = ("gate_accuracy", "oracle_gate_accuracy", "flat_accuracy")
    group_of_class: Tensor
    column_of_class: Tensor

    def __init__(
        self,
        backbone: Backbone,
        group_of_class: Tensor | Sequence[int],
        options: Options | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(backbone, options, **settings)
        groups = torch.as_tensor(group_of_class)
        self.n_way, self.n_groups = len(groups), int(groups.max()) + 1
        self.width = backbone.n_features
        classes_of_group = [(groups == group).nonzero().flatten() for group in range(self.n_groups)]
        self.register_buffer("group_of_class", groups, persistent=False)
        columns = torch.cat(classes_of_group).argsort()
        self.register_buffer("column_of_class", columns, persistent=False)
        separate = self.options.networks == "separate"
        if separate:
            expert_backbones = [backbone.build_again() for _ in classes_of_group]
            self.backbone = concatenate([backbone, *expert_backbones])
        self.gate = self._head(self.width, self.n_way)
        self.experts = nn.ModuleList(
            self._head(self.width, len(classes)) for classes in classes_of_group
        )
        self.general = self._head(self.width, self.n_way) if separate else None
        self.general_logit = nn.Parameter(torch.zeros(())) if separate else None
        row_size = self.n_way * (self.backbone.n_features + 1)
        self.flat_rows = max(1, round(self._n_mixture_parameters() / row_size))
        self.flat = self._head(self.backbone.n_features, self.n_way * self.flat_rows)

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Experts:
        if task.group_of_class is None:
            raise UserError(
                "method 'experts' needs the superclass of every class, and the data set states "
                "none: put a groups.yaml into the folder of the images, with a line "
                "`superclass: [class, class]` for each."
            )
        return cls(backbone, task.group_of_class, options)

    def _head(self, n_features: int, n_logits: int) -> nn.Module:
        return trainable.build(self.options, n_features, n_logits)

    def _n_mixture_parameters(self) -> int:
        """Return the number of parameters of the gate, the experts and the general head."""
        return sum(
            parameter.numel()
            for name, parameter in self.named_parameters()
            if not name.startswith(("backbone.", "flat."))
        )

    def train(self, mode: bool = True) -> Experts:
        super().train(mode)
        if self.options.batch_norm == "held":
            hold_batch_norm(self.backbone)
        return self

    @torch.no_grad()
    def prepare(self, support: Labelled) -> None:
        """Start every head as a nearest-prototype classifier or a probe, with the rows it needs."""
        if self.options.start == "random":
            return
        features = embed(self.backbone, support.images)
        general_features, expert_features = self._split(features)
        ways = torch.arange(self.n_way, device=features.device)
        first = self._fitted_head(general_features, support.labels)
        trainable.copy_rows(self.gate, first, ways)
        if self.general is not None:
            trainable.copy_rows(self.general, first, ways)
        for group, (expert, own) in enumerate(zip(self.experts, expert_features, strict=True)):
            source = first if self.general is None else self._fitted_head(own, support.labels)
            trainable.copy_rows(expert, source, ways[self.group_of_class == group])
        weight = trainable.last_layer(self.flat).weight
        directions = F.normalize(weight, dim=1)  # still random
        source = first if self.general is None else self._fitted_head(features, support.labels)
        trainable.copy_rows(self.flat, source, ways.repeat(self.flat_rows))
        if self.flat_rows > 1:
            weight.add_(ROW_NOISE * weight.norm(dim=1, keepdim=True) * directions)

    def _fitted_head(self, features: Tensor, labels: Tensor) -> nn.Module:
        """Return a head of all classes that starts from these features of the support."""
        head = self._head(features.shape[1], self.n_way).to(features.device)
        trainable.start_from_support(head, self.options, features, labels, self.n_way)
        return head

    def _split(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the features of the gate and the general head, and those of each expert."""
        general, *own = features.split(self.width, 1)
        return general, own or [general] * self.n_groups

    def _mixture(self, features: Tensor) -> _Output:
        general_features, expert_features = self._split(features)
        gate = functional.group_logits(
            self.gate(general_features), self.group_of_class, self.n_groups
        )
        expert_logits = [
            expert(own) for expert, own in zip(self.experts, expert_features, strict=True)
        ]
        logits = torch.cat(expert_logits, 1)[:, self.column_of_class]
        within = functional.log_softmax_within(logits, self.group_of_class, self.n_groups)
        mixed = functional.mixture(gate, within, self.group_of_class)
        if self.general is None or self.general_logit is None:
            return _Output(gate, within, None, mixed)
        general = self.general(general_features).log_softmax(1)
        weighted_general = F.logsigmoid(self.general_logit) + general
        weighted_experts = F.logsigmoid(-self.general_logit) + mixed
        both = torch.logaddexp(weighted_experts, weighted_general)
        return _Output(gate, within, general, both)

    def _flat_logits(self, features: Tensor) -> Tensor:
        rows = self.flat(features.detach()).unflatten(1, (self.flat_rows, self.n_way))
        return rows.logsumexp(1)

    def loss(self, item: Labelled) -> Tensor:
        features = embed(self.backbone, item.images)
        output, options = self._mixture(features), self.options
        loss = functional.negative_log_likelihood(output.mixed, item.labels)
        if options.gate_weight:
            groups = functional.group_labels(item.labels, self.group_of_class, self.n_groups)
            loss = loss + options.gate_weight * functional.cross_entropy(output.gate, groups)
        if options.expert_weight:
            own_predictions = [output.within]
            if output.general is not None:
                own_predictions.append(output.general)
            for prediction in own_predictions:
                own_loss = functional.negative_log_likelihood(prediction, item.labels)
                loss = loss + options.expert_weight * own_loss
        flat_loss = functional.cross_entropy(self._flat_logits(features), item.labels)
        return loss + (flat_loss - flat_loss.detach())

    def learns_frequencies(self, n_images: int, *, trained: bool = True) -> bool:
        """Return whether the heads were trained, or start from a logistic regression."""
        return trained or self.options.fitted_at_start

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: self._mixture(embed(self.backbone, images)).mixed

    def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
        """Return whether each image is classified correctly, bool [n], by three classifiers.

        They are the gate on the superclasses, the mixture if the superclass is given, and the flat
        head.
        """
        features = embed(self.backbone, batch.images)
        output, group = self._mixture(features), self.group_of_class[batch.labels]
        gate, mixed, flat = output.gate, output.mixed, self._flat_logits(features)
        if shift is not None:
            within = output.within + shift
            gate = gate + functional.group_logits(within, self.group_of_class, self.n_groups)
            mixed, flat = mixed + shift, flat + shift
        is_other_group = self.group_of_class != group[:, None]
        return {
            "gate_accuracy": gate.argmax(1) == group,
            "oracle_gate_accuracy": mixed.masked_fill(is_other_group, -torch.inf).argmax(1)
            == batch.labels,
            "flat_accuracy": flat.argmax(1) == batch.labels,
        }
