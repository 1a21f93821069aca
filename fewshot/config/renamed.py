"""Settings that were renamed: the old key stays readable, and runs are identified by it.

A field states its old key by `json_schema_extra=renamed("old key")`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.config import JsonDict

MARK = "old_key"


def renamed(old_key: str) -> JsonDict:
    """Return the `json_schema_extra` of a field whose key used to be `old_key`."""
    return {MARK: old_key}


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
