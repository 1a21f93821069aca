"""The method `scratch`: a supervised learner and the variations that its settings ask for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from fewshot.backbones import Backbone
from fewshot.config import Count, NotNegative, Positive, ShareUpToOne, renamed
from fewshot.learners import supervised
from fewshot.learners.base import Learner, Task
from fewshot.learners.distillation import Distillation, load_teacher
from fewshot.learners.ensemble import Ensemble
from fewshot.learners.rotation import Rotation
from fewshot.learners.selective import SelectiveBackprop
from fewshot.learners.self_distillation import SelfDistillation
from fewshot.learners.supervised import HeadLearner, Supervised

Fraction = Annotated[float, Field(ge=0, le=1)]


class Options(supervised.Options):
    """The settings of `scratch`: those of the head, and of the variations."""

    ensemble_size: Count = Field(
        default=1,
        description="Networks of one form that train on the same batches, each by its own loss; "
        "the mean of their class probabilities is the prediction.",
        json_schema_extra=renamed("members"),
    )
    rotation: NotNegative = Field(
        default=0.0,
        description="Weight of a second loss: which of four quarter turns was applied to an "
        "image, for a quarter of each batch.",
    )
    teachers: tuple[str, ...] = Field(
        default=(),
        description="Weight files that `fewshot pretrain` wrote for the same classes; their class "
        "probabilities for the same augmented images are targets as well.",
    )
    distillation_weight: Fraction = Field(
        default=0.7,
        description="Share of the teachers in the loss.",
        json_schema_extra=renamed("distil"),
    )
    temperature: Positive = Field(
        default=2.0, description="Divisor of the logits of the teachers and of the student."
    )
    selected_share: ShareUpToOne = Field(
        default=1.0,
        description="Share of each batch that trains: the images with the greatest loss to a "
        "small network, which trains on the same images.",
        json_schema_extra=renamed("keep"),
    )
    selected_until: ShareUpToOne = Field(
        default=1.0,
        description="Share of the training after which whole batches train again.",
        json_schema_extra=renamed("keep_until"),
    )
    self_distillation: Fraction = Field(
        default=0.0,
        description="Share of an image's target, at the end of the training, that is the running "
        "mean of the network's earlier predictions for it; it grows in proportion to the steps.",
        json_schema_extra=renamed("recall"),
    )

    @model_validator(mode="after")
    def _variations_are_compatible(self) -> Options:
        if self.rotation and self.teachers:
            raise ValueError("rotation and teachers exclude each other: remove one")
        if self.selected_share == 1 and self.selected_until < 1:
            raise ValueError("selected_until needs a selected_share below 1: set both, or neither")
        combined = {
            "selected_share below 1": self.selected_share < 1,
            "self_distillation": self.self_distillation > 0,
            "ensemble_size above 1": self.ensemble_size > 1,
        }
        for setting, is_set in combined.items():
            if is_set and (self.rotation or self.teachers):
                raise ValueError(f"{setting} excludes rotation and teachers: remove one")
        if self.ensemble_size > 1 and self.batch_norm == "held":
            raise ValueError("batch_norm held excludes ensemble_size above 1: remove one")
        return self

    def weight_files(self) -> dict[str, tuple[str, ...]]:
        return {"teachers": self.teachers} if self.teachers else {}

    def excludes_mixing(self) -> str | None:
        return "self_distillation" if self.self_distillation else None


class Scratch(Supervised):
    """A network trained from random weights on the labelled images alone.

    `from_config` builds a `Supervised` learner, within the variations that the settings ask for;
    this class is never instantiated.
    """

    options_type = Options

    def __init__(self, *args: Any, **settings: Any) -> None:
        raise TypeError("use Supervised, or Scratch.from_config with the settings of variations")

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Options) -> Learner:
        of_members = {name: getattr(options, name) for name in supervised.Options.model_fields}
        head = supervised.Options(**of_members)
        # All networks come before the heads: random weights depend on the order.
        networks = [backbone]
        networks += [backbone.build_again() for _ in range(1, options.ensemble_size)]
        members = [Supervised(network, task.n_way, head) for network in networks]
        if options.teachers:
            teachers = [
                load_teacher(Path(path), task.n_way, task.classes) for path in options.teachers
            ]
            weight, temperature = options.distillation_weight, options.temperature
            return Distillation(members[0], teachers, weight, temperature)
        if options.rotation:
            return Rotation(members[0], options.rotation)
        network: HeadLearner = Ensemble(members) if len(members) > 1 else members[0]
        learner: Learner = network
        if options.self_distillation:
            learner = SelfDistillation(network, options.self_distillation)
        if options.selected_share < 1:
            learner = SelectiveBackprop(
                learner, task.n_way, options.selected_share, options.selected_until
            )
        return learner
