"""Execute a request: resolve it, run its missing trials, write the record of the run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from episodes import datasets
from fewshot import backbones, config, distributed, io, progress
from fewshot.errors import UserError
from fewshot.learners import LEARNERS
from fewshot.runs import (
    cross_validation,
    doubtful_labels,
    one_trial,
    own_copies,
    processes,
    requests,
    trained_on_test,
    trial_files,
)
from fewshot.runs.assembly import assemble
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.runs.resolve import ResolvedRun, resolve_run
from fewshot.runs.run_record import RunFacts, RunRecord
from fewshot.runs.run_settings import options_of
from fewshot.runs.trial import run_trial
from fewshot.runs.trial_record import TrialRecord
from fewshot.training import cores, devices

LONG_TRIALS = 20.0  # seconds of a trial from which the start of processes is worth its time
MANY = 4  # times the cores that a run uses are worth a hint

log = logging.getLogger("fewshot")


@distributed.losses_named()
def execute(
    values: Mapping[str, Any],
    seeds: Sequence[int],
    *,
    out: Path,
    device: str | None,
    force: bool,
    workers: int | None,
    threads: int | None,
) -> RunRecord:
    """Run the missing trials and write the record; the arguments are those of `experiment.run`."""
    if "WORLD_SIZE" in os.environ:
        distributed.join(devices.pick(device))
    with distributed.main_process_first():  # it decodes images and measures the machine
        resolved = resolve_run(values, out, device, threads=threads, force=force)
        trained_on_test.check(resolved.config, resolved.data)
        _check_shared_training(resolved, workers or 1)
    resolved = replace(resolved, compute=distributed.agree(resolved.compute))
    only_one = one_trial.trials_cannot_differ(resolved)
    if only_one:
        seeds = one_trial.seeds_to_run(resolved, seeds)
    if resolved.data.is_whole:
        for seed in seeds:  # folds differ, so a later one might have too few images of a class
            labelled_subset(resolved.config, resolved.data, seed)
    missing = distributed.from_main(lambda: _begin(resolved, seeds, force))
    _run_missing(resolved, missing, workers, force)
    if missing and distributed.world() == 1:
        doubtful_labels.warn(resolved)
    record = distributed.from_main(lambda: write_record(resolved, only_one))
    if distributed.world() == 1:
        _remember(values, device, threads, resolved, only_one)
    return record


def _run_missing(
    run: ResolvedRun, missing: Sequence[int], workers: int | None, force: bool
) -> None:
    """Run trials one by one or several at once, which changes no result.

    Args:
        run: the resolved run.
        missing: the trials.
        workers: how many at once; None for one if the first trial shows that they are short, and
            otherwise for as many as fit on the cores.
        force: run finished trials again.
    """
    started = time.monotonic()
    for number, seed in enumerate(missing, start=1):
        rest = missing[number - 1 :]
        is_long = number > 1 and time.monotonic() - started >= LONG_TRIALS * (number - 1)
        at_once = workers or (_fitting_workers(run, len(rest)) if is_long else 1)
        if at_once > 1 and len(rest) > 1:
            processes.run_trials(run, rest, at_once, force)
            return
        left = ""
        if number > 1:
            seconds = (time.monotonic() - started) / (number - 1) * len(rest)
            left = f" ({progress.duration(seconds)} left)" if seconds >= LONG_TRIALS else ""
        label = progress.within(f"trial {number}/{len(missing)}{left}")
        with label if len(missing) > 1 else nullcontext():
            run_trial(run, seed, force=force)


def _fitting_workers(run: ResolvedRun, n_trials: int) -> int:
    """Return how many trials fit on the cores at once: one on a GPU or under torchrun."""
    if run.compute.device != "cpu" or distributed.world() > 1:
        return 1
    return max(1, min(cores.n_cores() // run.compute.threads, n_trials))


def _remember(
    values: Mapping[str, Any],
    device: str | None,
    threads: int | None,
    run: ResolvedRun,
    only_one: bool,
) -> None:
    """Note the request, so that it is answered from the record next time."""
    data = [run.config.data]
    if isinstance(run.config.test, str):
        data.append(run.config.test)
    if run.config.train is not None:
        data += run.config.train.bases
    data += [folder for name in data for folder in datasets.folders_outside(name)]
    files = [
        Path(path) for paths in options_of(run.config).weight_files().values() for path in paths
    ]
    files += backbones.weights_files(run.config.backbone)
    preset = Path(str(values.get("preset", "")))
    if preset.is_file():  # the user's own
        files.append(preset.absolute())
    requests.remember(values, device, threads, run.folder, data, files, only_one)


def _begin(run: ResolvedRun, seeds: Sequence[int], force: bool) -> list[int]:
    """Write the run's config.yaml and return the seeds whose trials are not finished.

    A trial that was killed just after it had finished is tidied up.
    """
    if not (run.folder / "config.yaml").exists():
        _mention_idle_cores(run, len(seeds))
    io.make_folder(run.folder)
    settings = own_copies.with_absolute_paths(run.config.model_dump(mode="json"))
    values = {**settings, "compute": run.compute._asdict()}
    io.write_bytes(run.folder / "config.yaml", config.dump(values).encode())
    own_copies.copy_weights(run.config, run.folder)
    finished = [seed for seed in seeds if trial_files.is_finished(run.trial_folder(seed))]
    for seed in finished:
        trial_files.remove_what_resumes(run.trial_folder(seed))
    return [seed for seed in seeds if force or seed not in finished]


def _mention_idle_cores(run: ResolvedRun, n_trials: int) -> None:
    """Mention --threads if a new run trains on the CPU and leaves most of the cores idle."""
    n_cores, n_busy = cores.n_cores(), run.compute.threads * n_trials
    trains = run.config.train is not None and run.compute.device == "cpu"
    if trains and distributed.world() == 1 and n_cores >= MANY * n_busy:
        _mention_once(
            f"{n_busy} of {n_cores} cores will be busy: --threads {n_cores // n_trials} makes a "
            "long training faster (its results differ slightly)."
        )


@cache
def _mention_once(text: str) -> None:
    log.info(text)


def _check_shared_training(run: ResolvedRun, workers: int) -> None:
    """Check that the processes of torchrun, if there are several, can share the training.

    Raises:
        UserError: they cannot.
    """
    processes = distributed.world()
    if processes == 1:
        return
    method, train = run.config.method, run.config.train
    shared, remedy = "under torchrun several processes share one training", "run without torchrun"
    if workers > 1:
        raise UserError(
            f"{shared}, and --workers asks for several trials at once: remove --workers, or "
            f"{remedy}."
        )
    if train is None:
        raise UserError(f"{shared}, and method '{method}' has none here: {remedy}.")
    if LEARNERS[method].feed != "batches":
        raise UserError(f"{shared} by its batches, and method '{method}' has none: {remedy}.")
    if run.bases:
        raise UserError(
            f"{shared} on the labelled images, and train.base names other images: remove "
            f"train.base, or {remedy}."
        )
    if run.config.on_folds:
        raise UserError(
            f"{shared}, and select: {run.config.select} has many: use --set select=last, or "
            f"{remedy}."
        )
    labelled = labelled_subset(run.config, run.data, seed=0).train
    size = min(train.batch_size, len(labelled))
    if size % processes:
        raise UserError(
            f"batches of {size} images cannot be shared evenly by {processes} processes: set "
            "train.batch_size to a multiple of them, no more than there are labelled images."
        )


def write_record(run: ResolvedRun, only_one: bool) -> RunRecord:
    """Write and return the record of all finished trials of a run, or of one if none can differ."""
    with io.locked(run.folder / ".record.lock"):
        paths = one_trial.finished_trials(run.folder, only_one)
        if not paths:
            raise UserError(
                f"{run.folder} has no finished trial any more, so something removed its files: "
                "repeat the command when nothing else changes that folder."
            )
        trials = [io.read_as(path, TrialRecord.from_json) for path in paths]
        facts, spread = _facts(run, trials), None
        if facts.folds is None:
            spread = trial_files.image_std([path.parent for path in paths])
        record = assemble(facts, run.data.train.identity, trials, spread)
        if isinstance(run.config.test, str):
            provenance = replace(record.provenance, test_fingerprint=run.data.test.identity)
            record = replace(record, provenance=provenance)
        if only_one:
            record = replace(record, warnings=[one_trial.warning(run.config), *record.warnings])
        io.write_json(run.folder / "record.json", record.to_json())
    return record


def _facts(run: ResolvedRun, trials: Sequence[TrialRecord]) -> RunFacts:
    """Return what the trials of a run share."""
    config, data = run.config, run.data
    notes, folds, n_test = data.train.notes + data.test.notes, None, len(data.test)
    if data.is_whole:
        folds = cross_validation.n_folds(config, data.train)
        seeds = [trial.seed for trial in trials if trial.seed is not None]
        n_test = cross_validation.n_tested(config, data.train, seeds)
        notes += tuple(cross_validation.notes(config, data.train, n_test))
    return RunFacts(
        run_id=run.run_id,
        method=config.method,
        preset=config.preset or "",
        backbone=config.backbone.full_name,
        weights=config.backbone.weights,
        data=data.train.name,
        data_notes=list(dict.fromkeys(notes + _base_notes(run))),
        regime=config.regime,
        shots=config.shots,
        fraction=config.fraction,
        classes=list(data.train.classes),
        n_test=n_test,
        config=_public_config(run),
        folds=folds,
    )


def _base_notes(run: ResolvedRun) -> tuple[str, ...]:
    notes: list[str] = []
    for base in run.bases:
        notes += [f"meta-trained on {len(base):,} labelled images of {base.name}", *base.notes]
    return tuple(notes)


def _public_config(run: ResolvedRun) -> dict[str, Any]:
    """Return the configuration with data sets by name, not by path, and without the precision."""
    values = run.config.model_dump(mode="json", exclude={"precision"})
    values["data"] = run.data.train.name
    if isinstance(run.config.test, str):
        values["test"] = Path(run.config.test).name
    if run.bases:
        names = [base.name for base in run.bases]
        values["train"]["base"] = names if len(names) > 1 else names[0]
    return values
