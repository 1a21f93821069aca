"""The settings of scratch: which learner they build, and which exclude each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.features import frozen as feature_cache
from fewshot.learners import scratch
from fewshot.learners.base import Task
from fewshot.learners.distillation import Distillation
from fewshot.learners.ensemble import Ensemble
from fewshot.learners.rotation import Rotation
from fewshot.learners.selective import SelectiveBackprop
from fewshot.learners.self_distillation import SelfDistillation
from fewshot.learners.supervised import Supervised
from fewshot.runs import resolve
from tests.fewshot import easy
from tests.fewshot.learners.small import network
from tests.fewshot.learners.teachers import teachers


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({}, Supervised),
        ({"ensemble_size": 2}, Ensemble),
        ({"rotation": 0.5}, Rotation),
        ({"self_distillation": 0.5}, SelfDistillation),
        ({"self_distillation": 0.5, "selected_share": 0.5}, SelectiveBackprop),
    ],
)
def test_the_settings_choose_the_learner(settings: dict, kind: type) -> None:
    options = scratch.Options(**settings)
    assert type(scratch.Scratch.from_config(network(), Task(easy.N_WAY), options)) is kind


def test_teachers_make_it_a_distillation(tmp_path: Path) -> None:
    options = scratch.Options(teachers=tuple(teachers(tmp_path)))
    learner = scratch.Scratch.from_config(network(), Task(easy.N_WAY), options)
    assert isinstance(learner, Distillation)


def test_the_class_itself_is_not_built() -> None:
    with pytest.raises(TypeError, match="use Supervised"):
        scratch.Scratch(network(), n_way=3)


def test_what_needs_images_gets_no_features_though_the_backbone_is_frozen(tmp_path: Path) -> None:
    values = {"method": "scratch", "data": "digits", "shots": 2, "augment": []}
    values["train"] = {"steps": 2, "phases": [{"trainable": "head"}]}
    settings = resolve.configure(values, "few")
    for options in ({}, {"rotation": 0.5}, {"teachers": teachers(tmp_path)}):
        learner = scratch.Scratch.from_config(
            network(), Task(easy.N_WAY), scratch.Options(**options)
        )
        assert feature_cache.can_replace_images(settings, learner) == (not options)


@pytest.mark.parametrize("other", [{"rotation": 0.5}, {"teachers": ("a.safetensors",)}])
def test_selecting_excludes_what_adds_to_each_image(other: dict) -> None:
    with pytest.raises(ValueError, match="selected_share below 1 excludes rotation and teachers"):
        scratch.Options(selected_share=0.5, **other)


def test_whole_batches_alone_need_no_end_of_halves() -> None:
    with pytest.raises(ValueError, match="set both, or neither"):
        scratch.Options(selected_until=0.5)


@pytest.mark.parametrize("other", [{"rotation": 0.5}, {"teachers": ("a.safetensors",)}])
def test_recalling_excludes_other_targets(other: dict) -> None:
    with pytest.raises(ValueError, match="self_distillation excludes rotation and teachers"):
        scratch.Options(self_distillation=0.5, **other)
