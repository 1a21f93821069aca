"""Commands that show what there is to choose from: `list` and `options`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from fewshot.cli import completion

if TYPE_CHECKING:
    from fewshot.config.reference import Setting

WIDTH = 96  # columns of the output


def list_() -> None:
    """List the methods, backbones and data sets, with one line about each."""
    from episodes import datasets
    from fewshot import backbones

    for title, lines in (
        ("methods", _methods()),
        ("backbones (any other name is a model of timm)", backbones.describe()),
        ("data sets (or the path of a folder of images)", datasets.available()),
    ):
        print(title)
        width = max(len(name) for name, _ in lines)
        for name, line in lines:
            print(f"  {name:<{width}}  {line}")


def _methods() -> list[tuple[str, str]]:
    """Return each method with its first line of documentation and its presets."""
    from fewshot import config
    from fewshot.learners import LEARNERS

    lines = []
    for name, method in sorted(LEARNERS.items()):
        about = (inspect.getdoc(method) or "").splitlines()[0]
        lines.append((name, f"{about} [presets: {', '.join(config.presets(name))}]"))
    return lines


def options(
    method: Annotated[
        str,
        typer.Argument(
            help="Learner, as `fewshot list` names it.", autocompletion=completion.methods
        ),
    ],
) -> None:
    """List every setting of a method with its default, its unit and one sentence.

    Each line begins with the key that `--set` and YAML files take. Presets change many defaults:
    see configs/methods.

    Examples:

        fewshot options protonet
        fewshot options finetune | grep -A 2 train.schedule
    """
    for setting in settings(method):
        unit = f" [{setting.unit}]" if setting.unit else ""
        print(f"{setting.key} = {setting.default}{unit}  ({setting.values})")
        indent = "    "
        print(
            textwrap.fill(
                setting.description, WIDTH, initial_indent=indent, subsequent_indent=indent
            )
        )


def settings(method: str) -> Iterator[Setting]:
    """Yield every setting of a run of this method, the learner's own settings included."""
    from fewshot import config
    from fewshot.config.reference import describe
    from fewshot.errors import UserError
    from fewshot.learners import LEARNERS

    if method not in LEARNERS:
        raise UserError(f"unknown method '{method}': {config.nearest(method, list(LEARNERS))}")
    for setting in describe(config.RunConfig):
        yield setting
        if setting.key == "learner":
            yield from describe(LEARNERS[method].options_type, "learner.")
