"""Checks of a learner and its training before any work starts; each failure is one sentence."""

from __future__ import annotations

from fewshot.errors import UserError
from fewshot.learners.base import Learner
from fewshot.runs import base_sets, checks, meta_validation, run_settings
from fewshot.runs.episodic.pool import Pool
from fewshot.runs.episodic.resolve import ResolvedEpisodes
from fewshot.runs.training_run import BaseTraining


def check(run: ResolvedEpisodes) -> None:
    """Check that the images suit the network, and the base classes the training.

    Raises:
        UserError: they do not.
    """
    if not isinstance(run.pool, Pool) or (run.method.learner is None and not run.trained):
        return
    building = run.training()
    learner = run_settings.build_learner(building.config, building.task, seed=0)
    base = base_sets.union(building.bases) if run.trained else run.pool.data.train
    n_way = len(base.classes) if run.trained else run.n_way
    checks.check_by_trying(building.config, learner, n_way, base)
    checks.check_compiler(building.config, run.compute)
    if run.trained:
        _check_training(building, learner)


def _check_training(building: BaseTraining, learner: Learner) -> None:
    checks.check_labels(building.config, type(learner), learner.options)
    ways = learner.episode_ways or building.task.n_way
    for base in building.bases:
        if learner.feed == "episodes" and len(base.classes) < ways:
            raise UserError(
                f"a training episode has {ways} classes, and {base.name} has {len(base.classes)} "
                f"base classes: use --set learner.episode_ways={len(base.classes)}, or more base "
                "classes."
            )
    if building.val is not None:
        meta_validation.validation(learner, building.val, "cpu")
