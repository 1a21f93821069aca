"""From a request to a plan: everything that can be checked before work starts is checked here, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from episodes import augment, class_splits, datasets, streams, subsets
from episodes.rng import generator, seeded
from episodes.types import ImageSet, TrainTest
from fewshot import backbones, config, distributed
from fewshot.backbones import own_weights
from fewshot.config import RunConfig
from fewshot.errors import UserError
from fewshot.features import cache
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, Task
from fewshot.training import devices, optim

FEW_LABELS = 100  # up to this many labels a class the preset `few` is the default, beyond it `full`
RESULTS_VERSION = 1
FOLDS_VERSION = 2  # the same for what folds choose

Tell = Callable[[str], None]


class ResolvedRun(NamedTuple):
    """A checked run: everything that its draws need."""

    config: RunConfig
    data: TrainTest
    base: ImageSet | None
    task: Task
    run_id: str
    folder: Path
    compute: devices.Compute


def prepare(
    values: Mapping[str, Any],
    out: Path,
    device: str | None = None,
    *,
    workers: int = 1,
    force: bool = False,
    progress: bool = False,
) -> ResolvedRun:
    """Check everything that can be checked before work starts: names, keys, types, data, budget, device.

    progress: tell on stderr while images are decoded for the first time.
    """
    method, preset = values.get("method"), values.get("preset")
    if not isinstance(method, str) or method not in LEARNERS:
        raise UserError(f"unknown method '{method}': {config.nearest(str(method), list(LEARNERS))}")
    chosen = devices.pick(device)
    cache.limit()  # a size that is none
    settings = configure(values, preset or "few")
    data = datasets.load(settings.data, image_size=settings.image_size, progress=progress)
    labels = support(settings, data.train, seed=0)
    if preset is None and len(labels) > FEW_LABELS * len(data.train.classes):
        settings = configure(values, "full")
    smallest = int(data.train.labels[labels].bincount().min())
    if settings.on_folds and smallest < 2 and "select" not in values:
        # of single images nothing can be left out: what shows no gain is not trained, unless it has no other start
        chance = settings.learner.get("start", "random") == "random"
        settings = settings.model_copy(update={"select": "last" if chance else "start"})
    settings = _fit_to_data(settings, data, smallest)
    group_of_class = (
        class_splits.superclasses(data.train.classes, data.train.groups)
        if data.train.groups
        else None
    )
    base = None
    if settings.train is not None and settings.train.base is not None:
        base = datasets.load(settings.train.base, progress=progress).train
    task = Task(len(data.train.classes), group_of_class)
    _try_out(settings, task, data.train)
    run_id = _run_id(settings, data, base)
    compute = _compute(settings, out / run_id, chosen, asked=device is not None, force=force)
    compute = compute._replace(threads=max(1, torch.get_num_threads() // workers))
    if settings.train is not None and settings.train.compile and compute[:2] == ("cpu", "bfloat16"):
        raise UserError(
            "train.compile: torch's compiler gives gradients that are no numbers in bfloat16 on a CPU: "
            "leave it out, or use --set precision=float32."
        )
    return ResolvedRun(settings, data, base, task, run_id, out / run_id, compute)


def configure(values: Mapping[str, Any], preset: str) -> RunConfig:
    """The preset with the values on top, checked, the learner's own settings filled in."""
    method = LEARNERS[values["method"]]
    # The settings of a finished run are complete, so its preset may have changed or gone since.
    complete = set(RunConfig.model_fields) - set(config.BUDGETS) <= set(values)
    base = {} if complete else config.preset(values["method"], preset)
    named = {**_with_new_keys(values, method), "preset": config.preset_name(preset)}
    merged = config.overlay(_with_new_keys(base, method), named)
    settings = config.check(RunConfig, merged, "the configuration")
    options = config.check(
        method.options_type, settings.learner, "the configuration", prefix="learner."
    )
    steps = augment.check(settings.augment)
    if method.feed is None and settings.train is not None:
        raise UserError(
            f"the configuration: method '{settings.method}' is not trained, so 'train' has no place in it."
        )
    if (
        method.feed == "batches" and settings.train is None
    ):  # others classify from the support, trained or not
        raise UserError(
            f"the configuration: 'train' is missing, and method '{settings.method}' is trained."
        )
    if (
        settings.train is not None
        and settings.train.base is not None
        and method.feed not in ("episodes", "pairs")
    ):
        raise UserError(
            f"train.base is for learners of episodes or pairs, and '{settings.method}' is none: leave it out."
        )
    if settings.train is None and (settings.select == "start" or settings.on_folds):
        remedy = "give several values as learner.c" if method.feed is None else "use select: last"
        raise UserError(
            f"method '{settings.method}' without training has no steps to choose from: {remedy}."
        )
    if settings.append is not None:
        if any("until" in step for step in augment.check(settings.append.augment)):
            raise UserError(
                "append.augment changes its images once, so 'until' has no place in it: leave it away."
            )
        if method.feed != "batches":
            raise UserError(
                f"append gives soft labels, which method '{settings.method}' cannot take."
            )
    mixing = [step["name"] for step in steps if augment.mixes_labels(step)]
    if mixing and method.feed != "batches":
        raise UserError(
            f"augment: '{mixing[0]}' mixes labels, which method '{settings.method}' cannot take."
        )
    if mixing and (setting := options.excludes_mixing()):
        raise UserError(
            f"augment: '{mixing[0]}' mixes images, and learner.{setting} is of single ones: "
            "remove one of them."
        )
    return settings.model_copy(
        update={"learner": options.model_dump(mode="json"), "augment": tuple(steps)}
    )


def _with_new_keys(values: Mapping[str, Any], method: type[Learner]) -> dict[str, Any]:
    """Return nested settings in which renamed settings of the learner have their new keys."""
    nested = config.expand(values.items())
    if isinstance(nested.get("learner"), Mapping):
        try:
            nested["learner"] = config.with_new_keys(method.options_type, nested["learner"])
        except ValueError as error:
            raise UserError(f"the configuration, section 'learner': {error}.") from None
    return nested


def _fit_to_data(settings: RunConfig, data: TrainTest, smallest: int) -> RunConfig:
    """Drop mirroring, views too, where it changes the class, as with digits; refuse a hold-out from single images."""
    if (settings.validation is not None or settings.on_folds) and smallest < 2:
        raise UserError(
            "validation needs two labelled images of every class: use more shots, or select=last and validation=null."
        )
    if data.train.mirror:
        return settings
    changed: dict[str, Any] = {"augment": _without_flip(settings.augment)}
    changed["backbone"] = settings.backbone.model_copy(update={"views": "none"})
    if settings.append is not None:
        changed["append"] = settings.append.model_copy(
            update={"augment": _without_flip(settings.append.augment)}
        )
    return settings.model_copy(update=changed)


def _without_flip(steps: Sequence[config.Step]) -> tuple[config.Step, ...]:
    return tuple(
        step for step in augment.check(steps) if step["name"] not in ("flip", "alternating_flip")
    )


def _try_out(settings: RunConfig, task: Task, train: ImageSet) -> None:
    """Two images through everything, so that what cannot work is said before work starts."""
    learner = build_learner(settings, task, seed=0)
    try:
        images = streams.labelled(train, torch.arange(2), "cpu")
        change = augment.build(settings.augment, task.n_way)
        changed, _ = change(images.images, images.labels, generator(0, "try-out"), None)
        with torch.no_grad():
            features = learner.eval().backbone(changed)
    except (AssertionError, RuntimeError, ValueError) as error:
        size = "x".join(map(str, train.images.shape[-2:]))
        raise UserError(
            f"images of {size} pixels do not go through augment and backbone '{settings.backbone.name}' "
            f"({' '.join(str(error).split())[:200]}): change backbone.input_size, image_size or augment."
        ) from None
    if features.shape[1:] != (learner.backbone.n_features,):
        raise UserError(
            f"backbone '{settings.backbone.name}' gives features of shape {list(features.shape[1:])}."
        )
    if settings.train is not None:
        _try_resolutions(settings, learner)
        optimizer = optim.optimizer(learner, settings.train, settings.train.lr)
        optim.schedule(optimizer, settings.train.schedule, 10)


def _try_resolutions(settings: RunConfig, learner: Learner) -> None:
    for each in settings.train.resolutions if settings.train else ():
        try:
            with torch.no_grad():
                fits = learner.backbone.body(torch.zeros(1, 3, each.side, each.side)).shape[1:]
        except (AssertionError, RuntimeError, ValueError):
            fits = ()
        if fits != (learner.backbone.n_body_features,):
            raise UserError(
                f"train.resolutions: backbone '{settings.backbone.name}' takes no images of {each.side} pixels: "
                "use others, or --set train.resolutions=[]."
            )


def build_learner(settings: RunConfig, task: Task, seed: int) -> Learner:
    method = LEARNERS[settings.method]
    with seeded(seed, "initialise"):
        backbone = backbones.build(settings.backbone)
        options = method.options_type.model_validate(settings.learner)
        return method.from_config(backbone, task, options)


def support(settings: RunConfig, train: ImageSet, seed: int) -> Tensor:
    """Indices of a draw's labelled images: the label budget, validation included."""
    if settings.shots is not None:
        return subsets.shots(train.labels, train.classes, settings.shots, seed)
    if settings.fraction is not None:
        return subsets.fraction(train.labels, len(train.classes), settings.fraction, seed)
    return torch.arange(len(train))


def divided(
    settings: RunConfig, train: ImageSet, seed: int
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Indices of a draw's label budget, and of it those that train and those held out."""
    budget = support(settings, train, seed)
    if settings.validation is None:
        return budget, budget, None
    inside, outside = subsets.hold_out(
        train.labels[budget], settings.validation.share, settings.validation.split_seed
    )
    return budget, budget[inside], budget[outside]


def _run_id(settings: RunConfig, data: TrainTest, base: ImageSet | None) -> str:
    """Hash of what decides the result: not the seeds, the device, the precision, or where data and weights lie.

    Values that are defaults are left out, so that a new setting leaves the ids of old runs alone; where a
    default changes its meaning, RESULTS_VERSION is to be raised.
    """
    values = settings.model_dump(
        mode="json", exclude={"data", "image_size", "preset", "precision"}, exclude_defaults=True
    )
    method = LEARNERS[settings.method]
    options = method.options_type.model_validate(settings.learner)
    values["learner"] = config.with_old_keys(
        method.options_type, options.model_dump(mode="json", exclude_defaults=True)
    )
    if (weights := backbones.weights_file(settings.backbone)) is not None:
        values["backbone"]["weights"] = own_weights.content_hash(weights)
    for setting, paths in options.weight_files().items():
        values["learner"][setting] = [own_weights.content_hash(Path(path)) for path in paths]
    if base is not None:
        values["train"]["base"] = base.fingerprint
    values["data"] = [data.train.fingerprint, data.test.fingerprint, data.train.groups]
    values["version"] = RESULTS_VERSION
    if settings.on_folds:
        values["folds_version"] = FOLDS_VERSION
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _compute(
    settings: RunConfig, folder: Path, device: str, asked: bool, force: bool
) -> devices.Compute:
    """As the run was begun, so that it ends as it would have undisturbed; otherwise as measured for the machine.

    Raises UserError where the request names another device or precision than the run's: draws that were
    computed differently are not mixed unknowingly.
    """
    path = folder / "config.yaml"
    if force or not path.exists():
        return devices.resolve(device, settings.precision)._replace(processes=distributed.world())
    kept = devices.Compute(**config.read(path)["compute"])
    other_device = kept.device.split(":")[0] != device.split(":")[0]
    if (asked and other_device) or settings.precision not in ("auto", kept.precision):
        raise UserError(
            f"the run in {folder} was computed on {kept.device} in {kept.precision}: "
            "name another --out, or --force to compute its draws again."
        )
    if kept.processes != (now := distributed.world()):
        raise UserError(
            f"the run in {folder} was computed by {kept.processes} processes at once, and now there "
            f"{'is' if now == 1 else 'are'} {now}: start as many, name another --out, or --force to compute its "
            "draws again."
        )
    if other_device:
        return devices.resolve(device, settings.precision)._replace(processes=now)
    return kept._replace(device=device)
