"""What there is to choose from: methods, backbones, data sets, a line each."""

from __future__ import annotations

import inspect

from episodes import datasets
from fewshot import backbones, config
from fewshot.learners import LEARNERS


def everything() -> list[tuple[str, list[tuple[str, str]]]]:
    """(title, [(name, line), ...]) for each kind of thing."""
    methods = [
        (name, f"{_first_line(method)} [presets: {', '.join(config.presets(name))}]")
        for name, method in sorted(LEARNERS.items())
    ]
    return [
        ("methods", methods),
        ("backbones (any other name is timm's)", backbones.describe()),
        ("data sets (or the path of a folder of images)", datasets.available()),
    ]


def _first_line(thing: object) -> str:
    return (inspect.getdoc(thing) or "").splitlines()[0]
