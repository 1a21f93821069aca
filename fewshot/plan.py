"""From a request to a plan: everything that can be checked before work starts is checked here, once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from episodes import augment, datasets, splits
from episodes.errors import UserError
from episodes.rng import seeded
from episodes.types import ImageSet, TrainTest
from fewshot import backbones, config, devices, optimisation
from fewshot.config import RunConfig
from fewshot.learners import LEARNERS
from fewshot.learners.protocol import Task

FEW_LABELS = 100  # up to this many labels a class the preset `few` is the default, beyond it `full`

Tell = Callable[[str], None]


class Plan(NamedTuple):
    """A checked run: everything that its draws need."""

    config: RunConfig
    data: TrainTest
    task: Task
    run_id: str
    folder: Path
    compute: devices.Compute


def prepare(
    values: Mapping[str, Any], out: Path, device: str | None, workers: int = 1, tell: Tell = lambda text: None
) -> Plan:
    """Check everything that can be checked before work starts: names, keys, types, data, budget, device."""
    method = values.get("method")
    if method not in LEARNERS:
        raise UserError(f"unknown method '{method}': {config.nearest(str(method), list(LEARNERS))}")
    chosen = devices.pick(device)
    guess = "full" if values.get("full") or (values.get("shots") or 0) > FEW_LABELS else "few"
    settings = configure(values, values.get("preset") or guess)
    tell(f"loading {settings.data}")
    data = datasets.load(settings.data, image_size=settings.image_size, progress=True)
    per_class = len(support(settings, data.train, seed=0)) / len(data.train.classes)
    wanted = values.get("preset") or ("few" if per_class <= FEW_LABELS else "full")
    if wanted != settings.preset:
        settings = configure(values, wanted)
    settings = _fit_to_data(settings, data)
    group_of_class = splits.superclasses(data.train.classes, data.train.groups) if data.train.groups else None
    task = Task(len(data.train.classes), group_of_class)
    _try_out(settings, task)
    run_id = _run_id(settings, data)
    folder = out / run_id
    return Plan(settings, data, task, run_id, folder, _compute(settings, folder, chosen, workers))


def configure(values: Mapping[str, Any], preset: str) -> RunConfig:
    """The preset with the values on top, checked, the learner's own settings filled in."""
    base = config.preset(values["method"], preset)
    asked = values.get("backbone")
    if isinstance(asked, Mapping) and asked.get("name", base["backbone"]["name"]) != base["backbone"]["name"]:
        del base["backbone"]  # its options and weights are those of another network
    merged = config.merge(base, {**values, "preset": preset})
    settings: RunConfig = config.check(RunConfig, merged, "the configuration")
    method = LEARNERS[settings.method]
    options = config.check(method.options, settings.learner, "the configuration", prefix="learner.")
    steps = augment.check(settings.augment)
    if method.build.feed is None and settings.train is not None:
        raise UserError(f"the configuration: method '{settings.method}' is not trained, so 'train' has no place in it.")
    if method.build.feed is not None and settings.train is None:
        raise UserError(f"the configuration: 'train' is missing, and method '{settings.method}' is trained.")
    if settings.append is not None:
        augment.check(settings.append.augment)
        if method.build.feed != "batches":
            raise UserError(f"append gives soft labels, which method '{settings.method}' cannot take.")
    mixing = [step["name"] for step in steps if augment.mixes_labels(step)]
    if mixing and method.build.feed != "batches":
        raise UserError(f"augment: '{mixing[0]}' mixes labels, which method '{settings.method}' cannot take.")
    return settings.model_copy(update={"learner": options.model_dump(mode="json"), "augment": tuple(steps)})


def _fit_to_data(settings: RunConfig, data: TrainTest) -> RunConfig:
    """Drop mirroring where it changes the class, as with digits; refuse a hold-out from single images."""
    smallest = int(data.train.labels[support(settings, data.train, seed=0)].bincount().min())
    if settings.validation is not None and smallest < 2:
        raise UserError("validation needs two labelled images of every class: use more shots, or validation=null.")
    if data.train.mirror:
        return settings
    changed: dict[str, Any] = {"augment": _without_flip(settings.augment)}
    if settings.append is not None:
        changed["append"] = settings.append.model_copy(update={"augment": _without_flip(settings.append.augment)})
    return settings.model_copy(update=changed)


def _without_flip(steps: Sequence[config.Step]) -> tuple[config.Step, ...]:
    return tuple(step for step in augment.check(steps) if step["name"] != "flip")


def _try_out(settings: RunConfig, task: Task) -> None:
    """Build everything once, so that a wrong backbone, option, weight file or prefix is said before work starts."""
    learner = build_learner(settings, task, seed=0)
    if settings.train is not None:
        optimisation.groups(learner, settings.train, settings.train.lr)


def build_learner(settings: RunConfig, task: Task, seed: int) -> nn.Module:
    method = LEARNERS[settings.method]
    with seeded(seed, "initialise"):
        backbone = backbones.build(settings.backbone)
        return method.build(backbone, task, method.options.model_validate(settings.learner))


def support(settings: RunConfig, train: ImageSet, seed: int) -> Tensor:
    """Indices of a draw's labelled images: the label budget, validation included."""
    if settings.shots is not None:
        return splits.shots(train.labels, train.classes, settings.shots, seed)
    if settings.fraction is not None:
        return splits.fraction(train.labels, len(train.classes), settings.fraction, seed)
    return torch.arange(len(train))


def _run_id(settings: RunConfig, data: TrainTest) -> str:
    """Hash of what decides the result: not the seeds, the device, the precision, or where data and weights lie."""
    values = settings.model_dump(mode="json", exclude={"data", "image_size", "preset", "precision"})
    weights = Path(settings.backbone.weights)
    if settings.backbone.weights not in ("none", "pretrained"):
        values["backbone"]["weights"] = hashlib.sha256(weights.read_bytes()).hexdigest()
    values["fingerprints"] = [data.train.fingerprint, data.test.fingerprint]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:12]


def _compute(settings: RunConfig, folder: Path, device: str, workers: int) -> devices.Compute:
    """As the run's folder says, where it was begun on this kind of device; otherwise as measured for the machine."""
    path = folder / "config.yaml"
    if path.exists():
        kept = config.read(path)["compute"]
        asked = settings.precision in ("auto", kept["precision"])
        if asked and kept["device"].split(":")[0] == device.split(":")[0]:
            return devices.Compute(**{**kept, "device": device})
    found = devices.resolve(device, settings.precision)
    return found._replace(threads=max(1, found.threads // workers))
