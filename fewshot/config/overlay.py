"""The one rule that puts settings on top of others: presets, files, flags and study grids."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from episodes.datasets.yaml_limits import DEEPEST
from fewshot.config import backbone_names
from fewshot.errors import UserError

BUDGETS = ("shots", "fraction", "full")
DEFAULT_METHOD = "probe"
FEW_LABELS = 100  # up to this many labels per class the preset `few` is the default, then `full`
OF_A_BUDGET = (*BUDGETS, "class_shots")
OF_DATA = (
    "data",
    "exclude_classes",
    "image_size",
    "image_fit",
    "test",
    "test_folds",
    "group_by",
)
KEPT_BY_ANOTHER_METHOD = (*OF_A_BUDGET, *OF_DATA, "prior", "calibration")


def overlay(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the settings of `over` on top; neither argument changes.

    Mappings are merged key by key; lists and single values are replaced as a whole. Settings that
    exclude one another are replaced together:

    - a label budget (shots, fraction or full) removes the other two, and class_shots;
    - train.steps removes train.epochs, and the other way round; train.epochs also removes
      train.least_steps, so that an explicit number of epochs is what is trained;
    - a backbone of another name, or with others beside it, removes the whole section of the old
      one, and train.resolutions, which are sides of its images;
    - another method removes everything but the data, the label budget, the prior and whether the
      probabilities are calibrated.

    Args:
        base: nested settings.
        over: nested settings; its own keys may be dotted, as in {"train.lr": 0.1}.
    """
    nested = expand(over.items())
    return _merge(_without_excluded(base, nested), nested)


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a run with what a request may leave out.

    The method is `probe`. Of a data set that is named, all images are labelled; without a name,
    which means a large data set, the label budget must be given.
    """
    complete = {"method": DEFAULT_METHOD, **settings}
    if complete["method"] is None:
        complete["method"] = DEFAULT_METHOD
    # 0 labels per class are a budget, too
    has_budget = any(
        not (settings.get(key) is None or settings.get(key) is False) for key in BUDGETS
    )
    return complete if has_budget or not settings.get("data") else {**complete, "full": True}


def expand(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return nested settings from pairs of a key, perhaps dotted, and a value; the last wins."""
    nested: dict[str, Any] = {}
    for dotted, value in pairs:
        if dotted.count(".") > DEEPEST:
            raise UserError(f"the key '{dotted[:40]}...' has more than {DEEPEST} parts.")
        branch = value
        for key in reversed(dotted.split(".")):
            branch = {key: branch}
        nested = _merge(nested, branch)
    return nested


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _without_excluded(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `base` that may stand beside those of `over`."""
    remaining = dict(base)
    if _changes(base, over, "method") and base.get("method") is not None:
        remaining = _only(remaining, KEPT_BY_ANOTHER_METHOD)
    if any(key in over for key in BUDGETS):
        remaining = _without(remaining, OF_A_BUDGET)
    train = _section(remaining, "train")
    if _changes_network(_section(base, "backbone"), _section(over, "backbone")):
        remaining.pop("backbone", None)
        train = _without(train, ("resolutions",))
    if {"steps", "epochs"} & set(_section(over, "train")):
        train = _without(train, ("steps", "epochs"))
    if _section(over, "train").get("epochs") is not None:
        train = _without(train, ("least_steps",))
    if isinstance(remaining.get("train"), Mapping):
        remaining["train"] = train
    return remaining


def _changes(base: Mapping[str, Any], over: Mapping[str, Any], key: str) -> bool:
    return key in over and over[key] != base.get(key)


def _changes_network(base: Mapping[str, Any], over: Mapping[str, Any]) -> bool:
    return "name" in over and backbone_names.together(over) != backbone_names.together(base)


def _section(settings: Mapping[str, Any], key: str) -> dict[str, Any]:
    section = settings.get(key)
    return dict(section) if isinstance(section, Mapping) else {}


def _only(settings: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key in keys}


def _without(settings: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in keys}
