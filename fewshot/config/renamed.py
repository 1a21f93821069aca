"""Settings that were renamed or added, so that configurations of older runs keep their meaning.

A field states its old key by `json_schema_extra=renamed("old key")`: the old key stays readable,
and runs are identified by it. A field that was added with a default that changed results states by
`json_schema_extra=added_later(value)` what older runs did: a complete configuration without the key
means that value, and runs with it are identified without the key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict, JsonValue

MARK = "old_key"
EARLIER = "earlier_value"


def renamed(old_key: str) -> JsonDict:
    """Return the `json_schema_extra` of a field whose key used to be `old_key`."""
    return {MARK: old_key}


def added_later(earlier: JsonValue) -> JsonDict:
    """Return the `json_schema_extra` of an added field; older runs behaved as with `earlier`."""
    return {EARLIER: earlier}


def with_earlier_values(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the complete settings of a run, perhaps an older one that lacks added settings."""
    return {**earlier_values(model), **values}


def deciding(model: BaseModel) -> dict[str, Any]:
    """Return the settings that identify a run: those that are not what a missing key means."""
    values = model.model_dump(mode="json", exclude_defaults=True)
    for name, earlier in earlier_values(type(model)).items():
        values.pop(name, None)
        if getattr(model, name) != earlier:
            values[name] = getattr(model, name)
    return with_old_keys(type(model), values)


def earlier_values(model: type[BaseModel]) -> dict[str, Any]:
    """Return what older runs did in place of every added field of `model`."""
    extras = {name: field.json_schema_extra for name, field in model.model_fields.items()}
    return {
        name: extra[EARLIER]
        for name, extra in extras.items()
        if isinstance(extra, dict) and EARLIER in extra
    }


def with_new_keys(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which every old key of `model` is replaced by the new one.

    Raises:
        ValueError: if a setting is given under both keys.
    """
    new_keys = {old: new for new, old in old_keys(model).items()}
    result: dict[str, Any] = {}
    for key, value in values.items():
        new_key = new_keys.get(key, key)
        if new_key != key and new_key in values:
            raise ValueError(f"'{key}' is the old key of '{new_key}': give one of them")
        result[new_key] = value
    return result


def with_old_keys(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings in which every renamed key of `model` has its old name."""
    names = old_keys(model)
    return {names.get(key, key): value for key, value in values.items()}


def old_keys(model: type[BaseModel]) -> dict[str, str]:
    """Return the old key of every renamed field of `model`, by the new one."""
    renamings: dict[str, str] = {}
    for name, field in model.model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and MARK in extra:
            renamings[name] = str(extra[MARK])
    return renamings
