"""A trial of a finished run with all that it needs to classify images, and no data set."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from episodes.types import Decoding, Labelled
from fewshot import config
from fewshot.errors import UserError
from fewshot.features import frozen
from fewshot.learners.base import Learner
from fewshot.model.restore import check_files, load_trained, restore
from fewshot.runs import own_copies, records, stored_support, trial_data
from fewshot.runs.run_settings import build_learner, configure
from fewshot.runs.stored_support import StoredSupport
from fewshot.runs.trial_data import Part
from fewshot.training import devices


class ReadyTrial(NamedTuple):
    """A trial that can classify images.

    Attributes:
        run_id: id of the run.
        learner: the learner with its trained weights, on the device.
        support: what `adapt` gets, on the device.
        on_features: whether features, computed in chunks of one size, are classified.
        classes: class names, in the order of the logits.
        decoding: how images are decoded.
        compute: device, precision and threads.
    """

    run_id: str
    learner: Learner
    support: Labelled
    on_features: bool
    classes: tuple[str, ...]
    decoding: Decoding
    compute: devices.Compute


def load(folder: Path, seed: int, device: str | None = None) -> ReadyTrial:
    """Load a trial from the files in the folder of its run.

    A trial that did not store its labelled images, because they are too many or the version was
    older, needs its data set, and weights, as they were.

    Args:
        folder: folder of the run.
        seed: the trial.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: a file is missing or cannot be read, or data or weights have changed since.
    """
    stored = stored_support.read(records.trial_folder(folder, seed))
    if stored is None:
        return _with_data(folder, seed, device)
    check_files(folder, seed)
    values = config.read(folder / "config.yaml")
    compute = devices.Compute(**values.pop("compute"))
    learner, here = _learner(folder, seed, values, stored, compute, devices.pick(device))
    if stored_support.hash_of(learner) != stored.state:
        raise UserError(
            f"{folder} was made with other weights than those that have this name now "
            f"('{values['backbone']['weights']}'): restore the old ones, or run it again."
        )
    return ReadyTrial(
        run_id=records.read(folder / "record.json").run_id,
        learner=learner,
        support=stored.support.to(here.device),
        on_features=stored.on_features,
        classes=stored.task.classes,
        decoding=stored.decoding,
        compute=here,
    )


def _learner(
    folder: Path,
    seed: int,
    values: dict[str, Any],
    stored: StoredSupport,
    compute: devices.Compute,
    device: str,
) -> tuple[Learner, devices.Compute]:
    """Return the trained learner, and how it computes on a device."""
    same_device = device.split(":")[0] == compute.device.split(":")[0]
    if same_device:
        values["precision"] = compute.precision
    settings = own_copies.with_weights(configure(values, values.get("preset", "few")), folder)
    here = devices.resolve(device, settings.precision)
    if same_device:
        here = here._replace(channels_last=compute.channels_last)
    learner = build_learner(settings, stored.task, seed).to(device)
    learner.backbone.set_compute(here.precision, here.channels_last)
    load_trained(learner, folder, seed, stored.meta_trained)
    return learner, here


def _with_data(folder: Path, seed: int, device: str | None) -> ReadyTrial:
    """Load a trial together with its data set."""
    run, learner, train_indices = restore(folder, seed, device)
    images = run.data.train
    train = Part(images, train_indices)
    on_features = trial_data.works_on_features(run, learner, train)
    if on_features:
        computed = frozen.cached(
            learner.backbone, images, train.indices, run.compute.device
        ).features
        train = Part(computed, torch.arange(len(computed)))
    return ReadyTrial(
        run_id=run.run_id,
        learner=learner,
        support=trial_data.support_for_adapt(learner, train, run.compute.device),
        on_features=on_features,
        classes=images.classes,
        decoding=images.decoding or Decoding(images.images.shape[-1]),
        compute=run.compute,
    )
