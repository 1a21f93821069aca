"""List all settings with their defaults, as `fewshot options` and the documentation show them."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

UNIT = re.compile(r"\s*\[([^][]+)\]\s*$")
KINDS = {bool: "true or false", int: "integer", float: "number", str: "text", dict: "mapping"}
BOUNDS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}


class Setting(NamedTuple):
    """One setting: its dotted key, the values that it takes, its default, unit and description.

    default: as in YAML, or "required"; unit: empty if it has none.
    """

    key: str
    values: str
    default: str
    unit: str
    description: str


def describe(model: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    """Yield every setting of a model, those of its sections included, in the order of the file.

    The items of a list are shown as `train.phases[].share`.
    """
    for name, field in model.model_fields.items():
        key = prefix + name
        section, is_list = _section(field.annotation)
        sentence = field.description or ""
        unit = UNIT.search(sentence)
        yield Setting(
            key,
            _values(field),
            _default(field, section is not None),
            unit[1] if unit else "",
            UNIT.sub("", sentence),
        )
        if section not in (None, model):  # items of the same kind have the same settings
            yield from describe(section, f"{key}[]." if is_list else f"{key}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    """Return the model of a section, and whether the setting is a list of such sections."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, False
    is_list = get_origin(annotation) is tuple
    for part in get_args(annotation):
        section, inner_list = _section(part)
        if section is not None:
            return section, is_list or inner_list
    return None, False


def _default(field: FieldInfo, is_section: bool) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if is_section and default not in (None, ()):
        return "see below"
    return as_yaml(default)


def as_yaml(value: Any) -> str:
    """Return a default as it would stand in a YAML file."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(as_yaml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {as_yaml(item)}' for key, item in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _values(field: FieldInfo) -> str:
    """Return in words which values a setting takes, such as `integer >= 1, or null`."""
    return _type(field.annotation, _bounds(field.metadata))


def _type(annotation: Any, bounds: str = "") -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *metadata = get_args(annotation)
        return _type(inner, _bounds(metadata))
    if origin in (Union, types.UnionType):
        members = [part for part in get_args(annotation) if part is not type(None)]
        words = [_type(part, bounds) for part in members]
        null = len(members) < len(get_args(annotation))
        return " or ".join(dict.fromkeys(words)) + (", or null" if null else "")
    if origin is Literal:
        return " | ".join(as_yaml(value) for value in get_args(annotation))
    if origin in (tuple, list):
        return f"list of {_type(get_args(annotation)[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    kind = KINDS.get(origin or annotation, "value")
    return f"{kind} {bounds}".strip()


def _bounds(metadata: Any) -> str:
    """Return the bounds of a number, such as `> 0, <= 1`, from pydantic's metadata."""
    bounds = []
    for item in metadata:
        parts = getattr(item, "metadata", None) or [item]  # a nested FieldInfo, or one constraint
        for part in parts:
            for name, sign in BOUNDS.items():
                limit = getattr(part, name, None)
                if limit is not None:
                    bounds.append(f"{sign} {limit:g}")
    return ", ".join(bounds)
