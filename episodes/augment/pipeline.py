"""From a configured list of augmentations to one function, with every name and number checked first."""

from __future__ import annotations

import difflib
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor

from episodes.augment.colour import contrast, grey, jitter, noise
from episodes.augment.degradation import blur, jpeg
from episodes.augment.random_parameters import Share, Within, chosen
from episodes.augment.geometry import alternating_flip, crop, flip, rotate, shift_wrap, translate
from episodes.augment.erasing import blacken_border, cutout, erase
from episodes.augment.mixing import cutmix, mixup, soft
from episodes.augment.policy import auto_augment
from episodes.errors import UserError

AUGMENTATIONS: dict[str, Callable[..., typing.Any]] = {
    "flip": flip,
    "alternating_flip": alternating_flip,
    "translate": translate,
    "crop": crop,
    "shift_wrap": shift_wrap,
    "rotate": rotate,
    "jitter": jitter,
    "contrast": contrast,
    "grey": grey,
    "noise": noise,
    "jpeg": jpeg,
    "blur": blur,
    "blacken_border": blacken_border,
    "cutout": cutout,
    "erase": erase,
    "mixup": mixup,
    "cutmix": cutmix,
    "auto_augment": auto_augment,
}

Step = str | Mapping[str, typing.Any]


class Augment(typing.Protocol):
    """Augment a batch, as the functions that `build` returns do."""

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        mirror: Tensor | None = None,
        /,
    ) -> tuple[Tensor, Tensor]: ...


_GIVEN_BY_CALLER = ("images", "labels", "generator", "n_classes", "mirror", "return")


def build(steps: Sequence[Step], n_classes: int) -> Augment:
    """One function (images, labels, generator, mirror) -> (images, labels) that applies the steps in their order.

    steps: names, or mappings of a name and its parameters; each may carry `p`, the probability with which an
    image is given the step, and `until` (see `spans`). turn: as of `alternating_flip`, or None. An empty list changes
    nothing. Labels become soft at the first step that mixes them.
    Errors: UserError as `check`.
    """
    applied = [_applied({**step}, n_classes) for step in check(steps)]

    def augment(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        for apply in applied:
            images, labels = apply(images, labels, generator, mirror)
        return images, labels

    return augment


def check(steps: Sequence[Step]) -> list[dict[str, typing.Any]]:
    """The steps, checked, as plain mappings {name, parameters as given}: to be recorded, and accepted again.

    Errors: UserError for an unknown name or parameter, with the nearest right one, and for a value of the
    wrong type or out of range.
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise UserError(f"augment must be a list of augmentations, got {steps!r}")
    return [_checked_step(step) for step in steps]


def spans(steps: Sequence[Step]) -> list[tuple[float, list[dict[str, typing.Any]]]]:
    """The parts of a training: the share of it at which each ends, rising to 1, and the steps that are done in it.

    A step with `until` is done to that share alone: an end on less changed images is nearer to those that are judged
    (He et al., arXiv 1909.09148). Errors: UserError as `check`.
    """
    checked = check(steps)
    ends = sorted({1.0, *(step.get("until", 1.0) for step in checked)})
    return [(end, [step for step in checked if step.get("until", 1.0) >= end]) for end in ends]


def mixes_labels(step: Step) -> bool:
    """Whether a step makes labels soft, so that only learners fed with batches can take it."""
    name = step if isinstance(step, str) else step["name"]
    return "labels" in inspect.signature(AUGMENTATIONS[name]).parameters


def _applied(step: dict[str, typing.Any], n_classes: int) -> Augment:
    function = AUGMENTATIONS[step.pop("name")]
    step.pop("until", None)
    signature = inspect.signature(function).parameters
    p = None if "p" in signature else step.pop("p", None)

    def apply(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        taken = None if p is None else chosen(images, generator, p)
        if "mirror" in signature:
            changed = function(images, generator, mirror, **step)
            return (changed if taken is None else torch.where(taken, changed, images)), labels
        if "labels" not in signature:
            changed = function(images, generator, **step)
            return (changed if taken is None else torch.where(taken, changed, images)), labels
        changed, targets = function(images, labels, generator, n_classes, **step)
        if taken is None:
            return changed, targets
        kept = soft(labels, n_classes, images)
        return torch.where(taken, changed, images), torch.where(taken[:, 0, 0], targets, kept)

    return apply


def _checked_step(step: Step) -> dict[str, typing.Any]:
    given = {"name": step} if isinstance(step, str) else step
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise UserError(
            f"a step of augment must be a name, or a mapping with a name and parameters, got {step!r}"
        )
    name = given["name"]
    if name not in AUGMENTATIONS:
        raise UserError(
            f"unknown augmentation '{name}' in augment: {_nearest(name, AUGMENTATIONS)}"
        )
    types_of = _parameters(name)
    checked = {"name": name}
    for key, value in given.items():
        if key == "name":
            continue
        if key not in types_of:
            raise UserError(
                f"unknown parameter '{key}' of augmentation '{name}': {_nearest(str(key), types_of)}"
            )
        fitting = _fitting(value, types_of[key])
        if fitting is None:
            described = _described(types_of[key])
            raise UserError(
                f"parameter '{key}' of augmentation '{name}' must be {described}, got {value!r}"
            )
        checked[key] = fitting
    return checked


@cache
def _parameters(name: str) -> dict[str, typing.Any]:
    hints = typing.get_type_hints(AUGMENTATIONS[name], include_extras=True)
    return {"p": Share, "until": Share} | {
        key: hint for key, hint in hints.items() if key not in _GIVEN_BY_CALLER
    }


def _nearest(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"known are {', '.join(known)}"


def _fitting(value: object, hint: typing.Any) -> typing.Any:
    """The value as YAML and JSON keep it, where it fits the type and the range; None where it does not."""
    if typing.get_origin(hint) is types.UnionType or typing.get_origin(hint) is typing.Union:
        fits = (_fitting(value, option) for option in typing.get_args(hint))
        return next((fit for fit in fits if fit is not None), None)
    if typing.get_origin(hint) is typing.Literal:
        return value if value in typing.get_args(hint) else None
    kind, within = typing.get_args(hint)
    if kind == tuple[float, float]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            return None
        low, high = (_number(item, float, within) for item in value)
        return None if low is None or high is None or low > high else [low, high]
    return _number(value, kind, within)


def _number(value: object, kind: type, within: Within) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if kind is float:
        try:
            value = float(value)  # YAML 1.1 reads 1e-4 as text
        except (ValueError, OverflowError):
            return None
    if not isinstance(value, kind) or isinstance(value, str):
        return None
    return value if within.low <= value <= within.high and math.isfinite(value) else None


def _described(hint: typing.Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    if not hasattr(hint, "__metadata__"):
        return ", or ".join(_described(option) for option in typing.get_args(hint))
    kind, within = typing.get_args(hint)
    span = f"from {within.low:g}" + (f" to {within.high:g}" if within.high < math.inf else " up")
    if kind == tuple[float, float]:
        return f"two rising numbers {span}"
    return f"a {'whole ' if kind is int else ''}number {span}"
