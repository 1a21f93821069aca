"""Resolve a request of the episodic regime once: settings, data, pool, run id, folder, compute."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from episodes import datasets
from episodes.class_splits import Split
from episodes.datasets import superclasses
from episodes.types import ImageSet, TrainTest
from fewshot import backbones, config, progress
from fewshot.config import EpisodesConfig, splits
from fewshot.config.episodic import TaskSettings
from fewshot.errors import UserError
from fewshot.features import cache
from fewshot.heads.inductive.logistic import Logistic
from fewshot.learners.base import Task
from fewshot.runs import base_sets, checks, run_ids
from fewshot.runs import resolve as low_data
from fewshot.runs.episodic import overlap, settings
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.methods import Method
from fewshot.runs.episodic.pool import Pool
from fewshot.runs.training_run import BaseTraining
from fewshot.training import devices

# Settings that decide tasks which are not `fixed`, by sampler.
DECIDING = {"varying": ("sampler", "count", "seed"), "superclasses": ("sampler",)}
RESULTS_VERSION = 1  # raise it if the same settings give other results
TWO_WAY_VERSION = 2  # the same for tasks of two classes with the head `logistic`


@dataclass
class Sources:
    """The data sets that the runs of one call share, so that each is loaded once.

    Args:
        given: features in place of images; None without them.
    """

    given: GivenFeatures | None = None
    _loaded: dict[tuple[object, ...], TrainTest] = field(default_factory=dict)

    def load(self, data: str, chosen: EpisodesConfig) -> TrainTest:
        """Return a data set at the size that the settings need; it is loaded at the first call."""
        input_size = backbones.input_side(chosen.backbone)
        key = data, chosen.image_size, chosen.image_fit, input_size
        if key not in self._loaded:
            self._loaded[key] = datasets.load(
                data,
                image_size=chosen.image_size,
                input_size=input_size,
                fit=chosen.image_fit,
                progress=progress.is_shown(),
            )
        return self._loaded[key]


@dataclass(frozen=True)
class ResolvedEpisodes:
    """A checked run of the episodic regime: everything that its evaluation needs.

    Args:
        config: the settings, complete.
        method: the method.
        pool: the images, or the given features, that tasks are sampled from.
        bases: the base classes, of the split or of other data sets; empty where nothing reads them.
        val: the val classes, if their tasks choose the step of the training; otherwise None.
        run_id: hash of the settings and the data.
        folder: folder of the run.
        compute: device, precision and threads.
    """

    config: EpisodesConfig
    method: Method
    pool: Pool | GivenFeatures
    bases: tuple[Pool, ...]
    val: Pool | None
    run_id: str
    folder: Path
    compute: devices.Compute

    @property
    def trained(self) -> bool:
        """Whether the run meta-trains."""
        return self.config.train is not None

    def training(self) -> BaseTraining:
        """Return the meta-training of the run, or what builds its learner if it has none."""
        train = self.config.train
        bases: tuple[ImageSet, ...] = ()
        if train is not None:
            bases = tuple(base_sets.prepared(base.image_set(), train) for base in self.bases)
        return BaseTraining(
            config=settings.of_learner(self.config, self.method),
            bases=bases,
            val=self.val.image_set() if self.val is not None else None,
            task=Task(self.n_way, n_base=sum(len(base.classes) for base in bases) or None),
            folder=self.folder,
            compute=self.compute,
            seed=self.config.train_seed,
        )

    @property
    def n_way(self) -> int:
        """The largest number of classes of a task."""
        if self.config.tasks.sampler == "fixed" or self.config.tasks.file is not None:
            return self.config.tasks.ways
        return len(self.pool.classes)


def resolve(
    values: Mapping[str, Any],
    out: Path,
    device: str | None = None,
    *,
    sources: Sources,
    threads: int | None = None,
    force: bool = False,
) -> ResolvedEpisodes:
    """Check a request and return the run that it describes; write nothing.

    Args:
        values: settings on top of the method's preset, as nested mappings.
        out: folder of run folders.
        device: cpu, cuda and so on; None for a GPU if there is one.
        sources: the data sets of the call.
        threads: CPU threads; None for those that the run has, or the default.
        force: ignore how the run was computed before.

    Raises:
        UserError: a name, key, type or value is wrong, or data, weights or device are missing.
    """
    chosen = devices.pick(device)
    cache.limit()  # raises an error if FEWSHOT_CACHE_GB is no size
    settled, method = settings.settle(values, given=sources.given is not None)
    if sources.given is not None:
        pools = _Pools(sources.given, (), None)
    else:
        pools = _pools(settled, method, sources)
        settled = _fit_to_data(settled, pools)
    run_id = _run_id(settled, method, pools)
    before = None if force else low_data.computed_before(out / run_id)
    compute = low_data.compute_like(
        settled, out / run_id, before, chosen, device is not None, threads
    )
    return ResolvedEpisodes(settled, method, *pools, run_id, out / run_id, compute)


class _Pools(NamedTuple):
    """The images of the tasks, of the base classes, and of the val classes that choose a step."""

    tasks: Pool | GivenFeatures
    bases: tuple[Pool, ...]
    val: Pool | None


def _pools(chosen: EpisodesConfig, method: Method, sources: Sources) -> _Pools:
    """Return the images of a run; base and val classes only where it reads them."""
    data = sources.load(chosen.data, chosen)
    split = None
    if chosen.split is not None:
        split = splits.read(chosen.split, data.train.classes, data.train.name)
    elif chosen.part != "novel":
        raise UserError(f"part: there are {chosen.part} classes only with a split: use --split.")
    pool = Pool.of(data, _part(split, chosen.part, data) if split is not None else None)
    trains = chosen.train is not None
    if not trains and chosen.head.get("features") != "CL2N":  # no centre
        return _Pools(pool, (), None)
    if chosen.base:
        bases = tuple(Pool.of(sources.load(name, chosen)) for name in chosen.base)
        overlap.check_disjoint(pool, bases)
    elif split is not None and split.base:
        bases = (Pool.of(data, split.base),)
    else:
        bases = ()
    if trains and not bases:
        raise UserError(
            "meta-training needs base classes that do not occur in the tasks: use a --split with "
            "base classes, or --base DATA."
        )
    chooses = trains and chosen.select == "val" and split is not None and split.val
    val = Pool.of(data, split.val) if split is not None and chooses else None
    if val is None and chosen.train is not None and chosen.train.early_stopping is not None:
        raise UserError(
            "train.early_stopping needs a validation set: use a --split with val classes and "
            "select: val, or remove it."
        )
    return _Pools(pool, bases, val)


def _fit_to_data(chosen: EpisodesConfig, pools: _Pools) -> EpisodesConfig:
    """Return the settings without mirroring if any of the data sets has no mirror images."""
    some = [pools.tasks, *pools.bases]
    if all(pool.data.train.mirror for pool in some if isinstance(pool, Pool)):
        return chosen
    return chosen.model_copy(update=checks.changes_without_mirroring(chosen))


def _part(split: Split, part: str, data: TrainTest) -> tuple[str, ...]:
    names = split.val if part == "val" else split.novel
    if not names:
        raise UserError(
            f"the split of {data.train.name} has no {part} classes: use another --part or --split."
        )
    return names


def _run_id(chosen: EpisodesConfig, method: Method, pools: _Pools) -> str:
    """Hash what decides the result: not the device, the precision or any path."""
    pool, bases, val = pools
    by_content = {
        "data",
        "image_size",
        "image_fit",
        "split",
        "base",
        "part",
        "select",
        "learner",
        "head",
    }
    values = chosen.model_dump(
        mode="json", exclude={"preset", "precision", *by_content}, exclude_defaults=True
    )
    if (deciding_keys := DECIDING.get(chosen.tasks.sampler)) and "tasks" in values:
        values["tasks"] = {k: v for k, v in values["tasks"].items() if k in deciding_keys}
    if chosen.tasks.file is not None:
        values["tasks"] = {"file": _content_hash(Path(chosen.tasks.file))}
    if method.head_type is not None:
        values["head"] = config.deciding(method.head_type.options_type.model_validate(chosen.head))
        if method.head_type is Logistic and _may_have_two_ways(chosen.tasks):
            values["two_way_version"] = TWO_WAY_VERSION
    if method.learner is not None or chosen.train is not None:
        learner = settings.of_learner(chosen, method)
        deciding = run_ids.deciding_values(learner, ())
        values |= {key: deciding[key] for key in ("learner", "backbone")}
        values |= run_ids.deciding_superclasses(learner, [base.data.train for base in bases])
    elif not isinstance(pool, GivenFeatures):
        values["backbone"] = backbones.deciding_values(chosen.backbone)
    values["pool"] = pool.fingerprint
    values["bases"] = [base.fingerprint for base in bases]
    values["val"] = None if val is None else val.fingerprint
    if val is not None:
        values |= run_ids.choice_version(chosen.train, "accuracy")
    if chosen.tasks.sampler == "superclasses" and isinstance(pool, Pool):
        given = superclasses.given_in_file(pool.data.train)
        values |= {"superclasses": given} if given else {}
    values["version"] = RESULTS_VERSION
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _may_have_two_ways(tasks: TaskSettings) -> bool:
    """Return whether there may be tasks of two classes: the shapes of some tasks are in files."""
    if tasks.file is not None or tasks.sampler == "superclasses":
        return True
    return tasks.sampler == "fixed" and tasks.ways == 2


def _content_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise UserError(f"the task file {path} cannot be read ({error.strerror}).") from None
