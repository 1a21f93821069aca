"""The record of a run: written once by rename, read by everything that tells. Imports no torch until it must."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from episodes.errors import UserError

PART = ".part"
Record = dict[str, Any]
SCORES = ("accuracy", "precision", "recall", "f1", "loss", "ece")


def write_bytes(path: Path, content: bytes | bytearray | Iterable[bytes]) -> None:
    """Write a file, its bytes at once or part by part, whole or not at all: beside its place, then by rename."""
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")  # two processes may write the same
    try:
        with part.open("wb") as file:
            file.writelines([content] if isinstance(content, bytes | bytearray) else content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):  # where the folder is none, there is nothing to take away
            part.unlink()
        raise UserError(
            f"{path} could not be written ({error.strerror}): free some space, or name another folder "
            "(--out for runs, FEWSHOT_CACHE for what is kept between them)."
        ) from error


def append_line(path: Path, content: Any) -> None:
    """One more line of JSON at the end of a file that is rewritten whole in the end."""
    try:
        with path.open("a") as file:
            file.write(json.dumps(content) + "\n")
    except OSError as error:
        raise UserError(f"{path} could not be written ({error.strerror}): free some space.") from error


def write_json(path: Path, content: Any) -> None:
    write_bytes(path, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """A compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    write_bytes(path, buffer.getvalue())


def write_tensors(path: Path, state: Mapping[str, Any]) -> None:
    """A torch file of tensors, numbers, strings and containers; `read_tensors` runs no code from it."""
    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getvalue())


def read_tensors(path: Path) -> dict[str, Any]:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def make_folder(path: Path) -> None:
    """Create a folder and its parents, or say in a sentence why that cannot be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"the folder {path} cannot be created ({error.strerror}): name another (--out for runs, "
            "FEWSHOT_CACHE for what is kept between them)."
        ) from None


def summary(values: Sequence[float]) -> dict[str, Any]:
    """mean, std (n-1), ci95 (half width, Student's t over the draws) and the values; null where n is 1."""
    n = len(values)
    if n == 1:
        return {"mean": values[0], "std": None, "ci95": None, "values": list(values)}
    from scipy.stats import t

    std = float(np.std(values, ddof=1))
    half = float(t.ppf(0.975, n - 1)) * std / n**0.5
    return {"mean": float(np.mean(values)), "std": std, "ci95": half, "values": list(values)}


def seconds(record: Record) -> float:
    """What a draw took on average to train and to adapt, without judging."""
    return record["cost"]["train_seconds"] + record["cost"]["adapt_seconds"]


def assemble(run: Mapping[str, Any], draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The record of a run from its draws, in the order of their seeds.

    run: what all draws share (run_id, method, ..., data_fingerprint); draws: contents of the draw.json files.
    """
    draws = sorted(draws, key=lambda draw: draw["seed"])
    scores = {key: summary([draw["scores"][key] for draw in draws]) for key in SCORES}
    train = [draw["train_accuracy"] for draw in draws]
    held_out = [draw["validation"] for draw in draws if draw["validation"] is not None]
    validation = {key: summary([each[key] for each in held_out]) for key in SCORES} if held_out else None
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
        "train_accuracy": None if None in train else summary(train),  # a vote keeps no predictions of training images
        "per_class": np.mean([draw["per_class"] for draw in draws], axis=0).tolist(),
        "confusion": np.sum([draw["confusion"] for draw in draws], axis=0).tolist(),
        "cost": cost,
        "provenance": provenance,
        "warnings": list(warnings),
    }


def _measures(draws: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Summaries of what the learner measured of itself, of the names that all draws have (older ones have none)."""
    found = [draw.get("measures", {}) for draw in draws]
    return {name: summary([each[name] for each in found]) for name in found[0] if all(name in each for each in found)}


def _mean_or_none(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UserError(f"{path} cannot be read as JSON ({error}): delete it and run its command again.") from None


def find(places: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """Every record under the given files and folders, as (path, record), sorted by path and without repeats.

    Raises UserError for a place that does not exist, holds no record, or a file that is none.
    """
    found: dict[Path, dict[str, Any]] = {}
    for place in places:
        if not place.exists():
            raise UserError(f"{place} does not exist: give a record.json, a run folder, or a folder of them.")
        files = [place] if place.is_file() else [file for file in place.rglob("*.json") if not _of_a_draw(file)]
        records = {file.resolve(): content for file in files if _is_record(content := read_json(file))}
        if not records:
            raise UserError(f"{place} holds no record: a run writes one as record.json when its draws are done.")
        found |= records
    return sorted(found.items())


def _of_a_draw(file: Path) -> bool:
    return file.parent.name.startswith("draw-")


def _is_record(content: Any) -> bool:
    return isinstance(content, dict) and {"run_id", "scores", "seeds"} <= set(content)
