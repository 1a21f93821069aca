"""The files of a trial: indices, log, predictions, changed weights and, last, the result."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from fewshot import io
from fewshot.errors import UserError
from fewshot.evaluation import low_data, statistics
from fewshot.learners.base import Learner
from fewshot.runs import records
from fewshot.runs.labelled_subset import LabelledSubset
from fewshot.runs.trial_record import TrialRecord
from fewshot.training import trainer

WEIGHTS = "model.safetensors"
BACKBONE = "backbone."
State = dict[str, Tensor]


class TrialPredictions(NamedTuple):
    """What the learner predicted.

    Attributes:
        test: on the test set.
        validation: on the validation set; None without one.
        faulty: positions of test images with known faults, int64 [m]; None if nothing is known.
        temperature: divisor of the logits, which are those before it.
    """

    test: low_data.Predictions
    validation: low_data.Predictions | None
    faulty: Tensor | None = None
    temperature: float = 1.0


def write(
    folder: Path,
    subset: LabelledSubset,
    learner: Learner,
    initial: Mapping[str, Tensor],
    fit: trainer.Fitted,
    predictions: TrialPredictions,
    record: TrialRecord,
) -> None:
    """Write the files of a finished trial; `trial.json` is the last and marks it as finished.

    Args:
        folder: folder of the trial.
        subset: its labelled subset.
        learner: the trained learner.
        initial: the learner's state before the training, from `copy_of_state`.
        fit: history of the training.
        predictions: logits and labels.
        record: the result.
    """
    io.write_json(folder / "indices.json", subset.to_json())
    log = "".join(json.dumps(row) + "\n" for row in fit.history)
    io.write_bytes(folder / "metrics.jsonl", log.encode())
    io.write_arrays(folder / "predictions.npz", _arrays(predictions))
    if learner.feed is not None:
        state = changed_state(learner, initial)
        io.write_bytes(folder / WEIGHTS, safetensors_bytes(state))
    io.write_json(folder / "trial.json", record.to_json())
    remove_what_resumes(folder)


def is_finished(folder: Path) -> bool:
    """Return whether a folder has the result of a trial."""
    return (folder / "trial.json").exists()


def remove_what_resumes(folder: Path) -> None:
    """Remove what only an unfinished trial needs: its checkpoint and the trainings of its folds.

    Raises:
        UserError: it cannot be removed.
    """
    try:
        for name in ("checkpoint.pt", "checkpoint.pt.damaged"):
            (folder / name).unlink(missing_ok=True)
        for fold in folder.glob("fold-*"):
            with suppress(FileNotFoundError):  # another process may be removing it
                shutil.rmtree(fold)
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be removed ({error.strerror}): make its folder writable, and "
            "repeat the command."
        ) from error


def indices_hash(subset: LabelledSubset) -> str:
    """Return the hash of a labelled subset that records carry."""
    return records.indices_hash(subset.to_json())


def copy_of_state(learner: Learner) -> State:
    """Return a copy of the learner's state on the CPU; empty if it is never trained."""
    if learner.feed is None:
        return {}
    return {name: tensor.detach().cpu().clone() for name, tensor in learner.state_dict().items()}


def changed_state(learner: Learner, initial: Mapping[str, Tensor]) -> State:
    """Return the tensors of the learner's state that differ from its initial state.

    If a tensor of the backbone differs, all of the backbone is returned, so that the file can be
    the weights of another run.
    """
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in learner.state_dict().items()
    }
    changed = {
        name
        for name, tensor in state.items()
        if name not in initial or not _same(tensor, initial[name])
    }
    if any(name.startswith(BACKBONE) for name in changed):
        changed |= {name for name in state if name.startswith(BACKBONE)}
    return {name: tensor for name, tensor in state.items() if name in changed}


def _same(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


def load_weights(learner: Learner, folder: Path) -> None:
    """Put the weights that a trial changed onto a learner in its initial state.

    Raises:
        UserError: the file is missing, damaged or of another learner.
    """
    path = folder / WEIGHTS
    try:
        saved = io.read_safetensors(path)
        unknown = saved.keys() - learner.state_dict().keys()
        if unknown:
            raise RuntimeError(f"unknown tensor {min(unknown)}")
        learner.load_state_dict(saved, strict=False)
    except torch.OutOfMemoryError:
        raise
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{path} cannot be read ({reason}): run the trial again, with --force."
        ) from error


def _arrays(predictions: TrialPredictions) -> dict[str, np.ndarray]:
    test, validation, faulty, temperature = predictions
    arrays = {
        "test_logits": test.logits.numpy(),
        "test_labels": test.labels.numpy(),
        "temperature": np.array(temperature),
    }
    if validation is not None:
        arrays["validation_logits"] = validation.logits.numpy()
        arrays["validation_labels"] = validation.labels.numpy()
    if faulty is not None:
        arrays["test_faulty"] = faulty.numpy()
    return arrays


def image_std(folders: Sequence[Path]) -> float | None:
    """Return the spread of the accuracy over the test images, from the saved predictions.

    Args:
        folders: folders of all trials of a run.

    Returns:
        What `Score.image_std` describes; None for a single trial, or if predictions are missing.
    """
    correct = []
    for folder in folders:
        try:
            with (folder / "predictions.npz").open("rb") as file, np.load(file) as arrays:
                correct.append(arrays["test_logits"].argmax(1) == arrays["test_labels"])
        except io.DAMAGED_ARRAYS:  # a missing file among them
            return None
    return statistics.image_std(np.stack(correct))
