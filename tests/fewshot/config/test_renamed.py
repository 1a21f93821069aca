"""Renamed and added settings, against examples whose keys and meanings are written out here."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from fewshot import config
from fewshot.config import Settings, added_later, renamed
from fewshot.errors import UserError


class Example(Settings):
    size: int = Field(default=1, json_schema_extra=renamed("members"))
    other: int = 2


@pytest.mark.parametrize("key", ["size", "members"])
def test_both_keys_are_read(key: str) -> None:
    assert Example.model_validate({key: 5}) == Example(size=5)


def test_values_are_shown_under_the_new_key_and_identified_by_the_old_one() -> None:
    values = Example(size=5).model_dump()
    assert values == {"size": 5, "other": 2}
    assert config.with_old_keys(Example, values) == {"members": 5, "other": 2}
    assert config.with_new_keys(Example, {"members": 5, "other": 2}) == values


def test_a_setting_under_both_keys_is_refused() -> None:
    with pytest.raises(UserError, match="'members' is the old key of 'size'"):
        config.check(Example, {"members": 1, "size": 2}, "here")


@pytest.mark.parametrize(
    ("key", "nearest"), [("memebrs", "size"), ("siez", "size"), ("othr", "other")]
)
def test_a_misspelt_old_key_gets_the_new_one_as_suggestion(key: str, nearest: str) -> None:
    values: dict[str, Any] = {key: 1}
    with pytest.raises(UserError, match=f"did you mean 'learner.{nearest}'"):
        config.check(Example, values, "here", prefix="learner.")


class Grown(Settings):
    size: int = Field(default=1, json_schema_extra=renamed("members"))
    compare: str = Field(default="mean", json_schema_extra=added_later("all"))


@pytest.mark.parametrize(
    ("values", "identified_by"),
    [
        ({}, {"compare": "mean"}),  # today's default is not what older runs did
        ({"compare": "all"}, {}),  # an older run had no such key
        ({"compare": "other", "size": 5}, {"compare": "other", "members": 5}),
    ],
)
def test_an_added_setting_identifies_all_runs_but_older_ones(
    values: dict[str, Any], identified_by: dict[str, Any]
) -> None:
    assert config.deciding(Grown.model_validate(values)) == identified_by


def test_the_configuration_of_an_older_run_means_what_it_did() -> None:
    assert config.with_earlier_values(Grown, {"size": 5}) == {"size": 5, "compare": "all"}
    assert config.with_earlier_values(Grown, {"compare": "mean"}) == {"compare": "mean"}
