"""A model file or a trial of a finished run, ready to classify new images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
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
from fewshot.model import file_format, hub, ready_trial, reject
from fewshot.model.classifier import ImageClassifier
from fewshot.model.ready_trial import ReadyTrial
from fewshot.runs import records, trial_data, voters
from fewshot.runs.trial_data import Part
from fewshot.runs.trial_record import TrialRecord
from fewshot.training import devices


class Predicted(NamedTuple):
    """What a predictor computes of n images.

    Attributes:
        logits: float32 [n, n_way], under the prior and at the temperature.
        known: similarity to the nearest class, [n]; None for a run.
        features: features of the network, [n, d]; None for a run.
    """

    logits: Tensor
    known: Tensor | None = None
    features: Tensor | None = None


@dataclass(frozen=True)
class Predictor:
    """A classifier of new images.

    Attributes:
        classify: pixels uint8 [n, 3, side, side] -> what is predicted.
        classes: class names, in the order of the logits.
        decoding: how images must be decoded, as those that were learned from.
        batch_size: how many images to pass at once, so that memory does not depend on their size.
        fingerprint: hash of what decides the predictions.
        model: the classifier of a model file; None for a run.
    """

    classify: Callable[[np.ndarray], Predicted]
    classes: tuple[str, ...]
    decoding: Decoding
    batch_size: int
    fingerprint: str
    model: ImageClassifier | None = None

    def logits(self, pixels: np.ndarray) -> Tensor:
        """Return logits float32 [n, n_way] of pixels uint8 [n, 3, side, side]."""
        return self.classify(pixels).logits


def load(place: Path, seed: int | None = None, device: str | None = None) -> Predictor:
    """Load a model file, or a trial of a finished run.

    A run computes on its own kind of device, if that is here, and in its precision.

    Args:
        place: the model file, hf:user/name for the one in a repository of the hub, or the folder of
            the run.
        seed: the trial of the run; None for the first.
        device: cpu, cuda and so on; None for a GPU if there is one.

    Raises:
        UserError: there is neither; the file is damaged; or data or weights of the run have changed
            since.
    """
    devices.keep_freed_memory()
    place = hub.local_file(place)
    if place.is_dir():
        return _of_run(place, seed, device)
    if seed is not None:
        raise UserError(f"--trial is for runs, and {place} is not a run folder: leave out --trial.")
    if not place.exists():
        raise UserError(
            f"{place} does not exist: name a model file, which fewshot fit writes, or the folder "
            "of a run."
        )
    model = file_format.load(place, device)
    with place.open("rb") as file:
        return of_model(model, hashlib.file_digest(file, "sha256").hexdigest())


def of_model(model: ImageClassifier, file_hash: str) -> Predictor:
    """Return the predictor of a model that was read from a file of this hash."""
    kind = next(model.backbone.parameters()).device.type
    side = model.decoding.size

    def classify(pixels: np.ndarray) -> Predicted:
        features = model.features(torch.from_numpy(pixels))
        known = reject.known_scores(model.rejection, features)
        return Predicted(model.log_probabilities(features), known, features)

    return Predictor(
        classify=classify,
        classes=model.classes,
        decoding=model.decoding,
        batch_size=chunk_size(model.backbone, torch.empty(0, 3, side, side)),
        fingerprint=f"{file_hash} {kind}",
        model=model,
    )


def _of_run(run: Path, seed: int | None, device: str | None) -> Predictor:
    """Load a trial of a finished run."""
    seed = _finished_seed(run, seed)
    trial = ready_trial.load(run, seed, device)
    kind = torch.device(trial.compute.device).type
    fingerprint = hashlib.sha256((records.trial_folder(run, seed) / "trial.json").read_bytes())
    fingerprint.update(f"{trial.run_id} {trial.compute.precision} {kind}".encode())
    side = trial.decoding.size
    return Predictor(
        classify=_classifier(trial, _calibration(run, seed)),
        classes=trial.classes,
        decoding=trial.decoding,
        batch_size=chunk_size(trial.learner.backbone, torch.empty(0, 3, side, side)),
        fingerprint=fingerprint.hexdigest(),
    )


def _finished_seed(run: Path, seed: int | None) -> int:
    """Return the seed that was asked for, or the first of the run."""
    if not (run / "record.json").is_file():
        raise UserError(
            f"{run} is not the folder of a finished run: name a model file, or a folder that "
            "contains a record.json, in full, such as runs/1f0c52e7ab94."
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
    trial = io.read_as(records.trial_folder(run, seed) / "trial.json", TrialRecord.from_json)
    shift = None if trial.shift is None else torch.tensor(trial.shift)
    return Calibration(shift, trial.temperature or 1.0)


@torch.no_grad()
def _classifier(trial: ReadyTrial, calibration: Calibration) -> Callable[[np.ndarray], Predicted]:
    """Return pixels -> what is predicted, by the same steps as the evaluation of the trial."""
    learner, device = trial.learner, trial.compute.device
    classifier = calibration.calibrated(low_data.adapt(learner, trial.support).classifier)

    def classify(pixels: np.ndarray) -> Predicted:
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
        batches = trial_data.batches(learner, part, device)
        return Predicted(low_data.classify(classifier, batches).logits)

    return classify
