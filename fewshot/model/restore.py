"""Restore a trial of a finished run: its settings, its trained learner, its labelled images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import datasets
from episodes.datasets.source import TEST_SHARE
from fewshot import config
from fewshot.errors import UserError
from fewshot.learners.base import Learner
from fewshot.runs import meta_training, records, trial_files
from fewshot.runs.resolve import ResolvedRun, resolve_run
from fewshot.training import devices


class RestoredTrial(NamedTuple):
    """A trial as it was after its training.

    Attributes:
        run: the run, on the same kind of device and in the same precision as then, if possible.
        learner: the learner with its trained weights.
        train_indices: indices of the images that it was trained on, int64 [n].
    """

    run: ResolvedRun
    learner: Learner
    train_indices: Tensor


def restore(folder: Path, seed: int, device: str | None = None) -> RestoredTrial:
    """Restore one trial of the finished run in a folder.

    Args:
        folder: folder of the run.
        seed: the trial.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: a file is missing or cannot be read, or data or weights have changed since.
    """
    check_files(folder, seed)
    indices = records.trial_folder(folder, seed) / "indices.json"
    if not indices.is_file():
        raise _missing(indices)
    run = _resolve_again(folder, device)
    learner = run.build_learner(seed)
    load_trained(learner, folder, seed, bool(run.bases))
    support = records.indices(indices.parent)["support"]
    train_indices = torch.tensor(support, dtype=torch.int64)  # also if there are none
    return RestoredTrial(run, learner, train_indices)


def check_files(folder: Path, seed: int) -> None:
    """Raise UserError if the folder of a run lacks a file that every use of a trial needs."""
    trial = records.trial_folder(folder, seed) / "trial.json"
    for path in (folder / "config.yaml", folder / "record.json", trial):
        if not path.is_file():
            raise _missing(path)


def _missing(path: Path) -> UserError:
    return UserError(f"{path} is missing: name the run's own folder, with all its files.")


def load_trained(learner: Learner, folder: Path, seed: int, meta_trained: bool) -> None:
    """Put the weights of a trial on a learner in its initial state."""
    if meta_trained:
        meta_training.load_weights(learner, folder)
    if learner.feed is not None:
        trial_files.load_weights(learner, records.trial_folder(folder, seed))


def _resolve_again(folder: Path, device: str | None) -> ResolvedRun:
    """Resolve the run from its config.yaml, and check that it is still the same run."""
    values = config.read(folder / "config.yaml")
    compute = devices.Compute(**values.pop("compute"))
    if "test" not in values and not datasets.has_test_part(values["data"]):
        values["test"] = TEST_SHARE  # an older run, which was not cross-validated
    same_device = devices.pick(device).split(":")[0] == compute.device.split(":")[0]
    if same_device:
        values["precision"] = compute.precision
    # The folder of the run stands for the folder of runs. It holds no run whose device would be
    # compared.
    run = resolve_run(values, folder, device)
    if run.run_id != records.read(folder / "record.json").run_id:
        raise UserError(
            f"{folder} was made from other data or weights than those that have these names now "
            f"(data '{run.config.data}', weights '{run.config.backbone.weights}'): restore the old "
            "ones, or run it again."
        )
    if same_device:
        run = replace(run, compute=run.compute._replace(channels_last=compute.channels_last))
    return run
