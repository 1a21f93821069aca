"""Oracle: a model of settings and its list, both written out by hand."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fewshot.config import Count, RunConfig, Settings, ShareUpToOne
from fewshot.config.reference import Setting, describe


class Inner(Settings):
    side: Count = Field(description="A side. [pixels]")


class Outer(Settings):
    name: Literal["a", "b"] | None = Field(default=None, description="A name.")
    share: ShareUpToOne = Field(default=0.5, description="A share of [all] things.")
    inner: Inner = Field(default=Inner(side=3), description="A section.")
    parts: tuple[Inner, ...] = Field(default=(), description="Several sections.")
    flags: dict[str, float] = Field(default={"x": 1.0}, description="Numbers.")
    yes: bool = Field(default=True, description="A switch.")


def test_every_setting_is_described_with_its_sections() -> None:
    assert list(describe(Outer, "learner.")) == [
        Setting("learner.name", "a | b, or null", "null", "", "A name."),
        Setting("learner.share", "number > 0, <= 1", "0.5", "", "A share of [all] things."),
        Setting("learner.inner", "section", "see below", "", "A section."),
        Setting("learner.inner.side", "integer >= 1", "required", "pixels", "A side."),
        Setting("learner.parts", "list of section", "[]", "", "Several sections."),
        Setting("learner.parts[].side", "integer >= 1", "required", "pixels", "A side."),
        Setting("learner.flags", "mapping", "{x: 1}", "", "Numbers."),
        Setting("learner.yes", "true or false", "true", "", "A switch."),
    ]


def test_every_setting_of_a_run_has_a_sentence() -> None:
    settings = list(describe(RunConfig))
    assert len({setting.key for setting in settings}) == len(settings) > 60
    assert [setting.key for setting in settings if not setting.description.endswith(".")] == []
