"""One trial: labelled subset, learner, data, training, evaluation on the test set, files."""

from __future__ import annotations

import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from episodes.datasets import known_faults
from fewshot import backbones, distributed, io, progress
from fewshot.backbones import OWN, OWN_INPUT_SIZE, class_names, default_network, imagenet_packages
from fewshot.errors import Diverged
from fewshot.evaluation import low_data, metrics
from fewshot.evaluation.low_data import Predictions
from fewshot.learners.base import Classifier, Learner
from fewshot.runs import (
    calibrating,
    fitting,
    meta_training,
    provenance,
    random_weights,
    stored_support,
    trial_data,
    trial_files,
)
from fewshot.runs.labelled_subset import LabelledSubset, labelled_subset, remark_on_fraction
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.run_settings import options_of
from fewshot.runs.trial_data import Part, TrialData
from fewshot.runs.trial_files import TrialPredictions
from fewshot.runs.trial_record import CALIBRATED, Cost, TrialRecord
from fewshot.training import devices

TRAIN_ACCURACY_IMAGES = 10_000  # at most, spread evenly, for the training accuracy


def run_trial(run: ResolvedRun, seed: int, *, force: bool = False) -> None:
    """Run or resume one trial; its last file is `trial.json`. A finished trial stays as it is.

    Args:
        run: the resolved run.
        seed: seed of the labelled subset and of the training.
        force: run a finished trial again.
    """
    folder = run.trial_folder(seed)
    lock = io.locked(run.folder / f".trial-{seed}.lock")
    with distributed.entered_by_main_process(lock):
        if not distributed.from_main(lambda: _needs_work(folder, force)):
            return
        started = datetime.now(UTC)
        devices.set_up_process(run.compute)
        subset = labelled_subset(run.config, run.data, seed)
        learner = run.build_learner(seed)
        shared = meta_training.apply(run, learner) if run.bases else None
        initial = trial_files.copy_of_state(learner)
        progress.update("loading data")
        data = trial_data.load(run, learner, subset)
        if shared is not None:
            trained = shared.trained(run, learner)
        else:
            trained = fitting.train(run, learner, data, seed, folder)
        if distributed.rank() == 0:
            progress.update("classifying")
            predictions, record = _evaluate(
                run, seed, subset, learner, data, trained, folder, started
            )
            stored_support.write(run, learner, data.train, folder)
            trial_files.write(folder, subset, learner, initial, trained.fit, predictions, record)


def _needs_work(folder: Path, force: bool) -> bool:
    """Prepare the folder of a trial; return False if the trial is finished."""
    if force:
        with suppress(FileNotFoundError):
            shutil.rmtree(folder)
    if trial_files.is_finished(folder):
        return False
    io.make_folder(folder)
    return True


def _evaluate(
    run: ResolvedRun,
    seed: int,
    subset: LabelledSubset,
    learner: Learner,
    data: TrialData,
    trained: fitting.Trained,
    folder: Path,
    started: datetime,
) -> tuple[TrialPredictions, TrialRecord]:
    """Evaluate a trained learner on the test set, the validation set and its training images.

    Raises:
        Diverged: if an output for a test image is not finite.
    """
    device = run.compute.device
    support = trial_data.support_for_adapt(learner, data.train, device)
    queries = trial_data.repeated_batches(learner, data.test, device)
    classifier, adapt_seconds = low_data.adapt(learner, support)
    chosen = calibrating.choose(run, learner, data, trained, seed, folder)
    classifier = chosen.calibration.shifted(classifier)
    test = low_data.classify(classifier, queries)
    if not test.logits.isfinite().all():
        raise Diverged(
            "the trained learner's outputs for the test images are not finite: use a lower "
            "train.lr, or train.clip_norm."
        )
    faulty = None if run.data.is_whole else known_faults.positions(run.data.test)
    scores = metrics.scores(*test, faulty)
    measures = low_data.extra_metrics(learner, queries, chosen.calibration.shift)
    validation = None
    if data.validation is not None:
        batches = trial_data.batches(learner, data.validation, device)
        validation = low_data.classify(classifier, batches)
    record = TrialRecord(
        seed=seed,
        scores=scores.numbers(),
        calibrated=_calibrated(test, chosen.temperature),
        temperature=chosen.temperature,
        calibration=chosen.way,
        shift=chosen.calibration.shift_as_list,
        measures=measures,
        validation=None if validation is None else metrics.scores(*validation).numbers(),
        train_accuracy=_train_accuracy(run, learner, classifier, data.train),
        per_class=scores.per_class,
        confusion=scores.confusion,
        steps=trained.fit.steps,
        best_step=trained.fit.best_step,
        labels=len(subset.labelled),
        indices_hash=trial_files.indices_hash(subset),
        cost=_cost(trained, data.feature_seconds, adapt_seconds, chosen.seconds, learner, device),
        provenance=provenance.of_result(
            started, devices.name(device), run.compute, backbones.origins(run.config.backbone)
        ),
        warnings=_warnings(run, subset, learner, trained),
    )
    temperature = chosen.calibration.temperature
    return TrialPredictions(test, validation, faulty, temperature), record


def _train_accuracy(
    run: ResolvedRun, learner: Learner, classifier: Classifier, train: Part
) -> float | None:
    """Return the accuracy on a sample of the training images; None if there are none."""
    if not len(train.indices):
        return None
    sample = train.select(_spread(len(train.indices)))
    batches = trial_data.batches(learner, sample, run.compute.device)
    return metrics.loss_and_accuracy(*low_data.classify(classifier, batches))["accuracy"]


def _spread(n: int) -> Tensor:
    """Return at most TRAIN_ACCURACY_IMAGES positions among n, evenly spread."""
    return torch.linspace(0, n - 1, min(n, TRAIN_ACCURACY_IMAGES)).long()


def _calibrated(test: Predictions, temperature: float | None) -> dict[str, float] | None:
    """Return the scores at the temperature that it changes; None without one."""
    if temperature is None:
        return None
    scores = metrics.scores(test.logits / temperature, test.labels).numbers()
    return {name: scores[name] for name in CALIBRATED}


def _cost(
    trained: fitting.Trained,
    feature_seconds: float | None,
    adapt_seconds: float,
    calibration_seconds: float,
    learner: Learner,
    device: str,
) -> Cost:
    fit = trained.fit
    return Cost(
        train_seconds=trained.fold_seconds + fit.seconds,
        adapt_seconds=(feature_seconds or 0.0) + adapt_seconds,
        images_per_second=fit.images / fit.seconds if fit.seconds else None,
        peak_memory_mb=provenance.peak_memory_mb(device),
        parameters=sum(parameter.numel() for parameter in learner.parameters()),
        meta_train_seconds=trained.meta_train_seconds,
        feature_seconds=feature_seconds,
        calibration_seconds=calibration_seconds,
    )


def _warnings(
    run: ResolvedRun, subset: LabelledSubset, learner: Learner, trained: fitting.Trained
) -> list[str]:
    """Return sentences that a reader of the scores must know."""
    warnings = _shrinking(run) + _overlaps(run, learner)
    if (few := remark_on_fraction(run.config, run.data, subset.labelled)) is not None:
        warnings.append(few)
    changed = trained.fit.steps > 0 and trained.fit.best_step != 0
    remark = random_weights.remark(run.config, learner.backbone, learner if changed else None)
    if remark is not None:
        warnings.append(remark)
    if trained.fit.steps > 0 and not run.bases and learner.caution is not None:
        warnings.append(learner.caution)
    return warnings + trained.warnings


def _overlaps(run: ResolvedRun, learner: Learner) -> list[str]:
    """Warn if the network or a teacher has already learned from labels of the data's classes."""
    data, pretraining = run.data.train, learner.backbone.pretraining
    known: list[tuple[str, class_names.ClassNames]] = []
    if pretraining is not None:
        known.append((f"backbone '{run.config.backbone.full_name}' was pretrained", pretraining))
    for paths in options_of(run.config).weight_files().values():
        for path in dict.fromkeys(map(Path, paths)):
            taught = class_names.of_weights(path)
            known += [(f"{path.name}, a teacher, was trained", taught)] if taught else []
    for base in run.bases:
        trained = class_names.of_data(base.name, base.classes)
        known.append((f"the {run.config.method} was meta-trained", trained))
    notes = [class_names.overlap_note(use, one, data.name, data.classes) for use, one in known]
    return [note for note in notes if note is not None]


def _shrinking(run: ResolvedRun) -> list[str]:
    """Warn if one of our own networks, which are for small images, gets large ones."""
    backbone, side = run.config.backbone, run.data.train.images.shape[-1]
    input_size = backbone.input_size or OWN_INPUT_SIZE
    if backbone.name not in OWN or backbone.beside or side < 2 * input_size:
        return []
    return [
        f"backbone '{backbone.name}' sees images of {side} pixels at {input_size}: a network for "
        f"large images may see more ({_for_large_images()})"
    ]


def _for_large_images() -> str:
    """Return how to use the ImageNet network of a package, which may have to be installed."""
    name = default_network.LARGE.name
    installed = imagenet_packages.weights_file(name) is not None
    use = f"--backbone {name} --weights pretrained"
    return use if installed else f"{imagenet_packages.EXTRA}, then {use}"
