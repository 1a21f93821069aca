"""The Python interface of the episodic regime: evaluate methods on many N-way k-shot tasks.

`import fewshot` offers `fewshot.episodes`. It calls what `fewshot episodes` calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np

from fewshot import config, progress
from fewshot.errors import UserError
from fewshot.runs.episodic import experiment, given
from fewshot.runs.episodic.given import GivenFeatures
from fewshot.runs.episodic.record import EpisodesRecord
from fewshot.runs.episodic.requests import combinations
from fewshot.training import curves

Features = str | Path | Mapping[str, Any]


@overload
def episodes(
    method: str = ...,
    *,
    ways: int | None = ...,
    shots: int | None = ...,
    balance: str | None = ...,
    **settings: Any,
) -> EpisodesRecord: ...


@overload
def episodes(
    method: str | Sequence[str] = ...,
    *,
    ways: int | Sequence[int] | None = ...,
    shots: int | Sequence[int] | None = ...,
    balance: str | Sequence[str] | None = ...,
    **settings: Any,
) -> list[EpisodesRecord]: ...


def episodes(
    method: str | Sequence[str] = "protonet",
    *,
    ways: int | Sequence[int] | None = None,
    shots: int | Sequence[int] | None = None,
    queries: int | None = None,
    tasks: int | None = None,
    balance: str | Sequence[str] | None = None,
    sampler: Literal["fixed", "varying", "superclasses"] | None = None,
    seed: int | None = None,
    data: str | Path | None = None,
    split: str | Path | None = None,
    part: Literal["novel", "val"] | None = None,
    base: str | Sequence[str] = (),
    train: bool | Mapping[str, Any] = False,
    train_seed: int | None = None,
    backbone: str | Mapping[str, Any] | None = None,
    weights: str | Path | None = None,
    features: Features | None = None,
    task_file: str | Path | None = None,
    preset: str | None = None,
    out: str | Path = "runs",
    device: str | None = None,
    threads: int | None = None,
    force: bool = False,
    log: Literal["tensorboard", "wandb"] | None = None,
    quiet: bool = False,
    **settings: Any,
) -> EpisodesRecord | list[EpisodesRecord]:
    """Evaluate methods on many N-way k-shot tasks, as `fewshot episodes` does.

    All methods see identical tasks. Finished runs are read from their folder; an interrupted
    training continues.

    Args:
        method: name of a head or a learner, as `fewshot list` shows it, or several names.
        ways: classes of a task, or several numbers; 5 by default.
        shots: support images per class, or several numbers; 1 by default.
        queries: query images per class; 15 by default.
        tasks: number of tasks; 2000 by default.
        balance: how queries are divided among the classes: "balanced" (default), "dirichlet" or
            "missing", or several of them.
        sampler: "fixed" (default), "varying" ways and shots, or one task for each of the
            "superclasses".
        seed: seed of the tasks; 0 by default.
        data: name of a data set, or the path of a folder or file of images; "cifar10" by default.
        split: division of the classes into base, val and novel: a name, a YAML file, or
            "seed:S:BASE/VAL/NOVEL". Without it, tasks are of all classes.
        part: classes of the tasks, "novel" (default) or "val".
        base: data sets whose classes are the base classes, in place of the base part of
            the split.
        train: whether to meta-train on the base classes before; a mapping overrides settings of
            the training, as in `train={"steps": 500}`.
        train_seed: seed of the meta-training; 0 by default.
        backbone: name of one of our networks or of timm's, or a mapping with the keys of the
            section `backbone`.
        weights: "none", "pretrained" or a file.
        features: your own features in place of images, for heads: a mapping with `features` [n, d]
            and `labels` [n], and perhaps `classes` and `base_features` [m, d]; or the path of an
            .npz file with these arrays.
        task_file: file of tasks to evaluate on, such as the `tasks.npz` of a run.
        preset: a preset of the learner, or the path of a YAML file.
        out: folder for run folders.
        device: "cpu", "cuda" or "cuda:1"; a GPU is the default where there is one.
        threads: CPU threads; by default those that the run has, and two for a new one (or
            OMP_NUM_THREADS).
        force: evaluate finished runs again.
        log: where to send the curve of a meta-training as well: "tensorboard" or "wandb".
        quiet: show no progress.
        **settings: any other settings, nested as in YAML: `head={"features": "UN"}`.

    Returns:
        The record; a list of records, method by method, if `method`, `ways`, `shots` or `balance`
        is a list. `fewshot.compare(*records)` compares those on identical tasks.

    Raises:
        UserError: if the request is wrong; nothing has been written then.
    """
    of_tasks = {
        "queries": queries,
        "count": tasks,
        "sampler": sampler,
        "seed": seed,
        "file": None if task_file is None else str(task_file),
    }
    values: dict[str, Any] = {
        "data": None if data is None else str(data),
        "split": None if split is None else str(split),
        "part": part,
        "base": base if isinstance(base, str) else list(base) or None,
        "train": train or None,
        "train_seed": train_seed,
        "preset": preset,
        "backbone": {"name": backbone} if isinstance(backbone, str) else backbone,
        "tasks": {name: value for name, value in of_tasks.items() if value is not None} or None,
    }
    values = {key: value for key, value in values.items() if value is not None}
    if weights is not None:
        values = config.overlay(values, {"backbone": {"weights": str(weights)}})
    axes = (method, ways, shots, balance)
    if not _several(method):
        raise UserError("no method was named: use method, as in episodes('nearest-mean').")
    requests = combinations(
        config.overlay(values, settings),
        methods=_several(method),
        ways=_several(ways),
        shots=_several(shots),
        balances=_several(balance),
    )
    pool = None if features is None else _given(features)
    with progress.on_stderr(quiet), curves.sent_to(log):
        records = experiment.run_all(
            requests, out=Path(out), device=device, threads=threads, force=force, given=pool
        )
    one = all(isinstance(value, str) or not isinstance(value, Iterable) for value in axes)
    return records[0] if one else records


def _several(value: Any) -> list[Any]:
    """Return a list of one or several values; None is none. Numbers of numpy become plain ones."""
    if value is None:
        return []
    values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else value
    return [int(one) if isinstance(one, Integral) else one for one in values]


def _given(features: Features) -> GivenFeatures:
    if isinstance(features, str | Path):
        return given.read(Path(features))
    lacking = [name for name in ("features", "labels") if name not in features]
    if lacking:
        raise UserError(f"features: the mapping lacks '{lacking[0]}': expected {given.KEYS}.")
    return given.of_arrays({name: np.asarray(array) for name, array in features.items()})
