"""Read settings from YAML files, presets and `--set` words, and check them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fewshot.config import yaml_text
from fewshot.config.overlay import expand
from fewshot.config.renamed import old_keys
from fewshot.errors import UserError

Model = TypeVar("Model", bound=BaseModel)

LONGEST_SHOWN = 100  # characters of a wrong value in a message
CUTOFF = 0.5  # the similarity from which on a known key is suggested

# The names that pydantic gives to the members of a union in the location of an error.
UNION_MEMBER = re.compile(r"str|int|float|constrained-.*|.*\[.*")


def read(path: Path, *, text: bool = False) -> dict[str, Any]:
    """Return the mapping in a YAML file; an empty file is an empty mapping.

    Args:
        path: the file.
        text: whether all values are names, even if they look like numbers.

    Raises:
        UserError: naming the file, and the line where it is not YAML.
    """
    try:
        content = yaml_text.load(path.read_bytes(), text=text)
    except FileNotFoundError:
        raise UserError(f"the configuration file {path} does not exist.") from None
    except OSError as error:
        raise UserError(f"the configuration file {path} cannot be read: {error}.") from None
    except (UnicodeDecodeError, yaml.reader.ReaderError) as error:
        remedy = "remove them" if "not allowed" in error.reason else "save it in this encoding"
        raise UserError(
            f"the configuration file {path} cannot be read as UTF-8 ({error.reason}): {remedy}."
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f", line {mark.line + 1}" if mark else ""
        raise UserError(f"{path}{line}: this is not YAML ({error.problem}).") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: this is not YAML ({error}).") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: expected a mapping of keys to values, not a {type(content).__name__}."
        )
    return content


def overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Return nested settings from words such as `train.lr=0.1`; a later word wins.

    Values are YAML, so numbers, lists, mappings and null work.
    """
    settings: list[tuple[str, Any]] = []
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key.strip():
            raise UserError(f"--set {_cut(pair)}: expected key=value, as in --set train.steps=200.")
        try:
            value = yaml_text.load(text, name=key.strip().rpartition(".")[2])
        except yaml.YAMLError:
            raise UserError(f"--set {_cut(pair)}: the value cannot be read as YAML.") from None
        settings.append((key.strip(), value))
    return expand(settings)


def presets_folder() -> Path:
    """Return the folder of configurations: in the installed package, or beside it in a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "configs"
    return packaged if packaged.is_dir() else package.parent / "configs"


def presets(method: str) -> list[str]:
    """Return the names of a method's packaged presets, sorted."""
    return sorted(path.stem for path in (presets_folder() / "methods" / method).glob("*.yaml"))


def preset_name(preset: str) -> str:
    """Return the name of a preset, which may be the path of a YAML file, without folders."""
    return Path(preset).stem if _is_path(preset) else preset


def _is_path(preset: str) -> bool:
    return "/" in preset or preset.endswith((".yaml", ".yml"))


def preset(method: str, name: str) -> dict[str, Any]:
    """Return the settings of a preset.

    A method without packaged presets, such as a learner of your own, has empty defaults.

    Args:
        method: name of the learner.
        name: name of a packaged preset, or the path of a YAML file.

    Raises:
        UserError: naming the nearest preset, if there is none of this name.
    """
    if _is_path(name):
        return read(Path(name))
    names = presets(method)
    if name in names:
        return read(presets_folder() / "methods" / method / f"{name}.yaml")
    if names:
        raise UserError(f"'{method}' has no preset '{name}': {nearest(name, names)}")
    if name in ("few", "full"):
        return {}
    raise UserError(
        f"'{method}' has no packaged presets: leave the preset out, or give the path of a "
        "YAML file."
    )


def nearest(word: str, known: Sequence[str], prefix: str = "") -> str:
    """Return "did you mean '...'?" with the nearest known word, or the list of known words.

    Args:
        word: what was given.
        known: what would have been right.
        prefix: shown before the suggestion, such as `train.`; it takes no part in the comparison.
    """
    close = difflib.get_close_matches(word, known, n=1, cutoff=CUTOFF)
    if close:
        return f"did you mean '{prefix}{close[0]}'?"
    return f"known: {', '.join(sorted(known))}."


def check(model: type[Model], values: Mapping[str, Any], source: str, prefix: str = "") -> Model:
    """Return an instance of `model`.

    Args:
        model: the class of the settings.
        values: the settings.
        source: where they come from, for the message.
        prefix: shown before each key in the message, such as `learner.`.

    Raises:
        UserError: one sentence that names every wrong key.
    """
    try:
        return model.model_validate(dict(values))
    except ValidationError as error:
        problems = [
            _sentence(problem, model, prefix) for problem in error.errors(include_url=False)
        ]
        raise UserError(f"{source}: {'; '.join(dict.fromkeys(problems))}") from None


def check_names(model: type[BaseModel], values: Mapping[str, Any]) -> None:
    """Check the names of settings, for a message that would otherwise ask for a misspelt one.

    Raises:
        UserError: one is no field of `model`.
    """
    for key in values:
        if key not in model.model_fields:
            raise UserError(
                f"the configuration: unknown key '{key}': {_nearest_field(key, model, '')}"
            )


def check_first(values: Mapping[str, Any]) -> None:
    """Check the types of settings that are read before all settings are checked together.

    Raises:
        UserError: one that should be a text or a mapping is something else.
    """
    for key in ("method", "preset", "data"):
        if not isinstance(value := values.get(key), str | None):
            raise UserError(f"the configuration: '{key}' should be a text, not {_shown(value)}.")
    for key in ("backbone", "learner", "head", "tasks"):
        if not isinstance(value := values.get(key), Mapping | None):
            raise UserError(
                f"the configuration: '{key}' should be a mapping of keys to values, not "
                f"{_shown(value)}."
            )


def _sentence(problem: ErrorDetails, model: type[BaseModel], prefix: str) -> str:
    """Return what is wrong with one key."""
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        section = prefix + "".join(f"{part}." for part in path[:-1])
        suggestion = _nearest_field(path[-1], _model_at(model, path[:-1]), section)
        return f"unknown key '{section}{path[-1]}': {suggestion}"
    key = prefix + ".".join(part for part in path if not UNION_MEMBER.fullmatch(part))
    if problem["type"] == "value_error":
        section = key.rstrip(".")
        return f"{section + ': ' if section else ''}{problem['ctx']['error']!s}"
    if problem["type"] == "missing":
        return f"'{key}' is missing"
    if problem["type"] in ("model_type", "dict_type"):
        return f"'{key}' should be a mapping of keys to values, not {_shown(problem['input'])}"
    if problem["type"] == "too_short":
        return f"'{key}' should not be empty"
    if problem["type"] == "tuple_type":
        return f"'{key}' should be a list, not {_shown(problem['input'])}"
    message = problem["msg"].replace("Input should be", "should be", 1)
    return f"'{key}' {message[0].lower() + message[1:]}, not {_shown(problem['input'])}"


def _shown(value: Any) -> str:
    """Return a value as in Python, cut if it is long."""
    return _cut(repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _nearest_field(key: str, model: type[BaseModel] | None, section: str) -> str:
    """Return "did you mean '...'?" with the nearest key of `model`, or its known keys.

    A key that is nearest to the old key of a renamed setting gets the new key as suggestion.
    """
    fields = [] if model is None else list(model.model_fields)
    new_keys = {} if model is None else {old: new for new, old in old_keys(model).items()}
    close = difflib.get_close_matches(key, [*fields, *new_keys], n=1, cutoff=CUTOFF)
    if close and close[0] in new_keys:
        return f"did you mean '{section}{new_keys[close[0]]}'?"
    return nearest(key, fields, section)


def _model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """Return the class of the section at `path` within `model`, if there is one."""
    for part in path:
        if part.isdigit():  # an index into a list, whose field already gave the model of its items
            continue
        field = model.model_fields.get(part)
        if field is None:
            return None
        types = [field.annotation, *get_args(field.annotation)]
        models = [kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not models:
            return None
        model = models[0]
    return model
