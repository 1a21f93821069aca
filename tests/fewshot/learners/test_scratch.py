"""Oracles: the classes of the variations, and lists of settings that exclude each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.features import frozen
from fewshot.learners import supervised
from fewshot.learners.base import Learner, Task
from fewshot.learners.distillation import Distillation
from fewshot.learners.ensemble import Ensemble
from fewshot.learners.rotation import Rotation
from fewshot.learners.scratch import Options, Scratch
from fewshot.learners.selective import SelectiveBackprop
from fewshot.learners.self_distillation import SelfDistillation
from fewshot.learners.supervised import Supervised
from fewshot.runs import run_settings
from tests.fewshot import easy
from tests.fewshot.learners.small import network
from tests.fewshot.learners.teachers import write_teachers


def build(**options: object) -> Learner:
    return Scratch.from_config(network(), Task(easy.N_WAY), Options(**options))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [Supervised]),
        ({"rotation": 0.5}, [Rotation, Supervised]),
        ({"ensemble_size": 2}, [Ensemble]),
        ({"self_distillation": 0.5}, [SelfDistillation, Supervised]),
        ({"selected_share": 0.5}, [SelectiveBackprop, Supervised]),
        (
            {"ensemble_size": 2, "self_distillation": 0.5, "selected_share": 0.5},
            [SelectiveBackprop, SelfDistillation, Ensemble],
        ),
    ],
)
def test_settings_build_variations_around_the_supervised_learner(
    options: dict[str, object], expected: list[type[Learner]]
) -> None:
    learner = build(**options)
    kinds = [type(learner)]
    while kinds[-1] not in (Supervised, Ensemble):
        learner = learner.learner
        kinds.append(type(learner))
    assert kinds == expected


def test_every_setting_of_the_supervised_learner_reaches_it() -> None:
    settings = {"head": "linear", "hidden": (6,), "dropout": 0.25, "batch_norm": "held"}
    learner = build(**settings)
    assert settings.keys() == supervised.Options.model_fields.keys()
    assert learner.options == supervised.Options(**settings)


def test_teachers_build_a_distillation(tmp_path: Path) -> None:
    paths = write_teachers(tmp_path)
    assert isinstance(build(teachers=tuple(paths)), Distillation)
    assert Options(teachers=tuple(paths)).weight_files() == {"teachers": tuple(paths)}


def test_scratch_itself_is_never_instantiated() -> None:
    with pytest.raises(TypeError, match="use Supervised"):
        Scratch(network())


def test_only_variations_that_need_images_exclude_cached_features(tmp_path: Path) -> None:
    values = {"method": "scratch", "data": "digits", "shots": 2, "augment": []}
    values["train"] = {"steps": 2, "phases": [{"trainable": "head"}]}
    settings = run_settings.configure(values, "few")
    for options in ({}, {"rotation": 0.5}, {"teachers": tuple(write_teachers(tmp_path))}):
        assert frozen.can_replace_images(settings, build(**options)) == (not options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotation": 0.5, "teachers": ("a",)}, "exclude each other"),
        ({"selected_until": 0.5}, "selected_until needs a selected_share below 1"),
        ({"ensemble_size": 2, "rotation": 1.0}, "ensemble_size above 1 excludes rotation"),
        ({"ensemble_size": 2, "teachers": ("a",)}, "ensemble_size above 1 excludes rotation"),
        ({"selected_share": 0.5, "rotation": 1.0}, "selected_share below 1 excludes rotation"),
        ({"self_distillation": 0.5, "teachers": ("a",)}, "self_distillation excludes rotation"),
        ({"ensemble_size": 2, "batch_norm": "held"}, "held excludes ensemble_size above 1"),
    ],
)
def test_settings_that_exclude_each_other_are_errors(
    options: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Options(**options)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"members": 3}, {"ensemble_size": 3}),
        ({"keep": 0.5, "keep_until": 0.8}, {"selected_share": 0.5, "selected_until": 0.8}),
        ({"recall": 0.4}, {"self_distillation": 0.4}),
        ({"distil": 0.1}, {"distillation_weight": 0.1}),
    ],
)
def test_old_names_of_settings_are_still_read(
    old: dict[str, object], new: dict[str, object]
) -> None:
    assert Options.model_validate(old) == Options.model_validate(new)
