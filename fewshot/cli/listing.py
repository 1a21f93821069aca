"""Commands that show what there is to choose from: `list` and `options`."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fewshot.cli import completion

if TYPE_CHECKING:
    from fewshot.config.reference import Setting

WIDTH = 96  # columns of the output


def list_(
    methods: Annotated[
        bool,
        typer.Option(
            "--methods",
            help="List the methods of `fewshot episodes` instead, and test on a small random task "
            "whether the prediction for a query depends on the other queries.",
        ),
    ] = False,
) -> None:
    """List learners, heads, backbones and data sets, with one line about each."""
    if methods:
        list_episodic()
        return
    from episodes import datasets
    from fewshot import backbones
    from fewshot.backbones import imagenet_packages

    for title, lines in (
        (
            "learners, for fewshot run (with a preset `episodes` also for fewshot episodes)",
            _methods(),
        ),
        ("variants of learners, for fewshot episodes", _variants()),
        ("heads on features, for fewshot episodes", _heads()),
        (
            "backbones (any other name is a model of timm)",
            backbones.describe() + imagenet_packages.describe(),
        ),
        ("data sets (or the path of a folder or file of images)", datasets.available()),
    ):
        print(title)
        width = max(len(name) for name, _ in lines)
        for name, line in lines:
            print(f"  {name:<{width}}  {line}")


def list_episodic() -> None:
    """List the methods of the episodic regime with what a small random task says about each.

    Exit code 1 means that a method is not what it claims to be.
    """
    from fewshot.errors import UserError
    from fewshot.runs.episodic import methods

    known = methods.methods()
    width, honest = max(map(len, known)), True
    for name, method in known.items():
        claim = "transductive" if method.transductive else "inductive"
        try:
            result = methods.check_independence(method)
        except UserError as error:
            print(f"{name:<{width}}  {claim:<12}  not checked: {error}")
            continue
        right = result.independent != method.transductive
        honest &= right
        print(f"{name:<{width}}  {claim:<12}  {'checked' if right else 'WRONG'}: {result}")
    if not honest:
        raise typer.Exit(1)


def _methods() -> list[tuple[str, str]]:
    """Return each method with its first line of documentation and its presets."""
    from fewshot import config
    from fewshot.learners import LEARNERS

    lines = []
    for name, method in sorted(LEARNERS.items()):
        about = (inspect.getdoc(method) or "").splitlines()[0]
        presets = ", ".join(_preset(name, preset) for preset in config.presets(name))
        lines.append((name, f"{about} [presets: {presets}]"))
    return lines


def _variants() -> list[tuple[str, str]]:
    """Return each learner that only the episodic regime has a name for, with its preset."""
    from fewshot.runs.episodic import methods

    return [
        (name, f"{method.learner} with its preset {method.preset('')} or {method.preset('none')}.")
        for name, method in methods.methods().items()
        if method.variant
    ]


def _heads() -> list[tuple[str, str]]:
    """Return each head with its first line of documentation, and whether it is transductive."""
    from fewshot.heads import HEADS

    lines = []
    for name, head in HEADS.items():
        about = (inspect.getdoc(head) or "").splitlines()[0]
        lines.append((name, f"{about}{' [transductive]' if head.transductive else ''}"))
    return lines


def _preset(method: str, preset: str) -> str:
    """Return a preset's name, with what the method then is if the preset does not train it."""
    from fewshot import config
    from fewshot.learners import LEARNERS
    from fewshot.runs import naming

    content = config.preset(method, preset)
    options = LEARNERS[method].options_type.model_validate(content.get("learner", {}))
    content = {**content, "learner": options.model_dump()}
    if not naming.lacks_training(method, content):
        return preset
    classifier = naming.untrained_classifier(method, content)
    return f"{preset} (not trained{': ' if classifier else ''}{classifier})"


def options(
    method: Annotated[
        str,
        typer.Argument(
            help="Learner or head, as `fewshot list` names it.", autocompletion=completion.methods
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Show the values of this preset instead of the defaults that it replaces.",
            autocompletion=completion.presets,
        ),
    ] = None,
) -> None:
    """List every setting of a method with its default, its unit and one sentence.

    Each line begins with the key that `--set` and YAML files take.

    Examples:

        fewshot options protonet
        fewshot options finetune --preset few
    """
    for setting in settings(method, preset):
        unit = f" [{setting.unit}]" if setting.unit else ""
        print(f"{setting.key} = {setting.default}{unit}  ({setting.values})")
        print(textwrap.indent(textwrap.fill(setting.description, WIDTH - 4), "    "))


def settings(method: str, preset: str | None = None) -> Iterator[Setting]:
    """Yield every setting of a run of this method, the learner's own settings included.

    Args:
        method: name of the learner.
        preset: name or path of the preset whose values replace the defaults; None for none.
    """
    from fewshot import config
    from fewshot.config.reference import as_yaml, describe
    from fewshot.learners import LEARNERS

    if method not in LEARNERS:
        yield from _episodic_settings(method, preset)
        return
    values = _by_dotted_key(config.preset(method, preset)) if preset else {}
    for setting in describe(config.RunConfig):
        group = [setting]
        if setting.key == "learner":
            group += describe(LEARNERS[method].options_type, "learner.")
        for member in group:
            if member.key not in values:
                yield member
            elif member.values.startswith("section") or member.key == "learner":
                yield member._replace(default="see below")
            else:
                yield member._replace(default=as_yaml(values[member.key]))


def _episodic_settings(method: str, preset: str | None) -> Iterator[Setting]:
    """Yield every setting of a method that only the episodic regime has."""
    from fewshot import config
    from fewshot.config.reference import describe
    from fewshot.errors import UserError
    from fewshot.learners import LEARNERS
    from fewshot.runs.episodic import methods

    known = methods.methods()
    if method not in known:
        names = sorted({*LEARNERS, *known})
        raise UserError(f"unknown method '{method}': {config.nearest(method, names)}")
    one = known[method]
    if one.learner is not None:
        yield from settings(one.learner, preset)
        return
    if preset is not None:
        raise UserError(f"method '{method}' is a head and has no presets: leave out --preset.")
    for setting in describe(config.EpisodesConfig):
        yield setting
        if setting.key == "head":
            yield from describe(one.head_type.options_type, "head.") if one.head_type else ()


def _by_dotted_key(section: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return every value of a preset by its dotted key; mappings are values as well as sections."""
    values: dict[str, Any] = {}
    for key, value in section.items():
        if isinstance(value, Mapping):
            values |= _by_dotted_key(value, f"{prefix}{key}.")
        values[prefix + key] = value
    return values
