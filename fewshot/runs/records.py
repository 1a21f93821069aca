"""The record of a run: written once by rename, read by everything that tells. Imports no torch until it must."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fewshot import io
from fewshot.errors import UserError
from fewshot.evaluation import statistics

Record = dict[str, Any]
SCORES = ("accuracy", "precision", "recall", "f1", "loss", "ece")


def seconds(record: Record) -> float:
    """What a draw took on average to train and to adapt, without judging."""
    return record["cost"]["train_seconds"] + record["cost"]["adapt_seconds"]


def assemble(run: Mapping[str, Any], draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a run from its draws, in the order of their seeds.

    run: what all draws share (run_id, method, ..., data_fingerprint); draws: contents of the trial.json files.
    """
    draws = sorted(draws, key=lambda draw: draw["seed"])
    scores = {key: statistics.summary([draw["scores"][key] for draw in draws]) for key in SCORES}
    train = [draw["train_accuracy"] for draw in draws]
    held_out = [draw["validation"] for draw in draws if draw["validation"] is not None]
    validation = (
        {key: statistics.summary([each[key] for each in held_out]) for key in SCORES}
        if held_out
        else None
    )
    cost = {
        "train_seconds": float(np.mean([draw["cost"]["train_seconds"] for draw in draws])),
        "adapt_seconds": float(np.mean([draw["cost"]["adapt_seconds"] for draw in draws])),
        "images_per_second": _mean_or_none([draw["cost"]["images_per_second"] for draw in draws]),
        "peak_memory_mb": max(draw["cost"]["peak_memory_mb"] for draw in draws),
        "parameters": max(draw["cost"]["parameters"] for draw in draws),
    }
    last = max(draws, key=lambda draw: draw["provenance"]["finished"])
    provenance = {
        **last["provenance"],
        "started": min(draw["provenance"]["started"] for draw in draws),
        "data_fingerprint": run["data_fingerprint"],
        "indices": {json.dumps(draw["seed"]): draw["indices_hash"] for draw in draws},
    }
    warnings = dict.fromkeys(warning for draw in draws for warning in draw["warnings"])
    return {
        **{key: value for key, value in run.items() if key != "data_fingerprint"},
        "labels": draws[0]["labels"],
        "seeds": [draw["seed"] for draw in draws],
        "scores": scores,
        "measures": _measures(draws),
        "validation": validation,
        "train_accuracy": None
        if None in train
        else statistics.summary(train),  # a vote keeps no predictions of training images
        "per_class": np.mean([draw["per_class"] for draw in draws], axis=0).tolist(),
        "confusion": np.sum([draw["confusion"] for draw in draws], axis=0).tolist(),
        "cost": cost,
        "provenance": provenance,
        "warnings": list(warnings),
    }


def _measures(draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summaries of what the learner measured of itself, of the names that all draws have (older ones have none)."""
    found = [draw.get("measures", {}) for draw in draws]
    return {
        name: statistics.summary([each[name] for each in found])
        for name in found[0]
        if all(name in each for each in found)
    }


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def find(places: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Every record under the given files and folders, as (path, record), sorted by path and without repeats.

    Raises UserError for a place that does not exist, holds no record, or a file that is none.
    """
    found: dict[Path, dict[str, Any]] = {}
    for place in places:
        if not place.exists():
            raise UserError(
                f"{place} does not exist: give a record.json, a run folder, or a folder of them."
            )
        files = (
            [place]
            if place.is_file()
            else [file for file in place.rglob("*.json") if not _of_a_draw(file)]
        )
        records = {
            file.resolve(): content for file in files if _is_record(content := io.read_json(file))
        }
        if not records:
            raise UserError(
                f"{place} holds no record: a run writes one as record.json when its draws are done."
            )
        found |= records
    return sorted(found.items())


def _of_a_draw(file: Path) -> bool:
    return file.parent.name.startswith("trial-")


def _is_record(content: Any) -> bool:
    return isinstance(content, dict) and {"run_id", "scores", "seeds"} <= set(content)
