"""Make the ids of runs, which are hashes of what decides their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from episodes.datasets import superclasses
from episodes.types import ImageSet, TrainTest
from fewshot import backbones, config
from fewshot.backbones import own_weights
from fewshot.config import MethodConfig, RunConfig, Train
from fewshot.heads.trainable import HeadOptions
from fewshot.learners import probe
from fewshot.runs import cross_validation
from fewshot.runs.labelled_subset import label_counts
from fewshot.runs.run_settings import options_of

# Settings that change the images, so that the fingerprints of the data stand for them.
BY_FINGERPRINT = {"data", "image_size", "image_fit", "test", "group_by"}
RESULTS_VERSION = 1  # raise it if the same settings, or a default, give other results
FOLDS_VERSION = 2  # the same for what folds choose
# The same for weights that are trained on base classes; the ids of the episodic regime do not have
# it, so raise runs/episodic/resolve.py's RESULTS_VERSION, too.
META_TRAINING_VERSION = 1
CROSS_VALIDATION_VERSION = 1  # the same for the folds of data without a test part
HOLD_OUT_VERSION = 2  # the same for what is held out of images with copies or groups
CHOICE_VERSION = 2  # the same for what a validation set chooses that also stops early
PRIOR_VERSION = 1  # the same for classes with unequal numbers of labels
REGULARISATION_VERSION = 2  # the same for the regularisation that a probe chooses of several values
UNTRAINED_PRIOR_VERSION = 2  # the same for heads that are not fitted at the start and may stay so


def run_id(settings: RunConfig, data: TrainTest, bases: Sequence[ImageSet]) -> str:
    """Hash what decides a result: not the seeds, the device, the precision or any path."""
    values = _with_prior(deciding_values(settings, bases), settings, data)
    values["data"] = [data.train.fingerprint, data.test.fingerprint, data.train.groups]
    values["version"] = RESULTS_VERSION
    values.pop("test_folds", None)
    if data.is_whole:
        values["cross_validation"] = _folds(settings, data.train)
    holds_out = settings.train is not None or settings.validation is not None
    if holds_out and data.train.clusters is not None:
        values["hold_out_version"] = HOLD_OUT_VERSION
    if settings.select == "holdout":
        values |= choice_version(settings.train, "loss")
    if settings.on_folds:
        values["folds_version"] = FOLDS_VERSION
    if bases:
        values["meta_training_version"] = META_TRAINING_VERSION
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def choice_version(train: Train | None, monitor: Literal["loss", "accuracy"]) -> dict[str, int]:
    """Return the version of the choice of the best weights, where early stopping affects it.

    It does so if it monitors another value than `monitor`, which chooses, or has a least gain.
    """
    stopping = None if train is None else train.early_stopping
    if stopping is None or (stopping.monitor == monitor and not stopping.least_gain):
        return {}
    return {"choice_version": CHOICE_VERSION}


def deciding_values(settings: MethodConfig, bases: Sequence[ImageSet]) -> dict[str, Any]:
    """Return the settings that decide a result, with weights and base sets by their content.

    Values that are defaults are left out, so that a new setting does not change the ids of old
    runs.
    """
    values = settings.model_dump(
        mode="json", exclude=BY_FINGERPRINT | {"preset", "precision"}, exclude_defaults=True
    )
    options = options_of(settings)
    values["learner"] = config.deciding(options)
    if isinstance(options, probe.Options) and isinstance(options.c, tuple) and len(options.c) > 1:
        values["learner"]["regularisation_version"] = REGULARISATION_VERSION
    values["backbone"] = backbones.deciding_values(settings.backbone)
    for setting, paths in options.weight_files().items():
        values["learner"][setting] = [own_weights.content_hash(Path(path)) for path in paths]
    if bases:
        fingerprints = [base.fingerprint for base in bases]
        values["train"]["base"] = fingerprints if len(bases) > 1 else fingerprints[0]
        values["train"] |= deciding_superclasses(settings, bases)
    return values


def deciding_superclasses(settings: MethodConfig, bases: Sequence[ImageSet]) -> dict[str, Any]:
    """Return the superclasses of base sets where a training reads them from files."""
    within = settings.train is not None and settings.train.within_superclass
    given = [superclasses.given_in_file(base) for base in bases] if within else []
    return {"base_superclasses": given} if any(given) else {}


def _folds(settings: RunConfig, images: ImageSet) -> list[int | str | None]:
    """Return what decides the folds: their number, the clusters, and the version of the split."""
    clusters = None
    if images.clusters is not None:
        clusters = hashlib.sha256(images.clusters.numpy().tobytes()).hexdigest()[:16]
    return [cross_validation.n_folds(settings, images), clusters, CROSS_VALIDATION_VERSION]


def _with_prior(values: dict[str, Any], settings: RunConfig, data: TrainTest) -> dict[str, Any]:
    """Return the values with the prior where it decides: equal label counts are balanced.

    Copies and groups are in one fold, so with them the counts of folds may be unequal.
    """
    counts = label_counts(settings, data, validation=False)
    are_equal = bool((counts == counts[:, :1]).all())
    are_equal_in_folds = are_equal and data.train.clusters is None
    options = options_of(settings)
    may_stay_untrained = settings.on_folds or settings.select == "start"
    starts_unfitted = isinstance(options, HeadOptions) and not options.fitted_at_start
    if starts_unfitted and may_stay_untrained and not are_equal_in_folds:
        return {**values, "prior_version": UNTRAINED_PRIOR_VERSION}
    if not are_equal or not isinstance(settings.prior, str):
        return {**values, "prior_version": PRIOR_VERSION}
    if are_equal_in_folds:
        values.pop("prior", None)
    return values
