"""Turn a configured list of augmentations into one function, after checking names and numbers."""

from __future__ import annotations

import difflib
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, Protocol

import torch
from torch import Tensor

from episodes.augment.colour import contrast, grey, jitter, noise
from episodes.augment.degradation import blur, jpeg
from episodes.augment.erasing import blacken_border, cutout, erase
from episodes.augment.geometry import alternating_flip, crop, flip, rotate, shift_wrap, translate
from episodes.augment.mixing import cutmix, mixup, soft_labels
from episodes.augment.policy import auto_augment
from episodes.augment.random_parameters import Share, Within, random_mask
from episodes.augment.warping import affine, elastic, stroke_width
from episodes.errors import UserError

AUGMENTATIONS: dict[str, Callable[..., Any]] = {
    "flip": flip,
    "alternating_flip": alternating_flip,
    "translate": translate,
    "crop": crop,
    "shift_wrap": shift_wrap,
    "rotate": rotate,
    "affine": affine,
    "elastic": elastic,
    "stroke_width": stroke_width,
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

Step = str | Mapping[str, object]  # as in a configuration: a name, or a name and parameters
CheckedStep = dict[str, Any]  # {"name": ..., parameters}, of the types that YAML can store

_ARGUMENTS = ("images", "labels", "generator", "n_classes", "mirror", "return")  # no settings


class Augment(Protocol):
    """A function that augments a batch, as `build` returns it.

    Args:
        images: float [n, c, h, w] in [0, 1].
        labels: int64 [n], or float [n, n_classes].
        generator: source of the random choices, on the device of the images.
        mirror: see `alternating_flip`.

    Returns:
        The augmented images, and the labels, which are soft if a step mixes images.
    """

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        mirror: Tensor | None = None,
        /,
    ) -> tuple[Tensor, Tensor]: ...


def build(steps: Sequence[Step], n_classes: int) -> Augment:
    """Return one function that applies the steps in their order.

    Args:
        steps: names, or mappings of a name and its parameters. Every step also accepts `p`, the
            probability with which it is applied to an image, `until` (see `spans`), and `clip`, a
            pair of values. An image is clipped to them, and the step sees the lower one as 0 and
            the upper one as 1, as in a pipeline that normalises images before it augments them and
            then clips them to [0, 1]. An empty list changes nothing.
        n_classes: number of classes, for steps that mix labels.

    Raises:
        UserError: see `check`.
    """
    functions = [_step_function({**step}, n_classes) for step in check(steps)]

    def augment(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        for function in functions:
            images, labels = function(images, labels, generator, mirror)
        return images, labels

    return augment


def check(steps: Sequence[Step]) -> list[CheckedStep]:
    """Check the names and parameters of the steps.

    Returns:
        Plain mappings of the name and the given parameters, for the record of a run. `check`
        accepts them again.

    Raises:
        UserError: an unknown name or parameter, or a value of the wrong type or out of range.
    """
    if isinstance(steps, str) or not isinstance(steps, Sequence):
        raise UserError(f"augment must be a list of augmentations, got {steps!r}")
    return [_checked_step(step) for step in steps]


def spans(steps: Sequence[Step]) -> list[tuple[float, list[CheckedStep]]]:
    """Divide training into spans, each with its own steps.

    A step with `until` is applied only up to that share of the training. Ending with less augmented
    images brings the training images closer to the test images (He et al., arXiv 1909.09148).

    Returns:
        For each span, the share of the training at which it ends, increasing to 1, and its steps.

    Raises:
        UserError: see `check`.
    """
    checked = check(steps)
    ends = sorted({1.0, *(step.get("until", 1.0) for step in checked)})
    return [(end, [step for step in checked if step.get("until", 1.0) >= end]) for end in ends]


def mixes_labels(step: Step) -> bool:
    """Return whether a step makes labels soft, which only learners with feed "batches" accept."""
    name = step if isinstance(step, str) else str(step["name"])
    return "labels" in inspect.signature(AUGMENTATIONS[name]).parameters


def _step_function(step: CheckedStep, n_classes: int) -> Augment:
    """Return the function of one step, which applies it to a share p of the images."""
    function = AUGMENTATIONS[step.pop("name")]
    step.pop("until", None)
    arguments = inspect.signature(function).parameters
    p = None if "p" in arguments else step.pop("p", None)
    low, high = step.pop("clip", None) or (0.0, 1.0)
    clips = (low, high) != (0.0, 1.0)

    def apply(
        images: Tensor, labels: Tensor, generator: torch.Generator, mirror: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        mask = None if p is None else random_mask(images, generator, p)
        seen = ((images - low) / (high - low)).clamp_(0, 1) if clips else images
        if "labels" in arguments:
            changed, targets = function(seen, labels, generator, n_classes, **step)
            if mask is not None:
                own = soft_labels(labels, n_classes, images)
                targets = torch.where(mask[:, 0, 0], targets, own)
        else:
            more = (mirror,) if "mirror" in arguments else ()
            changed, targets = function(seen, generator, *more, **step), labels
        if clips:
            changed = low + (high - low) * changed
        return (changed if mask is None else torch.where(mask, changed, images)), targets

    return apply


def _checked_step(step: Step) -> CheckedStep:
    given = {"name": step} if isinstance(step, str) else step
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise UserError(
            "a step of augment must be a name, or a mapping with a name and parameters, "
            f"got {step!r}"
        )
    name = str(given["name"])
    if name not in AUGMENTATIONS:
        raise UserError(
            f"unknown augmentation '{name}' in augment: {_suggestion(name, AUGMENTATIONS)}"
        )
    hints = _parameter_types(name)
    checked: CheckedStep = {"name": name}
    for key, value in given.items():
        if key == "name":
            continue
        if key not in hints:
            raise UserError(
                f"unknown parameter '{key}' of augmentation '{name}': "
                f"{_suggestion(str(key), hints)}"
            )
        converted = _converted(value, hints[key])
        if converted is None or (key == "clip" and converted[0] == converted[1]):
            raise UserError(
                f"parameter '{key}' of augmentation '{name}' must be {_description(hints[key])}, "
                f"got {value!r}"
            )
        checked[key] = converted
    return checked


@cache
def _parameter_types(name: str) -> dict[str, Any]:
    """Return the annotated type of each parameter that a step of this name accepts."""
    hints = typing.get_type_hints(AUGMENTATIONS[name], include_extras=True)
    own = {key: hint for key, hint in hints.items() if key not in _ARGUMENTS}
    return {"p": Share, "until": Share, "clip": Annotated[tuple[float, float], Within(0, 1)]} | own


def _suggestion(name: str, known: Collection[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{nearest[0]}'?" if nearest else f"expected one of {', '.join(known)}"


def _converted(value: object, hint: Any) -> Any:
    """Convert a value to a type of YAML and JSON; return None if it has a wrong type or range."""
    origin = typing.get_origin(hint)
    if origin is types.UnionType or origin is typing.Union:
        candidates = (_converted(value, option) for option in typing.get_args(hint))
        return next((candidate for candidate in candidates if candidate is not None), None)
    if origin is Literal:
        return value if value in typing.get_args(hint) else None
    kind, within = typing.get_args(hint)
    if kind == tuple[float, float]:
        if not isinstance(value, list | tuple) or len(value) != 2:
            return None
        low, high = (_converted_number(item, float, within) for item in value)
        return None if low is None or high is None or low > high else [low, high]
    return _converted_number(value, kind, within)


def _converted_number(value: object, kind: type, within: Within) -> float | None:
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


def _description(hint: Any) -> str:
    """Describe what a parameter accepts, for an error message."""
    origin = typing.get_origin(hint)
    if origin is Literal:
        return f"one of {', '.join(typing.get_args(hint))}"
    if origin is types.UnionType or origin is typing.Union:
        return ", or ".join(_description(option) for option in typing.get_args(hint))
    kind, within = typing.get_args(hint)
    low, high = f"{within.low:g}", f"{within.high:g}"
    span = f"from {low} to {high}" if within.high < math.inf else f"of at least {low}"
    if kind == tuple[float, float]:
        return f"two increasing numbers {span}"
    return f"a {'whole ' if kind is int else ''}number {span}"
