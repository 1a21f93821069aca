"""Records of the episodic regime from random numbers, for tests of tables, figures and pages."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fewshot.config import TaskSettings
from fewshot.evaluation import task_scores
from fewshot.runs.episodic.record import EpisodesRecord
from tests.fewshot.runs.episodic.handmade import record

QUERIES = 75
METHODS = {  # name -> (transductive, accuracy at one shot, change with Dirichlet queries)
    "nearest-mean": (False, 0.50, 0.0),
    "ridge": (False, 0.505, 0.0),
    "alpha-tim": (True, 0.56, -0.01),
    "pt-map": (True, 0.62, -0.15),
}


def result(
    name: str, shots: int = 1, balance: Any = "balanced", n: int = 60, **changes: Any
) -> EpisodesRecord:
    """Return the record of one method, on the tasks that all methods of this shape share."""
    transductive, mean, change = METHODS[name]
    shared = np.random.default_rng([shots, balance == "balanced"])
    difficulty = shared.normal(0, 0.08, n)
    own = np.random.default_rng([len(name), shots, balance == "balanced"])
    mean += 0.1 * np.log(shots) + (change if balance == "dirichlet" else 0.0)
    shares = np.clip(mean + difficulty + own.normal(0, 0.02, n), 0, 1)
    correct = np.round(QUERIES * shares).astype(int).tolist()
    apart = None if balance == "dirichlet" else task_scores.over_tasks(correct[:20], QUERIES)
    values: dict[str, Any] = {
        "run_id": f"{sum(map(ord, name)):04x}{shots:02d}{len(balance):06x}",
        "method": name,
        "name": name,
        "transductive": transductive,
        "tasks": TaskSettings(count=n, shots=shots, balance=balance),
        "tasks_hash": f"{shots}{balance}",
        "without_replacement": apart,
        "without_replacement_correct": correct[:20] if apart else [],
        "accuracy": task_scores.over_tasks(correct, QUERIES),
    }
    return record(correct, **{**values, **changes})


def results(n: int = 60) -> list[EpisodesRecord]:
    """Return the records of all methods at one and five shots, balanced and Dirichlet queries."""
    shapes = itertools.product((1, 5), ("balanced", "dirichlet"))
    return [result(name, shots, balance, n) for shots, balance in shapes for name in METHODS]
