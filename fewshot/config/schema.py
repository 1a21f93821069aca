"""The typed configuration of a run: YAML in, YAML out, dotted overrides, errors that name the key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fewshot.errors import UserError

Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, strict=True)]  # strict: `true` is not 1
Step = (
    str | dict[str, Any]
)  # an augmentation: its name, or a mapping of the name and its parameters
Positive = Annotated[float, Field(gt=0)]
Views = Literal["none", "flip", "flip-crop", "flip-crops", "flip-shift"]
NotNegative = Annotated[float, Field(ge=0)]


class Settings(BaseModel):
    """Base of every group of settings: an unknown key is an error, values do not change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class BackboneSettings(Settings):
    """name: one of our own or any of timm's; weights: none, pretrained, or a file; options: of that network.

    views: `flip` judges with the mean of the features of an image and of its mirror image, `flip-crop` with that of
    both and of the middle of both, `flip-crops` also with their corners, `flip-shift` with both moved by a pixel;
    crop: the middle share of the side that is seen when judging (timm's crop_pct), because training saw crops (Touvron
    et al., FixRes, arXiv 1906.06423).
    """

    name: str
    weights: str = "none"
    input_size: Count | None = None
    options: dict[str, Any] = {}
    views: Views = "none"
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0


class Optimizer(Settings):
    """momentum: also Adam's first beta; nesterov: of SGD and Muon; beta2: also of Muon's AdamW for norms and biases."""

    name: Literal["sgd", "adam", "adamw", "muon"] = "adamw"
    momentum: NotNegative = 0.9
    nesterov: bool = True
    beta2: Share = 0.999
    eps: Positive = 1e-8


class Schedule(Settings):
    """warmup: share of the steps; milestones: shares of the steps after which `step` multiplies by gamma.

    `linear` falls to nothing, so with a warm-up it is a triangle.
    """

    name: Literal["constant", "cosine", "linear", "one-cycle", "step"] = "cosine"
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.0
    milestones: tuple[Share, ...] = (0.5, 0.75)
    gamma: Positive = 0.1


class EarlyStopping(Settings):
    """Stop when `monitor` on the hold-out has not gained `least_gain` within `patience` evaluations."""

    monitor: Literal["loss", "accuracy"] = "loss"
    least_gain: NotNegative = 0.0
    patience: Count = 3
    least_epochs: NotNegative = 0
    restore_best: bool = True


class Phase(Settings):
    """A share of the training: what is trainable (all, the head, or the head and the last n stages), its rate."""

    trainable: Literal["all", "head"] | Count = "all"
    share: Annotated[float, Field(gt=0, le=1)] = 1.0
    lr: Positive | None = None


class Resolution(Settings):
    """Until this share of the training the backbone sees training images of `side` pixels."""

    side: Count
    until: Annotated[float, Field(gt=0, le=1)]


class Train(Settings):
    """How a learner is optimised. Durations: exactly one of steps and epochs (passes over the support).

    base: a data set whose training images take the support's place in episodes or pairs (meta-training);
    least_steps: what epochs of a small support are raised to; compile: the loss by torch's compiler, on a GPU with CUDA
    graphs; its seconds count as training, and only long trainings win them back; resolutions: smaller images first, in
    rising order of `until`, and the backbone's input size after the last (progressive resizing).
    """

    base: str | None = None
    steps: Count | None = None
    epochs: Positive | None = None
    least_steps: Count = 1
    batch_size: Count = 128
    tasks_per_step: Count = 1
    optimizer: Optimizer = Optimizer()
    lr: Positive = 1e-3
    weight_decay: NotNegative = 0.0
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    lr_multipliers: dict[str, NotNegative] = {}
    decay_multipliers: dict[str, NotNegative] = {}
    schedule: Schedule = Schedule()
    phases: tuple[Phase, ...] = (Phase(),)
    resolutions: tuple[Resolution, ...] = ()
    clip_norm: Positive | None = None
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    ema_decay: Share | None = None
    compile: bool = False
    log_every_epochs: Positive | None = None
    early_stopping: EarlyStopping | None = None

    @model_validator(mode="after")
    def _coherent(self) -> Train:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("exactly one of steps and epochs must be given")
        if not self.phases or abs(sum(phase.share for phase in self.phases) - 1) > 1e-6:
            raise ValueError("the shares of the phases must add up to 1")
        ends = [each.until for each in self.resolutions]
        if ends != sorted(set(ends)):
            raise ValueError("the resolutions must rise in `until`")
        if self.early_stopping is not None and len(self.phases) > 1:
            raise ValueError(
                "early_stopping ends the whole training, so it goes with a single phase"
            )
        return self

    def total_steps(self, steps_per_epoch: float) -> int:
        """The one place where epochs become optimiser steps."""
        return self.steps or max(self.least_steps, round((self.epochs or 0) * steps_per_epoch))


class Append(Settings):
    """A share of the images is picked, transformed once by `augment`, and added (H6)."""

    share: Annotated[float, Field(gt=0, le=1)]
    augment: tuple[Step, ...]


class Validation(Settings):
    """A share of the support held out by its own seed; its labels count in the label budget."""

    share: Share = 0.2
    split_seed: int = 0


class RunConfig(Settings):
    """Everything that decides a run's result; the budget is exactly one of shots, fraction and full.

    select: the weights that judge. `last`: of the last step; `holdout`: of the log point with the least loss on the
    validation set; `support_cv`: of the step at which the loss, averaged over five folds of the support and at its best
    temperature, is least; `support_cv_ends`: the same of the start and the last step alone, since half-way through a
    schedule the rate is not yet small; `start`: none, what the learner is after `prepare`.
    """

    method: str
    preset: str | None = None
    data: str = "cifar10"
    image_size: Count | None = None
    regime: Literal["low-data"] = "low-data"
    shots: Count | None = None
    fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    full: bool = False
    backbone: BackboneSettings
    learner: dict[str, Any] = {}
    train: Train | None = None
    augment: tuple[Step, ...] = ()
    append: Append | None = None
    select: Literal["last", "holdout", "support_cv", "support_cv_ends", "start"] = "last"
    validation: Validation | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"

    @property
    def on_folds(self) -> bool:
        return self.select in ("support_cv", "support_cv_ends")

    @model_validator(mode="after")
    def _coherent(self) -> RunConfig:
        if (self.shots is not None) + (self.fraction is not None) + self.full != 1:
            raise ValueError("exactly one of shots, fraction and full must be given")
        stopping = self.train is not None and self.train.early_stopping is not None
        if (self.select == "holdout" or stopping) and self.validation is None:
            raise ValueError("select: holdout and early_stopping need a validation section")
        if self.on_folds and self.validation is not None:
            raise ValueError(
                f"select: {self.select} validates on folds of the support, so validation has no place"
            )
        return self


def nearest(word: str, known: Sequence[str], inside: str = "") -> str:
    """'did you mean ...?' with the nearest known word, or the known words where none is near.

    inside: what stands before the word, as in `train.`; it is said, but makes no two words alike.
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{inside}{close[0]}'?"
    return f"known: {', '.join(sorted(known))}."


def check(model: type[BaseModel], values: Mapping[str, Any], where: str, prefix: str = "") -> Any:
    """An instance of `model`, or a UserError of one sentence that names every bad key; `where` names the source."""
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            _sentence(problem, model, prefix) for problem in error.errors(include_url=False)
        ]
        raise UserError(f"{where}: {'; '.join(dict.fromkeys(problems))}") from None


UNION_PART = re.compile(
    r"str|int|float|constrained-.*|.*\[.*"
)  # pydantic's words for the parts of a union


def _sentence(problem: Any, model: type[BaseModel], prefix: str) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        inside = prefix + "".join(f"{part}." for part in path[:-1])
        return f"unknown key '{inside}{path[-1]}': {nearest(path[-1], _fields_at(model, path[:-1]), inside)}"
    key = prefix + ".".join(part for part in path if not UNION_PART.fullmatch(part))
    if problem["type"] == "value_error":
        return f"{key + ': ' if key else ''}{problem['ctx']['error']!s}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    message = problem["msg"].replace("Input should be", "should be", 1)
    return f"'{key}' {message[0].lower() + message[1:]}, not {problem['input']!r}"


def _fields_at(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    for part in path:
        if part.isdigit():  # a place in a list, whose field gave the model of its items
            continue
        field = model.model_fields.get(part)
        inner = (
            [] if field is None else [field.annotation, *getattr(field.annotation, "__args__", ())]
        )
        models = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)


def merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over` put on top, mapping by mapping; lists and values are replaced whole."""
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


class _Yaml(yaml.SafeLoader):
    """YAML, with 1e-4 a number: YAML 1.1, which PyYAML reads, has it a text for want of a point."""


_Yaml.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read(path: Path) -> dict[str, Any]:
    """A YAML mapping from a file; a UserError names the file and the line where it cannot be read."""
    try:
        content = yaml.load(path.read_text(), _Yaml)
    except FileNotFoundError:
        raise UserError(f"the configuration file {path} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the configuration file {path} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(
            f"{path}{line}: this is not YAML ({getattr(error, 'problem', error)})."
        ) from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: a mapping of keys to values was expected, not {type(content).__name__}."
        )
    return content


def overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Nested mapping from `a.b=value` strings; values are YAML, so numbers, lists and null work."""
    result: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise UserError(f"--set {pair}: key=value was expected, as in --set train.steps=200.")
        try:
            value = yaml.load(text, _Yaml)
        except yaml.YAMLError:
            raise UserError(f"--set {pair}: the value cannot be read as YAML.") from None
        for part in reversed(key.strip().split(".")):
            value = {part: value}
        result = merge(result, value)
    return result


def presets_folder() -> Path:
    """Where the presets lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def presets(method: str) -> list[str]:
    """Names of a method's presets, sorted."""
    return sorted(path.stem for path in (presets_folder() / "methods" / method).glob("*.yaml"))


def preset(method: str, name: str) -> dict[str, Any]:
    """A preset's settings; an unknown name is a UserError with the nearest right one."""
    known = presets(method)
    if name not in known:
        raise UserError(f"'{method}' has no preset '{name}': {nearest(name, known)}")
    return read(presets_folder() / "methods" / method / f"{name}.yaml")


def dump(values: Mapping[str, Any]) -> str:
    """YAML text with the keys in the order given."""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
