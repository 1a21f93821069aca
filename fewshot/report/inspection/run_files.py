"""What a finished run left on disk: its record, and the files of its trials if they are there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from episodes.errors import DAMAGED_JSON
from fewshot import io
from fewshot.errors import UserError
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import TrialRecord


class Run(NamedTuple):
    """A record with the folder of its run; folder: None if only a record was given.

    curves: the learning curves of a study's result, which contains them.
    """

    record: RunRecord
    folder: Path | None
    curves: dict[str, Any] | None = None

    def trial(self, seed: int | None) -> Path:
        """Return the folder of one trial.

        Raises:
            UserError: if the run has no folders of trials.
        """
        if self.record.seeds == [None] or self.record.members:
            raise UserError(
                "a vote has no predictions or images of its own: inspect the runs that it combines"
            )
        if self.folder is None:
            raise UserError("only a record was given, without the folder of its run")
        return records.trial_folder(self.folder, seed)


def read(place: Path) -> Run:
    """Return the run of a folder, of its record.json, of a lone record, or of a study's result.

    Raises:
        UserError: if there is no record, or more than one.
    """
    if place.is_file() and isinstance(content := io.read_json(place), dict) and "cell" in content:
        if content.get("record") is None:
            status = content.get("status")
            raise UserError(f"{place} has the status '{status}' and no record to show.")
        record = io.as_object(content["record"], RunRecord.from_json, place)
        return Run(record, None, content.get("curves"))
    located = records.load([place])
    if len(located) > 1:
        raise UserError(
            f"{place} holds {len(located)} records, but one is inspected at a time: name the "
            "folder of one run."
        )
    path, record = located[0]
    if not record.confusion:
        raise UserError(
            f"{path} is a record without a confusion matrix: name one of `fewshot run` or "
            "`fewshot vote`."
        )
    return Run(record, path.parent if path.name == "record.json" else None)


def trials(run: Run) -> list[TrialRecord]:
    """Return the result of every trial, in the order of the record's seeds."""
    files = [_existing(run.trial(seed) / "trial.json") for seed in run.record.seeds]
    return [io.read_as(file, TrialRecord.from_json) for file in files]


def predictions(
    run: Run, seed: int | None, *, calibrated: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions of one trial for the test images.

    Args:
        run: the run.
        seed: its trial.
        calibrated: whether the probabilities are those at the trial's temperature, if it has one.

    Returns:
        Probabilities, float64 [n, n_way], and labels, int64 [n].
    """
    path = _existing(run.trial(seed) / "predictions.npz")
    try:
        with path.open("rb") as file, np.load(file) as arrays:
            logits, labels = arrays["test_logits"].astype(np.float64), arrays["test_labels"]
            if calibrated:
                logits /= arrays.get("temperature", 1.0)
    except io.DAMAGED_ARRAYS as error:
        raise UserError(f"{_short(path)} cannot be read ({error})") from None
    if not np.isfinite(logits).all():
        raise UserError(f"{_short(path)} contains numbers that are not finite")
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True), labels


def tested_images(run: Run, seed: int | None) -> list[int] | None:
    """Return the indices of the images that tested one trial, in the order of its predictions.

    They are among all images of the data set, of which the trial of a cross-validation tests a
    fold; None if the test images are a set of their own.
    """
    if run.record.folds is None:
        return None
    return records.indices(_existing(run.trial(seed) / "indices.json").parent)["test"]


def curves(run: Run) -> dict[str, Any]:
    """Return loss and accuracy over the epochs of all trials.

    Returns:
        `epoch` [n]; every other key [n_trials, n], with None at epochs that a trial did not reach.
    """
    if run.curves is not None:
        return run.curves
    by_trial = [_metrics(run, seed) for seed in run.record.seeds]
    epochs = sorted({epoch for by_epoch in by_trial for epoch in by_epoch})
    if not epochs:
        raise UserError(f"this run of {run.record.method} did not train step by step")
    keys = {key for by_epoch in by_trial for row in by_epoch.values() for key in row}
    result: dict[str, Any] = {"epoch": epochs}
    for name in sorted(key for key in keys if key.endswith(("_loss", "_accuracy"))):
        result[name] = [
            [by_epoch.get(epoch, {}).get(name) for epoch in epochs] for by_epoch in by_trial
        ]
    return result


def _metrics(run: Run, seed: int | None) -> dict[float, dict[str, Any]]:
    """Return the rows of metrics.jsonl of one trial, by epoch."""
    path = _existing(run.trial(seed) / "metrics.jsonl")
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["epoch"]: row for row in rows}
    except (OSError, *DAMAGED_JSON, KeyError, TypeError) as error:
        raise UserError(f"{_short(path)} cannot be read ({error})") from None


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise UserError(f"{_short(path)} does not exist")
    return path


def _short(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"
