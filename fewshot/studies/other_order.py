"""Compute what accuracy a network has if its classes are numbered in another order (row C9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fewshot.runs.run_record import RunRecord
from fewshot.studies.results import Benchmark, Result

ORDERS, SEED = 10_000, 0
QUANTILES = (0.025, 0.975)


def measure(results: Sequence[Result]) -> Benchmark:
    """Return a table of accuracies with the classes in other orders, one row for each result.

    The confusion matrix of a record decides them: if class i has the number that class j had in
    the training, the images of class i that were taken for class j count as correct.
    """
    rows: list[list[Any]] = []
    machines: set[str] = set()
    for result in results:
        assert result["record"] is not None
        record = RunRecord.from_json(result["record"])
        machines.add(record.provenance.device)
        accuracies = in_other_orders(np.asarray(record.confusion))
        low, high = np.quantile(accuracies, QUANTILES)
        values = (record.scores["accuracy"].mean, accuracies.mean(), low, high)
        rows.append([result["label"], *(round(float(value), 4) for value in values)])
    return {
        "kind": "benchmark",
        "what": f"test accuracy if the classes are numbered in another order, over {ORDERS:,} "
        "random orders",
        "machine": ", ".join(sorted(machines)),
        "columns": ["setting", "order of the training", "mean of other orders", "2.5%", "97.5%"],
        "rows": rows,
    }


def in_other_orders(confusion: np.ndarray) -> np.ndarray:
    """Return the accuracy in each of ORDERS random orders of the classes.

    Args:
        confusion: images of true class (row) and predicted class (column), [n_classes, n_classes].
    """
    random = np.random.default_rng(SEED)
    classes = np.arange(len(confusion))
    orders = random.permuted(np.tile(classes, (ORDERS, 1)), axis=1)
    accuracies: np.ndarray = confusion[classes, orders].sum(1) / confusion.sum()
    return accuracies
