"""What a finished run left: its record, and of its folder, where that is there, the files of its draws."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fewshot import io
from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.records import Record


class Run(NamedTuple):
    """folder: of the run, None for a record that lies alone; curves: of a study's result, which keeps them."""

    record: Record
    folder: Path | None
    curves: dict[str, Any] | None = None

    def draw(self, seed: int) -> Path:
        """The folder of one draw; a UserError where the run has none."""
        if self.record["seeds"] == [None] or self.record.get("members"):
            raise UserError(
                "a vote has no predictions or images of its own: inspect the runs that it was made of"
            )
        if self.folder is None:
            raise UserError("a record alone was given, without the folder of its run")
        return self.folder / f"trial-{seed}"


def read(place: Path) -> Run:
    """The run of a folder, of its record.json, of a record by itself, or of a study's result.

    Raises UserError where there is no record, or more than one.
    """
    if place.is_file() and isinstance(content := io.read_json(place), dict) and "cell" in content:
        if content.get("record") is None:
            raise UserError(
                f"{place}: this run is '{content.get('status')}' and has no record to show."
            )
        return Run(content["record"], None, content.get("curves"))
    found = records.find([place])
    if len(found) > 1:
        raise UserError(
            f"{place} holds {len(found)} records, and one is shown at a time: name a run's own folder."
        )
    path, record = found[0]
    if "confusion" not in record:
        raise UserError(
            f"{path} is a record without confusion matrix: name one of `fewshot run` or `fewshot vote`."
        )
    return Run(record, path.parent if path.name == "record.json" else None)


def drawn(run: Run) -> list[dict[str, Any]]:
    """The trial.json of every draw, in the order of the record's seeds."""
    return [_json(run.draw(seed) / "trial.json") for seed in run.record["seeds"]]


def predictions(run: Run, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float64 [n, n_way] and labels int64 [n] of the test images, from the logits that a draw kept."""
    path = _there(run.draw(seed) / "predictions.npz")
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            logits, labels = arrays["test_logits"].astype(np.float64), arrays["test_labels"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{_short(path)} cannot be read ({error})") from None
    if not np.isfinite(logits).all():
        raise UserError(f"{_short(path)} holds numbers that are not finite")
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True), labels


def curves(run: Run) -> dict[str, Any]:
    """Loss and accuracy at each point of the training, of all draws: `epoch` [n], others [n_draws, n] with nulls.

    Draws that stopped early have nulls at the epochs that only others reached.
    """
    if run.curves is not None:
        return run.curves
    draws = []
    for seed in run.record["seeds"]:
        path = _there(run.draw(seed) / "metrics.jsonl")
        try:
            rows = [json.loads(line) for line in path.read_text().splitlines()]
            draws.append({row["epoch"]: row for row in rows})
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{_short(path)} cannot be read ({error})") from None
    epochs = sorted({epoch for draw in draws for epoch in draw})
    if not epochs:
        raise UserError(f"this run of {run.record['method']} trained nothing step by step")
    names = sorted(
        {
            key
            for draw in draws
            for row in draw.values()
            for key in row
            if key.endswith(("_loss", "_accuracy"))
        }
    )
    return {
        "epoch": epochs,
        **{
            name: [[draw.get(epoch, {}).get(name) for epoch in epochs] for draw in draws]
            for name in names
        },
    }


def _json(path: Path) -> Any:
    return io.read_json(_there(path))


def _there(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{_short(path)} is not there")
    return path


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
