"""The calibration of a trial: its prior and its temperature, chosen on its labelled images alone.

A temperature needs predictions for labelled images that the classifier was not fitted to. They are,
in this order: those of the validation set; those out of fold, where fitting again costs little, or
where folds chose the number of steps; and those of another training on three quarters of the
labels. Few predictions leave the temperature uncertain, so it has a prior around the temperature
that gives the logits the spread of a cosine head. With one label per class, the centre of this
prior is the temperature.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from episodes import streams, subsets
from episodes.types import ImageSet
from fewshot import distributed, io, progress
from fewshot.config import FEW_LABELS
from fewshot.features import frozen
from fewshot.heads import calibration
from fewshot.heads.calibration import Calibration, relative_spread
from fewshot.learners.base import Learner
from fewshot.runs import fitting, held_out
from fewshot.runs.held_out import HeldOut
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.trial_data import Part, TrialData, episode_ways

FOLDS = 10  # at most
ENOUGH = 1000  # predictions out of fold; more folds are not fitted
HELD_OUT = 0.25  # of the labels, for another training
# Standard deviation of the logarithm of the temperature around the expected one, chosen on training
# images of CIFAR-10 (docs/log.md).
TOLERANCE = 0.2
WIDE_TOLERANCE = 1.0  # the same around 1, for networks that began with random weights

VALIDATION = "on the validation set"
OUT_OF_FOLD = "on predictions out of fold"
ANOTHER_TRAINING = "on a quarter of the labels, by a training on the others"
EXPECTED = "expected from the spread of a cosine head"
NOT_WANTED = "none, as the settings say"
NO_LABELS = "none: there are no labels"
TOO_FEW = "none: one label per class leaves none to hold out"
NO_EPISODE = "none: without the labels held out, too few are left for training episodes"
TOO_COSTLY = "none: it would need another training; a validation set would serve as well"


class Chosen(NamedTuple):
    """The calibration of a trial.

    Attributes:
        calibration: the shift for the prior, and the temperature, 1 if none was chosen.
        way: how the temperature was chosen, or why there is none.
        seconds: the seconds that the choice took.
    """

    calibration: Calibration
    way: str
    seconds: float

    @property
    def temperature(self) -> float | None:
        """The temperature; None if none was chosen."""
        return None if self.way.startswith("none") else self.calibration.temperature


class _Temperature(NamedTuple):
    value: float
    way: str


def choose(
    run: ResolvedRun,
    learner: Learner,
    data: TrialData,
    trained: fitting.Trained,
    seed: int,
    folder: Path,
) -> Chosen:
    """Choose the calibration of a trained learner; the learner stays as it is."""
    started = time.perf_counter()
    temperature = _temperature(run, learner, data, trained, seed, folder)
    shift = held_out.shift(run, learner, data.train, trained=trained.fit.steps > 0)
    seconds = time.perf_counter() - started
    return Chosen(Calibration(shift, temperature.value), temperature.way, seconds)


def _temperature(
    run: ResolvedRun,
    learner: Learner,
    data: TrialData,
    trained: fitting.Trained,
    seed: int,
    folder: Path,
) -> _Temperature:
    train, counts = data.train, data.train.labels.bincount(minlength=data.train.n_way)
    was_trained = trained.fit.steps > 0
    few = len(train.indices) <= FEW_LABELS * train.n_way
    if run.config.calibration == "none":
        return _Temperature(1.0, NOT_WANTED)
    if not len(train.indices):
        return _Temperature(1.0, NO_LABELS)
    if data.validation is not None:
        predictions = held_out.predict(run, learner, train, data.validation, trained=was_trained)
        return _on(run, train, predictions, VALIDATION)
    if not was_trained or run.bases:
        return _by_refits(run, learner, _as_features(run, learner, train), was_trained)
    if trained.held_out is not None:
        return _on(run, train, trained.held_out, OUT_OF_FOLD)
    if int(counts.max()) < 2:
        return _Temperature(1.0, TOO_FEW)
    inside = train.select(_split(train)[0])
    if learner.feed == "episodes" and episode_ways(inside) < 2:
        return _Temperature(1.0, NO_EPISODE)
    if not few or distributed.world() > 1:
        return _Temperature(1.0, TOO_COSTLY)
    folder /= "fold-calibration"
    predictions = _by_another_training(run, train, trained.until, seed, folder)
    return _on(run, train, predictions, ANOTHER_TRAINING)


def _on(run: ResolvedRun, train: Part, predictions: HeldOut, way: str) -> _Temperature:
    """Return the temperature that is best for held-out predictions."""
    logits, labels, reference = predictions
    expected = None if reference is None else relative_spread(logits, reference)
    return _best(run, train, logits, labels, expected, way)


def _best(
    run: ResolvedRun,
    train: Part,
    logits: Tensor,
    labels: Tensor,
    expected: float | None,
    way: str,
) -> _Temperature:
    """Return the temperature that is best for held-out logits, near the expected one if known."""
    value = calibration.choose_temperature(
        logits,
        labels,
        held_out.image_weights(run, train, labels),
        expected=expected or 1.0,
        tolerance=TOLERANCE if expected else WIDE_TOLERANCE,
    )
    return _Temperature(value, way)


def _as_features(run: ResolvedRun, learner: Learner, train: Part) -> Part:
    """Return a part as features of the learner's backbone, unless the learner needs images."""
    if learner.needs.images or not isinstance(train.source, ImageSet):
        return train
    device = run.compute.device
    features, _ = frozen.cached(learner.backbone, train.source, train.indices, device)
    return Part(features, torch.arange(len(features)))


def _by_refits(run: ResolvedRun, learner: Learner, train: Part, trained: bool) -> _Temperature:
    """Return the temperature of a learner that only adapts to its support set.

    For each fold, it adapts to the support set without that fold and predicts the fold. With fewer
    images, regularisation changes the spread of the logits, so those of a fold are scaled to the
    spread that the classifier of the whole support set has.
    """
    whole, _, reference = held_out.predict(run, learner, train, train, trained=trained)
    expected = None if reference is None else relative_spread(whole, reference)
    logits, labels = [], []
    for inside, outside in folds(train.labels, train.clusters):
        part = train.select(inside)
        classify = held_out.fitted(run, _refitted(run, learner, part), part, trained=trained)
        fold = classify(train.select(outside))
        scale = relative_spread(whole, classify(part).logits)
        logits.append(scale * fold.logits)
        labels.append(fold.labels)
        if sum(map(len, labels)) >= ENOUGH:
            break
    if labels:
        return _best(run, train, torch.cat(logits), torch.cat(labels), expected, OUT_OF_FOLD)
    return _Temperature(1.0, TOO_FEW) if expected is None else _Temperature(expected, EXPECTED)


def folds(
    labels: Tensor, clusters: Tensor | None, seed: int = 0, most: int = FOLDS
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield indices to fit to and indices held out; a class with one image is never held out.

    Args:
        labels: int64 [n].
        clusters: as those of the images.
        seed: seed of the split.
        most: largest number of folds.
    """
    counts = labels.bincount()
    single = counts[labels] == 1
    for inside, outside in subsets.folds(labels, min(most, int(counts.max())), seed, clusters):
        left_in = outside[single[outside]]
        outside = outside[~single[outside]]
        if len(outside):
            yield torch.cat([inside, left_in]).sort().values, outside


def _split(train: Part) -> tuple[Tensor, Tensor]:
    """Return indices to train on and indices held out; a class with one image is not held out."""
    labels, clusters = train.labels, train.clusters
    several = (labels.bincount()[labels] > 1).nonzero()[:, 0]
    of_several = None if clusters is None else clusters[several]
    outside = several[subsets.hold_out(labels[several], HELD_OUT, 0, of_several)[1]]
    is_inside = torch.ones(len(labels), dtype=torch.bool)
    is_inside[outside] = False
    return is_inside.nonzero()[:, 0], outside


def _refitted(run: ResolvedRun, learner: Learner, part: Part) -> Learner:
    """Return the learner as it would be had it been prepared on a part of its support set."""
    if not learner.prepares:
        return learner
    refitted = copy.deepcopy(learner).eval()
    refitted.prepare(streams.labelled(part.source, part.indices, run.compute.device))
    return refitted


def _by_another_training(
    run: ResolvedRun, train: Part, until: float, seed: int, folder: Path
) -> HeldOut:
    """Train on three quarters of the labels, and predict the others; resume if interrupted."""
    if not (folder / held_out.FILE).exists():
        io.make_folder(folder)
        inside, outside = _split(train)
        data = TrialData(train.select(inside), None, test=train)
        learner = run.build_learner(seed)
        with progress.within("calibration"):
            fitting.fit_learner(run, learner, data, seed, folder, until=until)
        predictions = held_out.predict(
            run, learner, data.train, train.select(outside), trained=True
        )
        predictions.write(folder)
    return held_out.read(folder)
