"""Complete and check the settings of a run, and build its learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from episodes import augment
from episodes.rng import seeded
from fewshot import backbones, config
from fewshot.config import MethodConfig, RunConfig
from fewshot.errors import UserError
from fewshot.learners import LEARNERS
from fewshot.learners.base import Learner, LearnerOptions, Task
from fewshot.runs import checks


def configure(values: Mapping[str, Any], preset: str) -> RunConfig:
    """Return the preset with the values on top, checked, with the learner's own defaults."""
    method = LEARNERS[values["method"]]
    # The settings of a finished run are complete, so its preset may have changed or gone since.
    complete = set(RunConfig.model_fields) - set(config.OF_A_BUDGET) <= set(values)
    base = {} if complete else config.preset(values["method"], preset)
    named = {**with_new_keys(values, method), "preset": config.preset_name(preset)}
    if complete:
        named["learner"] = config.with_earlier_values(method.options_type, named["learner"])
    merged = config.overlay(with_new_keys(base, method), named)
    settings = config.check(RunConfig, merged, "the configuration")
    options = config.check(
        method.options_type, settings.learner, "the configuration", prefix="learner."
    )
    steps = augment.check(settings.augment)
    checks.check_method(settings, method, options)
    if settings.train is None and not complete:
        checks.check_augment_of_request(method, settings, base, named)
    return settings.model_copy(
        update={"learner": options.model_dump(mode="json"), "augment": tuple(steps)}
    )


def with_new_keys(values: Mapping[str, Any], method: type[Learner]) -> dict[str, Any]:
    """Return nested settings in which renamed settings of the learner have their new keys.

    Raises:
        UserError: if a setting is given under both keys.
    """
    nested = config.expand(values.items())
    if isinstance(nested.get("learner"), Mapping):
        try:
            nested["learner"] = config.with_new_keys(method.options_type, nested["learner"])
        except ValueError as error:
            raise UserError(f"the configuration, section 'learner': {error}.") from None
    return nested


def build_learner(settings: MethodConfig, task: Task, seed: int) -> Learner:
    """Build the learner of a configuration, initialised by the seed, on the CPU."""
    method = LEARNERS[settings.method]
    with seeded(seed, "initialise"):
        backbone = backbones.build(settings.backbone)
        return method.from_config(backbone, task, options_of(settings))


def options_of(settings: MethodConfig) -> LearnerOptions:
    """Return the complete settings of the learner of a run, which may be an older run."""
    options_type = LEARNERS[settings.method].options_type
    return options_type.model_validate(config.with_earlier_values(options_type, settings.learner))
