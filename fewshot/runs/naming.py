"""Name runs by what ran, in the same way in every table, legend, title and message.

A learner of tasks or pairs that ran without training is named by the classifier that it then is.
Imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

DEFAULT_PRESETS = ("few", "full")  # chosen by the number of labels, so not part of a name
TRAINS_ON = {
    "protonet": "tasks",
    "matching": "tasks",
    "relation": "tasks",
    "maml": "tasks",
    "siamese": "pairs",
    "baseline": "images",
}
NAMES_ALONE = "names of the pretraining's classes"  # a classifier without any label
WITHOUT_TRAINING = ("probe", "voting")  # methods that never train, whose names say so


def is_untrained(config: Mapping[str, Any]) -> bool:
    """Return whether the learner of a configuration only adapts its features to the support."""
    return config.get("train") is None


def has_no_label(config: Mapping[str, Any]) -> bool:
    """Return whether a configuration uses no label, but the names of the pretraining's classes."""
    return config.get("shots") == 0


def lacks_training(method: str, config: Mapping[str, Any]) -> bool:
    """Return whether a method that can train ran without training."""
    return method not in WITHOUT_TRAINING and is_untrained(config)


def system(method: str, preset: str, config: Mapping[str, Any]) -> str:
    """Return what ran, for example "protonet (not trained: nearest mean of frozen features)".

    Args:
        method: name of the learner.
        preset: name of the preset; a usual one is left out.
        config: the resolved configuration, as a record has it.
    """
    if has_no_label(config):
        return _bracketed(NAMES_ALONE, ["no label"])
    base = base_of(config)
    words = _variant(method, preset, config)
    if lacks_training(method, config):
        classifier = untrained_classifier(method, config)
        words.append("not trained" + (f": {classifier}" if classifier else ""))
    return _bracketed(method, [*words, f"trained on {base}"] if base else words)


def in_short(method: str, preset: str, config: Mapping[str, Any]) -> str:
    """Return what ran, without the classifier that an untrained learner amounts to."""
    if has_no_label(config):
        return NAMES_ALONE
    words = _variant(method, preset, config)
    return _bracketed(method, [*words, "not trained"] if lacks_training(method, config) else words)


def untrained_classifier(method: str, config: Mapping[str, Any]) -> str:
    """Return what a learner amounts to without training; empty if it has no other name."""
    learner = config.get("learner") or {}
    if method == "protonet":
        return "nearest mean of frozen features"
    if method == "matching":
        return "cosine attention over frozen features"
    if method == "relation":
        return "distance to the class mean of frozen features in a random projection"
    if method == "siamese":
        if learner.get("compare") == "mean":
            return "cosine to the class mean of frozen features"
        return "mean cosine to the frozen features of each class"
    if method == "baseline":
        return f"{learner.get('head')} head on frozen features by SGD"
    if method == "finetune" and learner.get("head") == "unit":
        is_probe = learner.get("start") in ("probe", None)
        return "probe on frozen features" if is_probe else ""
    if method == "maml":
        n_steps = learner.get("test_steps")
        steps = f"{learner.get('inner_steps') if n_steps is None else n_steps} gradient steps"
        regression = f"softmax regression on frozen features by {steps}"
        return regression if _head_only(config) else f"{steps} from the initial weights"
    return ""


def training_images(method: str, config: Mapping[str, Any]) -> str:
    """Return on what a few-shot learner was trained, for example "tasks of the labelled subset".

    It is empty for other methods, which always train on the labelled subset, and without training.
    """
    if method not in TRAINS_ON or is_untrained(config):
        return ""
    return f"{TRAINS_ON[method]} of {base_of(config) or 'the labelled subset'}"


def base_of(config: Mapping[str, Any]) -> str | None:
    """Return the data sets of a meta-training; None if only the labelled subset was used."""
    base: str | Sequence[str] | None = (config.get("train") or {}).get("base")
    return base if base is None or isinstance(base, str) else " and ".join(base)


def _bracketed(method: str, words: Sequence[str]) -> str:
    return f"{method} ({', '.join(words)})" if words else method


def _variant(method: str, preset: str, config: Mapping[str, Any]) -> list[str]:
    """Return words for an unusual preset, for a variant of MAML, and for a prior from names."""
    words = [] if preset in DEFAULT_PRESETS else [preset]
    if (config.get("learner") or {}).get("prior_from_names"):
        words.append("prior from names")
    if method == "maml" and not is_untrained(config):
        if _head_only(config):
            words.append("ANIL")
        elif (config.get("learner") or {}).get("order") == "first":
            words.append("first order")
    return words


def _head_only(config: Mapping[str, Any]) -> bool:
    """Return whether the inner steps of MAML change the head alone."""
    learner = config.get("learner") or {}
    adapted = learner.get("inner_trainable", learner.get("adapts"))  # the name of before
    return bool(adapted == "head")
