"""Name what ran in the episodic regime, in the same way in every table and message."""

from __future__ import annotations

from fewshot.config import EpisodesConfig
from fewshot.runs import naming
from fewshot.runs.episodic.methods import Method


def system(settings: EpisodesConfig, method: Method, bases: tuple[str, ...]) -> str:
    """Return what ran, such as "protonet, not trained: nearest mean of frozen features".

    Args:
        settings: the complete settings.
        method: the method.
        bases: names of the data sets of the base classes of a training.
    """
    given = settings.backbone.name == "given features"
    name = method.name
    if method.head_type is not None:
        features = settings.head.get("features")
        words = f"{name} ({features})" if features else name
        if given:
            return f"{words} on given features"
        if settings.train is None:
            return f"{words} on frozen features"
        return f"{words} on the body of a classifier trained on {_bases(settings, bases)}"
    if settings.train is not None:
        return f"{name}, trained on {_bases(settings, bases)}"
    config = settings.model_dump(mode="json")
    words = naming.untrained_classifier(method.trains, config)
    return f"{name}, not trained" + (f": {words}" if words else "")


def _bases(settings: EpisodesConfig, bases: tuple[str, ...]) -> str:
    if settings.base:
        return " and ".join(bases)
    return f"base classes of {' and '.join(bases)}"
