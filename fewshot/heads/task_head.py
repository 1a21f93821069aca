"""The interface of classifiers on cached features that solve many tasks at once.

A head gets the features of T tasks of equal shape and returns logits for their queries. It holds no
state and is deterministic. Capital suffixes name the dimensions: T tasks, S support images, Q
queries, W ways, D features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from episodes.tasks.task_set import TaskSet
from fewshot.config import Settings, check
from fewshot.heads.pool import gathered

TaskClassifier = Callable[[TaskSet], Tensor]  # t tasks -> logits [t, q, n_way], higher is better


class TaskHeadOptions(Settings):
    """The settings of every head."""

    features: Literal["UN", "L2N", "CL2N"] = Field(
        default="CL2N",
        description="How features are prepared: not at all (`UN`), scaled to unit length (`L2N`), "
        "or centred and then scaled (`CL2N`). The centre is the mean of the base classes; without "
        "base classes, it is the mean of the task's support.",
    )


class TaskHead(ABC):
    """A classifier that is fitted to the support of each task and classifies its queries.

    Args:
        options: the settings as an instance of `options_type`; None builds it from `settings`.
        **settings: single settings, by the names of the fields of `options_type`.

    Attributes:
        transductive: whether the prediction of a query depends on the other queries of its task.
        options_type: the class that checks the settings.
        at_once: how many times as many tasks to solve at once as for a head without iterations;
            each step of an iteration costs something for itself, however few the tasks are.
    """

    transductive: ClassVar[bool]
    at_once: ClassVar[int] = 1
    options_type: ClassVar[type[TaskHeadOptions]] = TaskHeadOptions

    def __init__(self, options: TaskHeadOptions | None = None, **settings: Any) -> None:
        if options is None:
            options = check(self.options_type, settings, type(self).__name__)
        elif settings:
            raise TypeError(f"{type(self).__name__}: give either options or single settings")
        self.options = options

    def __call__(
        self,
        support_TSD: Tensor,
        labels_TS: Tensor,
        query_TQD: Tensor,
        n_way: int,
        base_mean_D: Tensor | None = None,
    ) -> Tensor:
        """Return the logits of the queries, higher is better.

        Args:
            support_TSD: features of the support, float [t, s, d].
            labels_TS: labels within the task, int64 [t, s]; classes may differ in their shots.
            query_TQD: features of the queries, float [t, q, d].
            n_way: the number of classes.
            base_mean_D: mean feature of the base classes, [d]; None if there are none.

        Returns:
            Logits float [t, q, n_way].
        """
        centre = support_TSD.mean(1, keepdim=True) if base_mean_D is None else base_mean_D
        support_TSD = self._prepared(support_TSD, centre)
        query_TQD = self._prepared(query_TQD, centre)
        return self.logits(support_TSD, labels_TS, query_TQD, n_way)

    def on_pool(self, features_ND: Tensor, base_mean_D: Tensor | None = None) -> TaskClassifier:
        """Return a function that solves tasks among the images of a pool.

        It returns what the head returns for the gathered features. What does not depend on the
        task is computed once, so call it with one chunk of tasks after another.

        Args:
            features_ND: features of the pool, float [n, d]; the tasks' indices point into it.
            base_mean_D: as in `__call__`.
        """
        head: Callable[..., Tensor] = self
        if self.options.features == "CL2N" and base_mean_D is None:
            pool_ND = features_ND
        else:
            pool_ND = self._prepared(features_ND, base_mean_D)
            head = self.logits

        def classify(tasks: TaskSet) -> Tensor:
            support_TSD, query_TQD = (
                gathered(pool_ND, part) for part in (tasks.support, tasks.query)
            )
            return head(support_TSD, tasks.support_labels, query_TQD, tasks.n_way)

        return classify

    @abstractmethod
    def logits(
        self, support_TSD: Tensor, labels_TS: Tensor, query_TQD: Tensor, n_way: int
    ) -> Tensor:
        """Return the logits [t, q, n_way] from prepared features."""

    def _prepared(self, features: Tensor, centre: Tensor | None) -> Tensor:
        """Return features [..., d] as the setting `features` wants them; only `CL2N` centres."""
        if self.options.features == "UN":
            return features
        if self.options.features == "CL2N" and centre is not None:
            features = features - centre
        return F.normalize(features, dim=-1)
