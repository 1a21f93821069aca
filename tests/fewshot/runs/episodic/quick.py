"""Requests of the episodic regime that take a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fewshot import config

N_CLASSES, N_TRAIN, N_TEST = 10, 12, 6  # of the folder `colours`
SPLIT = "seed:0:5/0/5"
TRAIN = {"steps": 4, "batch_size": 16, "log_every_epochs": None}
BODY = {"name": "conv4", "weights": "none", "options": {"width": 8, "norm": "group"}}


def quick(method: str, data: Path | str, **more: Any) -> dict[str, Any]:
    """Return a request for twelve 3-way 2-shot tasks with a small random body."""
    values = {
        "method": method,
        "data": str(data),
        "precision": "float32",
        "backbone": BODY,
        "tasks": {"ways": 3, "shots": 2, "queries": 3, "count": 12},
    }
    return config.overlay(values, more)
