"""Resolve a request once: settings, data, task, run id, folder and compute of a run."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from episodes import augment, class_splits
from episodes.datasets import superclasses
from episodes.rng import seeded
from episodes.types import ImageSet, TrainTest
from fewshot import backbones, config, distributed, progress
from fewshot.backbones import own_weights
from fewshot.config import MethodConfig, RunConfig, Train
from fewshot.errors import UserError
from fewshot.features import cache
from fewshot.heads.trainable import HeadOptions
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, LearnerOptions, Task
from fewshot.runs import (
    base_sets,
    checks,
    cross_validation,
    default_network,
    images,
    records,
)
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.training import devices

# Settings that change the images, so that the fingerprints of the data stand for them.
BY_FINGERPRINT = {"data", "image_size", "image_fit", "test", "group_by"}
RESULTS_VERSION = 1
FOLDS_VERSION = 2  # the same for what folds choose
# The same for weights that are trained on base classes; the ids of the episodic regime do not have
# it, so raise runs/episodic/resolve.py's RESULTS_VERSION, too.
META_TRAINING_VERSION = 1
CROSS_VALIDATION_VERSION = 1  # the same for the folds of data without a test part
HOLD_OUT_VERSION = 2  # the same for what is held out of images with copies or groups
CHOICE_VERSION = 2  # the same for what a validation set chooses that also stops early
PRIOR_VERSION = 1  # the same for classes with unequal numbers of labels
UNTRAINED_PRIOR_VERSION = 2  # the same where a head that starts from no fit may stay untrained


@dataclass(frozen=True)
class ResolvedRun:
    """A checked run: everything that its trials need.

    Args:
        config: the settings, complete.
        data: the data set.
        bases: image sets for meta-training; none to train on the labelled subset.
        task: the classes to distinguish.
        run_id: hash of the settings and the data.
        folder: folder of the run.
        compute: device, precision and threads.
    """

    config: RunConfig
    data: TrainTest
    bases: tuple[ImageSet, ...]
    task: Task
    run_id: str
    folder: Path
    compute: devices.Compute

    @property
    def val(self) -> None:
        """Classes that choose the best step of a meta-training: none, the last step is taken."""
        return None

    def trial_folder(self, seed: int) -> Path:
        """Return the folder of one trial."""
        return records.trial_folder(self.folder, seed)

    def build_learner(self, seed: int) -> Learner:
        """Return the learner of one trial before its training, on the run's device."""
        learner = build_learner(self.config, self.task, seed).to(self.compute.device)
        learner.backbone.set_compute(self.compute.precision, self.compute.channels_last)
        return learner


def resolve_run(
    values: Mapping[str, Any],
    out: Path,
    device: str | None = None,
    *,
    threads: int | None = None,
    force: bool = False,
) -> ResolvedRun:
    """Check a request and return the run that it describes; write nothing in the run's folder.

    Args:
        values: settings on top of the method's preset, as nested mappings.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        threads: CPU threads of each trial; None for those that the run has, or the default.
        force: ignore how the run was computed before.

    Raises:
        UserError: a name, key, type or value is wrong, or data, weights or device are missing.
    """
    config.check_first(values)
    _check_name(values.get("method"))
    chosen = devices.pick(device)
    cache.limit()  # raises an error if FEWSHOT_CACHE_GB is no size
    settings, data, bases = _settle(values)
    task = _task(data.train, bases)
    checks.check_by_trying(settings, build_learner(settings, task, seed=0), task.n_way, data.train)
    run_id = _run_id(settings, data, bases)
    computed = None if force else computed_before(out / run_id)
    compute = compute_like(settings, out / run_id, computed, chosen, device is not None, threads)
    checks.check_compiler(settings, compute)
    return ResolvedRun(settings, data, bases, task, run_id, out / run_id, compute)


def run_id_of(values: Mapping[str, Any]) -> str:
    """Return the run id that a request has now, with today's preset, weights, data and code.

    Raises:
        NotHere: data or weights are not on this machine.
        UserError: the request is wrong.
    """
    config.check_first(values)
    _check_name(values.get("method"))
    return _run_id(*_settle(values))


def _check_name(method: object) -> None:
    from fewshot.runs.episodic import methods  # which builds on this module

    if method not in LEARNERS and method in methods.methods():
        raise UserError(
            f"method '{method}' is for many small tasks: use `fewshot episodes --method {method}`, "
            "or another method for labelled subsets."
        )
    if not isinstance(method, str) or method not in LEARNERS:
        raise UserError(f"unknown method '{method}': {config.nearest(str(method), list(LEARNERS))}")


class _Settled(NamedTuple):
    """The settings of a request as they fit its data, the data, and the base data sets."""

    config: RunConfig
    data: TrainTest
    bases: tuple[ImageSet, ...]


def _settle(values: Mapping[str, Any]) -> _Settled:
    """Choose the preset and what depends on the data."""
    preset = values.get("preset")
    settings = default_network.for_images(values, configure(values, preset or "few"))
    shown = progress.is_shown()
    data = images.load(settings, shown)
    checks.check_folds(settings, data)
    counts = label_counts(settings, data)
    if preset is None and int(counts[0].sum()) > config.FEW_LABELS * len(data.train.classes):
        settings = default_network.for_images(values, configure(values, "full"))
        data = images.load(settings, shown)  # its network may need other images
    smallest_class = int(counts.min())
    if settings.on_folds and smallest_class < 2 and "select" not in values:
        settings = settings.model_copy(update={"select": _without_folds(settings)})
    checks.check_prior(settings.prior, data.train.classes)
    settings = checks.fit_to_data(settings, data, smallest_class)
    bases = base_sets.load(settings, shown)
    return _Settled(settings, data, bases)


def _without_folds(settings: RunConfig) -> str:
    """Return what to select if single images per class leave nothing for folds.

    Training without evidence of a gain is left out, unless the learner starts at random.
    """
    return "last" if settings.learner.get("start", "random") == "random" else "start"


def _task(train: ImageSet, bases: Sequence[ImageSet]) -> Task:
    groups = class_splits.superclasses(train.classes, train.groups) if train.groups else None
    n_base = sum(len(base.classes) for base in bases) or None
    return Task(len(train.classes), groups, train.classes, n_base)


def configure(values: Mapping[str, Any], preset: str) -> RunConfig:
    """Return the preset with the values on top, checked, with the learner's own defaults."""
    method = LEARNERS[values["method"]]
    # The settings of a finished run are complete, so its preset may have changed or gone since.
    complete = set(RunConfig.model_fields) - set(config.OF_A_BUDGET) <= set(values)
    base = {} if complete else config.preset(values["method"], preset)
    named = {**with_new_keys(values, method), "preset": config.preset_name(preset)}
    if complete:
        named["learner"] = config.with_earlier_values(method.options_type, named["learner"])
    merged = config.overlay(with_new_keys(base, method), named)
    settings = config.check(RunConfig, merged, "the configuration")
    options = config.check(
        method.options_type, settings.learner, "the configuration", prefix="learner."
    )
    steps = augment.check(settings.augment)
    checks.check_method(settings, method, options)
    return settings.model_copy(
        update={"learner": options.model_dump(mode="json"), "augment": tuple(steps)}
    )


def with_new_keys(values: Mapping[str, Any], method: type[Learner]) -> dict[str, Any]:
    """Return nested settings in which renamed settings of the learner have their new keys.

    Raises:
        UserError: if a setting is given under both keys.
    """
    nested = config.expand(values.items())
    if isinstance(nested.get("learner"), Mapping):
        try:
            nested["learner"] = config.with_new_keys(method.options_type, nested["learner"])
        except ValueError as error:
            raise UserError(f"the configuration, section 'learner': {error}.") from None
    return nested


def build_learner(settings: MethodConfig, task: Task, seed: int) -> Learner:
    """Build the learner of a configuration, initialised by the seed, on the CPU."""
    method = LEARNERS[settings.method]
    with seeded(seed, "initialise"):
        backbone = backbones.build(settings.backbone)
        return method.from_config(backbone, task, options_of(settings))


def options_of(settings: MethodConfig) -> LearnerOptions:
    """Return the complete settings of the learner of a run, which may be an older run."""
    options_type = LEARNERS[settings.method].options_type
    return options_type.model_validate(config.with_earlier_values(options_type, settings.learner))


def _run_id(settings: RunConfig, data: TrainTest, bases: Sequence[ImageSet]) -> str:
    """Hash what decides the result: not the seeds, the device, the precision or any path.

    If a default changes its meaning, raise RESULTS_VERSION.
    """
    values = _with_prior(deciding_values(settings, bases), settings, data)
    values["data"] = [data.train.fingerprint, data.test.fingerprint, data.train.groups]
    values["version"] = RESULTS_VERSION
    values.pop("test_folds", None)
    if data.is_whole:
        values["cross_validation"] = _cross_validation(settings, data.train)
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
    """Return the version of the choice of weights by `monitor`, if early stopping has another."""
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


def _cross_validation(settings: RunConfig, images: ImageSet) -> list[int | str | None]:
    """Return what decides the folds: their number, the clusters, and the version of the split."""
    clusters = None
    if images.clusters is not None:
        clusters = hashlib.sha256(images.clusters.numpy().tobytes()).hexdigest()[:16]
    return [cross_validation.n_folds(settings, images), clusters, CROSS_VALIDATION_VERSION]


def label_counts(settings: RunConfig, data: TrainTest, *, validation: bool = True) -> Tensor:
    """Return the labelled images of each class, int64 [n_folds, n_way]; [1, n_way] without folds.

    Args:
        settings: the settings of the run.
        data: the data set.
        validation: whether those of the validation set count.
    """
    n_folds = 1
    if data.is_whole:
        n_folds = cross_validation.n_folds(settings, data.train)
        cross_validation.check_shots(settings, data.train)
    counts = []
    for seed in range(n_folds):
        subset = labelled_subset(settings, data, seed)
        labels = data.train.labels[subset.labelled if validation else subset.train]
        counts.append(labels.bincount(minlength=len(data.train.classes)))
    return torch.stack(counts)


def computed_before(folder: Path) -> devices.Compute | None:
    """Return how a run was computed so far; None for a new one."""
    path = folder / "config.yaml"
    return devices.Compute(**config.read(path)["compute"]) if path.exists() else None


def _with_prior(values: dict[str, Any], settings: RunConfig, data: TrainTest) -> dict[str, Any]:
    """Return the values with the prior where it decides: equal label counts are balanced."""
    counts = label_counts(settings, data, validation=False)
    equal = bool((counts == counts[:, :1]).all())
    if equal and isinstance(settings.prior, str):
        return {key: value for key, value in values.items() if key != "prior"}
    options = options_of(settings)
    may_stay_untrained = settings.on_folds or settings.select == "start"
    starts_unfitted = isinstance(options, HeadOptions) and not options.fitted_at_start
    version = PRIOR_VERSION
    if starts_unfitted and may_stay_untrained and not equal:
        version = UNTRAINED_PRIOR_VERSION
    return {**values, "prior_version": version}


def compute_like(
    settings: MethodConfig,
    folder: Path,
    before: devices.Compute | None,
    device: str,
    asked: bool,
    threads: int | None,
) -> devices.Compute:
    """Return how the run was computed before, so that it resumes alike, or how to compute it.

    Raises:
        UserError: the request names another device, precision or number of threads than the run's:
            trials that were computed differently are not mixed without the user's knowledge.
    """
    processes = distributed.world()
    if before is None:
        new = devices.resolve(device, settings.precision, threads)
        return new._replace(processes=processes)
    other_device = before.device.split(":")[0] != device.split(":")[0]
    remedy = "name another --out, or --force to compute its trials again."
    if (asked and other_device) or settings.precision not in ("auto", before.precision):
        raise UserError(
            f"the run in {folder} was computed on {before.device} in {before.precision}: {remedy}"
        )
    if threads not in (None, before.threads):
        raise UserError(
            f"the run in {folder} was computed with --threads {before.threads}, which decides the "
            f"last bits of its numbers: leave out --threads {threads}, {remedy}"
        )
    if before.processes != processes:
        are = "is" if processes == 1 else "are"
        raise UserError(
            f"the run in {folder} was computed by {before.processes} processes at once, and now "
            f"there {are} {processes}: start as many, {remedy}"
        )
    if other_device:
        new = devices.resolve(device, settings.precision, before.threads)
        return new._replace(processes=processes)
    return before._replace(device=device)
