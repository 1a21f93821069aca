"""The interface of every learner: what the trainer, the evaluation and the runs may rely on.

A concrete learner is one file. It derives from `Learner`, implements `loss` and `adapt`, and is
final. `loss` and the hook `on_step` are declared in the base class `Trainable`
(fewshot/training/trainable.py), all else here. Nothing is discovered: a hook that is declared in
neither does not exist.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor

from episodes.tasks.task_set import TaskSet
from episodes.types import Episode, Features, Labelled, Pairs
from fewshot.backbones import Backbone
from fewshot.config import Count, Settings, check, renamed
from fewshot.heads.affine import AffineHead
from fewshot.heads.pool import gathered
from fewshot.heads.task_head import TaskClassifier
from fewshot.training.trainable import Trainable

# images float [n, c, h, w] -> logits [n, n_way], higher is better
Classifier = Callable[[Tensor], Tensor]
Feed = Literal["batches", "episodes", "pairs"]
Item = Labelled | Episode | Pairs


class LearnerOptions(Settings):
    """The settings of a learner, the section `learner:` of a configuration."""

    def weight_files(self) -> dict[str, tuple[str, ...]]:
        """Return the paths of weight files by setting; a run is identified by their content."""
        return {}

    def needs_labels(self) -> bool:
        """Return whether the learner needs at least one label of each class."""
        return True

    def excludes_mixing(self) -> str | None:
        """Return the setting that excludes augmentations which mix images, or None."""
        return None

    def excludes_base(self) -> str | None:
        """Return the setting that excludes training on the classes of another set, or None."""
        return None


class EpisodeOptions(LearnerOptions):
    """The settings of a learner that trains on episodes."""

    episode_ways: Annotated[int, Field(ge=2, strict=True)] | None = Field(
        default=None,
        description="Number of classes of a training episode if another data set (`train.base`) is "
        "trained on; null takes as many as the data set of the run has.",
    )
    episode_shots: Count = Field(
        default=8,
        description="Largest support set of a training episode; smaller classes give all "
        "their images. [images per class]",
        json_schema_extra=renamed("shots"),
    )
    episode_queries: Count = Field(
        default=8,
        description="Largest query set of a training episode. [images per class]",
        json_schema_extra=renamed("queries"),
    )


class Task(NamedTuple):
    """What a learner is built for.

    Attributes:
        n_way: the number of classes.
        group_of_class: the superclass of each class, int64 [n_way], or None where unknown.
        classes: the names of the classes, in the order of the labels; empty if they are unknown.
        n_base: the number of base classes that the learner is trained on; None without any.
    """

    n_way: int
    group_of_class: Tensor | None = None
    classes: tuple[str, ...] = ()
    n_base: int | None = None


class Needs(NamedTuple):
    """What a learner requires of its input.

    Attributes:
        images: the learner needs the images themselves; cached features cannot replace them.
        support: `adapt` reads the whole support set, although a trained head classifies.
        metric_images: `extra_metrics` needs the images themselves.
    """

    images: bool = False
    support: bool = False
    metric_images: bool = False


class Learner(Trainable):
    """A way of learning from labelled images.

    Args:
        backbone: the network that turns images into features.
        options: the settings as an instance of `options_type`; None builds it from `settings`.
        **settings: single settings, by the names of the fields of `options_type`.

    Attributes:
        feed: the stream that the learner trains on, or None if it needs no training.
        options_type: the class that checks the settings of the learner.
        contract_steps: optimiser steps after which the learner solves the easy task of the
            contract test (tests/fewshot/learners/test_contract.py). The learning rate there is
            0.01 up to 40 steps, and falls with the root of their number beyond.
        at_once: how many times as many tasks to solve at once on cached features as for a learner
            that copies the features of every task and does not iterate.
        needs: what the learner requires of its input; see `Needs`.
        metric_names: the names of all values that `extra_metrics` may return.
        caution: a sentence for the warnings of the record, if the learner was trained, but not
            meta-trained on another data set.
        episode_ways: for a feed of episodes of base classes, classes of an episode; None for as
            many as the task has. Taken from options that derive from `EpisodeOptions`, as are the
            next two.
        episode_shots: for a feed of episodes, support images per class, at most.
        episode_queries: the same for query images.
    """

    feed: ClassVar[Feed | None]
    options_type: ClassVar[type[LearnerOptions]] = LearnerOptions
    contract_steps: ClassVar[int] = 40
    at_once: ClassVar[int] = 1
    needs: Needs = Needs()
    metric_names: tuple[str, ...] = ()
    caution: str | None = None
    episode_ways: int | None = None
    episode_shots: int = 8
    episode_queries: int = 8
    backbone: Backbone

    def __init__(
        self, backbone: Backbone, options: LearnerOptions | None = None, **settings: Any
    ) -> None:
        super().__init__()
        self.backbone = backbone
        if options is None:
            options = check(self.options_type, settings, type(self).__name__)
        elif settings:
            raise TypeError(f"{type(self).__name__}: give either options or single settings")
        self.options = options
        if isinstance(options, EpisodeOptions):
            self.episode_ways = options.episode_ways
            self.episode_shots = options.episode_shots
            self.episode_queries = options.episode_queries

    @classmethod
    def from_config(cls, backbone: Backbone, task: Task, options: Any) -> Learner:
        """Build the learner for a task from checked settings, an instance of `options_type`."""
        return cls(backbone, options)

    @abstractmethod
    def adapt(self, support: Labelled) -> Classifier:
        """Return a classifier for the classes of the support set; write nothing on the learner."""

    def affine_head(self, support: Labelled) -> AffineHead | None:
        """Return the classifier of `adapt` as numbers that act on the features of the backbone.

        Its probabilities are those of `adapt`. None if the learner's classifier has another form.
        """
        return None

    def learns_frequencies(self, n_images: int, *, trained: bool = True) -> bool:
        """Return whether the logits contain how frequent the classes are among `n_images` labels.

        Those of a classifier that minimised the cross-entropy do; distances to means do not.

        Args:
            n_images: the number of labelled images.
            trained: whether the learner was trained on them for at least one step.
        """
        return self.feed == "batches"

    @property
    def prepares(self) -> bool:
        """Whether the class implements `prepare`, so that the support set has to be loaded."""
        return type(self).prepare is not Learner.prepare

    def prepare(self, support: Labelled) -> None:
        """Initialise from the support set, once before the first step, in evaluation mode."""

    def on_train_start(self, n_images: int) -> None:
        """Prepare for training batches that are drawn from a pool of `n_images` images."""

    def on_train_end(self) -> None:
        """Free what only the training needed."""

    def task_logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        """Return the logits of the queries of many tasks of equal shape, on frozen features.

        The result is that of `adapt`, task by task; a learner may compute all tasks at once.

        Args:
            support_TSD: features of the support, float [t, s, d].
            labels_TS: labels within the task, int64 [t, s]; every class occurs.
            query_TQD: features of the queries, float [t, q, d].
            n_way: the number of classes.

        Returns:
            Logits float [t, q, n_way].
        """
        logits = [
            self.adapt(Labelled(support.as_subclass(Features), labels))(query.as_subclass(Features))
            for support, labels, query in zip(support_TSD, labels_TS, query_TQD, strict=True)
        ]
        return torch.stack(logits)

    def on_pool(self, features_ND: Tensor) -> TaskClassifier:
        """Return a function that solves tasks among the images of a pool, on frozen features.

        It returns the result of `task_logits` for the gathered features; a learner may work
        without gathering them. Call it with one chunk of tasks after another.

        Args:
            features_ND: features of the pool, float [n, d]; the tasks' indices point into it.
        """

        def classify(tasks: TaskSet) -> Tensor:
            support_TSD, query_TQD = (
                gathered(features_ND, part) for part in (tasks.support, tasks.query)
            )
            return self.task_logits(support_TSD, tasks.support_labels, query_TQD, tasks.n_way)

        return classify

    def extra_metrics(self, batch: Labelled, shift: Tensor | None = None) -> dict[str, Tensor]:
        """Return one value for each image, [n], by name; the record holds their means.

        Args:
            batch: labelled images.
            shift: what the run adds to the logits of each class for its prior, [n_way].
        """
        return {}
