"""Resolve a request once: settings, data, task, run id, folder and compute of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from episodes import class_splits
from episodes.types import ImageSet, TrainTest
from fewshot import config, distributed, progress
from fewshot.config import MethodConfig, RunConfig
from fewshot.errors import UserError
from fewshot.features import cache
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, Task
from fewshot.runs import (
    base_sets,
    checks,
    default_network,
    images,
    records,
    run_ids,
)
from fewshot.runs.labelled_subset import label_counts
from fewshot.runs.run_settings import build_learner, configure
from fewshot.training import devices


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
    run_id = run_ids.run_id(settings, data, bases)
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
    return run_ids.run_id(*_settle(values))


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


def computed_before(folder: Path) -> devices.Compute | None:
    """Return how a run was computed so far; None for a new one."""
    path = folder / "config.yaml"
    return devices.Compute(**config.read(path)["compute"]) if path.exists() else None


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
