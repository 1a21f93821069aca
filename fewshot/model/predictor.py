"""A trial of a finished run, ready to classify new images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from episodes.types import Decoding, FeatureSet, ImageSet
from fewshot import io
from fewshot.backbones import chunk_size
from fewshot.errors import UserError
from fewshot.evaluation import low_data
from fewshot.features import frozen
from fewshot.heads.calibration import Calibration
from fewshot.model import ready_trial
from fewshot.model.ready_trial import ReadyTrial
from fewshot.runs import records, trial_data, voters
from fewshot.runs.trial_data import Part
from fewshot.runs.trial_record import TrialRecord


class Predictor(NamedTuple):
    """A classifier of new images.

    Attributes:
        logits: pixels uint8 [n, 3, side, side] -> logits float32 [n, n_way], computed as the run's
            own evaluation does, under its prior and at its temperature.
        classes: class names, in the order of the logits.
        decoding: how images must be decoded, as the run's own were.
        batch_size: how many images to pass at once, so that memory does not depend on their size.
        fingerprint: hash of what decides the logits.
    """

    logits: Callable[[np.ndarray], Tensor]
    classes: tuple[str, ...]
    decoding: Decoding
    batch_size: int
    fingerprint: str


def load(run: Path, seed: int | None = None, device: str | None = None) -> Predictor:
    """Load a trial of a finished run, on the run's kind of device and in its precision.

    Args:
        run: folder of the run.
        seed: the trial; None for the first.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: the folder is no finished run, or its data or weights have changed since.
    """
    seed = _finished_seed(run, seed)
    trial = ready_trial.load(run, seed, device)
    kind = torch.device(trial.compute.device).type
    fingerprint = hashlib.sha256((records.trial_folder(run, seed) / "trial.json").read_bytes())
    fingerprint.update(f"{trial.run_id} {trial.compute.precision} {kind}".encode())
    side = trial.decoding.size
    return Predictor(
        logits=_classifier(trial, _calibration(run, seed)),
        classes=trial.classes,
        decoding=trial.decoding,
        batch_size=chunk_size(trial.learner.backbone, torch.empty(0, 3, side, side)),
        fingerprint=fingerprint.hexdigest(),
    )


def _finished_seed(run: Path, seed: int | None) -> int:
    """Return the seed that was asked for, or the first of the run."""
    if not (run / "record.json").is_file():
        raise UserError(
            f"{run} is not the folder of a finished run: name one that contains a record.json, "
            "in full, such as runs/1f0c52e7ab94."
        )
    record = records.read(run / "record.json")
    if record.method == voters.VOTING:
        raise UserError(f"{run} is a vote, which has no network: name one of the runs that voted.")
    if seed is None:
        seed = record.seeds[0]
    if seed is None or seed not in record.seeds:
        raise UserError(f"{run} has no trial {seed}: it has {', '.join(map(str, record.seeds))}.")
    return seed


def _calibration(run: Path, seed: int) -> Calibration:
    """Return the calibration of a trial."""
    trial = TrialRecord.from_json(io.read_json(records.trial_folder(run, seed) / "trial.json"))
    shift = None if trial.shift is None else torch.tensor(trial.shift)
    return Calibration(shift, trial.temperature or 1.0)


@torch.no_grad()
def _classifier(trial: ReadyTrial, calibration: Calibration) -> Callable[[np.ndarray], Tensor]:
    """Return pixels -> logits, by the same steps as the evaluation of the trial."""
    learner, device = trial.learner, trial.compute.device
    classifier = calibration.calibrated(low_data.adapt(learner, trial.support).classifier)

    def logits(pixels: np.ndarray) -> Tensor:
        every = torch.arange(len(pixels))
        labels = torch.zeros_like(every)  # unknown; nothing reads them
        new_images = ImageSet(
            name="",
            images=torch.from_numpy(pixels),
            labels=labels,
            classes=trial.classes,
            fingerprint="",
            groups={},
        )
        part = Part(new_images, every)
        if trial.on_features:
            features = frozen.extract(learner.backbone, new_images, every, device)
            part = Part(FeatureSet(frozen.as_features(features), labels, trial.classes), every)
        return low_data.classify(classifier, trial_data.batches(learner, part, device)).logits

    return logits
