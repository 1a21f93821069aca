"""Records made by hand, for tests of tables and figures."""

from __future__ import annotations

import statistics
from typing import Any

from scipy import stats

from fewshot.runs.run_record import RunRecord

VALUES = (0.5, 0.6, 0.7, 0.6, 0.6)


def content(
    method: str = "protonet", values: tuple[float, ...] = VALUES, **over: Any
) -> dict[str, Any]:
    """Return a record as it is on disk, with these test accuracies.

    Args:
        method: its name.
        values: the test accuracy of each trial.
        over: other keys of the record; `fingerprint` is that of its images.
    """
    score = {"mean": statistics.fmean(values), "std": None, "ci95": None, "values": list(values)}
    if len(values) > 1:
        score["std"] = std = statistics.stdev(values)
        score["ci95"] = stats.t.ppf(0.975, len(values) - 1) * std / len(values) ** 0.5
    other = {"mean": 0.25, "std": None, "ci95": None, "values": [0.25] * len(values)}
    metrics = dict.fromkeys(("precision", "recall", "f1", "loss", "ece"), other)
    return {
        "run_id": f"id-{method}",
        "method": method,
        "preset": "few",
        "backbone": "conv4",
        "weights": "none",
        "data": "digits",
        "data_notes": [],
        "regime": "low-data",
        "shots": 4,
        "fraction": None,
        "classes": ["a", "b"],
        "labels": 8,
        "n_test": 1000,
        "config": {"train": {"lr": 0.001, "steps": 9}, "augment": ["flip"]},
        "seeds": list(range(len(values))),
        "scores": {"accuracy": score, **metrics},
        "validation": None,
        "train_accuracy": other,
        "per_class": [0.5, 0.5],
        "confusion": [[1, 1], [1, 1]],
        "cost": {
            "train_seconds": 2.0,
            "adapt_seconds": 0.25,
            "images_per_second": None,
            "peak_memory_mb": 10.0,
            "parameters": 12345,
        },
        "provenance": {
            "commit": None,
            "dirty": None,
            "versions": {},
            "device": "a processor",
            "started": "2026-01-01T00:00:00",
            "finished": "2026-01-01T00:01:00",
            "data_fingerprint": over.pop("fingerprint", "f"),
        },
        "warnings": [],
        **over,
    }


def record(method: str = "protonet", values: tuple[float, ...] = VALUES, **over: Any) -> RunRecord:
    """Return the record that `content` describes."""
    return RunRecord.from_json(content(method, values, **over))
