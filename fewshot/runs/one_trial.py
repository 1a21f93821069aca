"""Runs whose trials cannot differ, because nothing depends on the seed, have one trial."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import torch

from fewshot.config import RunConfig
from fewshot.runs import records
from fewshot.runs.labelled_subset import labelled_subset
from fewshot.runs.resolve import ResolvedRun
from fewshot.runs.run_record import ONE_TRIAL, ONE_TRIAL_WITHOUT_LABELS

log = logging.getLogger("fewshot")


def trials_cannot_differ(run: ResolvedRun) -> bool:
    """Return whether every seed has the same images, and its learner the same weights.

    Those of a meta-training are shared by all trials; any other training depends on the seed.
    """
    if run.data.is_whole or (run.config.train is not None and not run.bases):
        return False
    n_labelled = len(labelled_subset(run.config, run.data, seed=0).labelled)
    if 0 < n_labelled < len(run.data.train):
        return False
    if run.bases:
        return True
    first, second = (run.build_learner(seed).state_dict() for seed in (0, 1))
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def warning(config: RunConfig) -> str:
    """Return the warning of a run whose trials cannot differ."""
    return ONE_TRIAL_WITHOUT_LABELS if config.shots == 0 else ONE_TRIAL


def seeds_to_run(run: ResolvedRun, seeds: Sequence[int]) -> list[int]:
    """Return the seed of the one trial: of a finished one, otherwise the first that is asked for.

    Args:
        run: a run whose trials cannot differ.
        seeds: the seeds that were asked for.
    """
    if len(seeds) > 1:
        log.warning("%s instead of %d.", warning(run.config), len(seeds))
    finished = [records.seed_of(file.parent) for file in finished_trials(run.folder, True)]
    return [seed for seed in finished if seed is not None] or list(seeds[:1])


def finished_trials(folder: Path, only_one: bool = False) -> list[Path]:
    """Return the results of the finished trials in the folder of a run.

    Args:
        folder: the folder.
        only_one: the trial with the smallest seed alone, of a run whose trials cannot differ.
    """
    files = {records.seed_of(path.parent): path for path in folder.glob("*/trial.json")}
    ordered = [files[seed] for seed in sorted(seed for seed in files if seed is not None)]
    return ordered[:1] if only_one else ordered
