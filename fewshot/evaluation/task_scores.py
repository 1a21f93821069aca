"""The accuracy over many N-way k-shot tasks, its 95% interval, and paired differences.

Imports no torch. docs/episodes.md ("Two intervals") says what an interval means for tasks that
share images and for tasks that do not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from fewshot.evaluation import statistics
from fewshot.evaluation.paired_tests import Difference, difference


@dataclass(frozen=True)
class TaskScore:
    """The mean accuracy over tasks.

    Args:
        mean: mean of the accuracies of the tasks.
        std: standard deviation with n - 1; None for a single task.
        ci95: half width of the 95% interval of the mean (Student's t); None for a single task.
        n: number of tasks.
    """

    mean: float
    std: float | None
    ci95: float | None
    n: int

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> TaskScore:
        """Return the score that `to_json` described."""
        return cls(content["mean"], content["std"], content["ci95"], content["n"])

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain JSON values."""
        return asdict(self)

    def text(self, form: str = ".2f", scale: float = 100.0) -> str:
        """Return the mean and, after ±, half of the interval; in percent by default."""
        half = "" if self.ci95 is None else f" ± {scale * self.ci95:{form}}"
        return f"{scale * self.mean:{form}}{half}"

    def __str__(self) -> str:
        return self.text()


def accuracies(correct: Sequence[int], n_queries: Sequence[int] | int) -> np.ndarray:
    """Return the accuracy of each task, float64 [t].

    Args:
        correct: number of queries of each task that are classified correctly.
        n_queries: number of queries of each task, or of every task.
    """
    return np.asarray(correct, dtype=np.float64) / np.asarray(n_queries, dtype=np.float64)


def over_tasks(correct: Sequence[int], n_queries: Sequence[int] | int) -> TaskScore:
    """Return the mean accuracy over tasks, each of which counts alike, and its 95% interval.

    The interval takes the tasks as independent. For tasks that were sampled with replacement they
    are independent given the images, so the interval is about other tasks of the same images. For
    tasks without a common image it is about other images of the same classes too.

    Source: Lafargue, Smith, Vermet, Löwe, Reid, Valmadre, Gripon, Oops, I sampled it again:
        reinterpreting confidence intervals in few-shot learning, arXiv 2409.02850.
    """
    score = statistics.summary(accuracies(correct, n_queries).tolist())
    return TaskScore(score.mean, score.std, score.ci95, score.n)


def paired(ours: np.ndarray, theirs: np.ndarray) -> Difference:
    """Test `ours` minus `theirs`, the accuracies [t] of two methods on identical tasks."""
    if ours.shape != theirs.shape:
        raise ValueError(f"the tasks are not the same: {len(ours)} and {len(theirs)}")
    return difference((ours - theirs).tolist())
