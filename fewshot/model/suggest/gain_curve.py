"""Accuracies with suggested and with random labels. Imports no torch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewshot.evaluation import paired_tests
from fewshot.evaluation.paired_tests import Difference


class Curve(NamedTuple):
    """Accuracies by the number of labels.

    Attributes:
        budgets: numbers of labels, rising.
        suggested: accuracy with suggested images, float64 [n_trials, n_budgets].
        random: accuracy with images chosen at random, of the same pools, float64
            [n_trials, n_budgets].
        classes_suggested, classes_random: numbers of classes that have a label, int64
            [n_trials, n_budgets].
    """

    budgets: tuple[int, ...]
    suggested: np.ndarray
    random: np.ndarray
    classes_suggested: np.ndarray
    classes_random: np.ndarray

    def to_json(self) -> dict[str, list[int] | list[list[float]]]:
        """Return the accuracies as plain JSON values, by trial and budget."""
        return {
            "budgets": list(self.budgets),
            "suggested": self.suggested.tolist(),
            "random": self.random.tolist(),
        }

    def gain(self, column: int) -> Difference:
        """Return the paired difference from random choice at one of the budgets."""
        differences = self.suggested[:, column] - self.random[:, column]
        return paired_tests.difference(differences.tolist())
