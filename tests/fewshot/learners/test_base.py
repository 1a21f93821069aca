"""Oracles: a minimal learner that declares nothing, and pydantic's checks of its settings."""

import pytest
import torch
from torch import Tensor

from episodes.types import Labelled
from fewshot import backbones
from fewshot.backbones import Backbone
from fewshot.config import BackboneSettings
from fewshot.errors import UserError
from fewshot.learners import LEARNERS
from fewshot.learners.base import Classifier, Learner, LearnerOptions, Needs, Task


class Options(LearnerOptions):
    scale: float = 1.0


class Minimal(Learner):
    """The least that a learner must define."""

    feed = None
    options_type = Options

    def loss(self, item: object) -> Tensor:
        raise NotImplementedError

    def adapt(self, support: Labelled) -> Classifier:
        return lambda images: images.new_zeros(len(images), 2)


class Prepared(Minimal):
    def prepare(self, support: Labelled) -> None:
        self.n_prepared = len(support.labels)


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return backbones.build(BackboneSettings(name="conv4", options={"width": 8}))


def test_settings_are_given_one_by_one_or_all_at_once(backbone: Backbone):
    assert Minimal(backbone).options.scale == 1.0
    assert Minimal(backbone, scale=2.0).options.scale == 2.0
    assert Minimal(backbone, Options(scale=3.0)).options.scale == 3.0
    assert Minimal.from_config(backbone, Task(2), Options(scale=4.0)).options.scale == 4.0
    with pytest.raises(TypeError, match="either options or single settings"):
        Minimal(backbone, Options(), scale=2.0)


def test_a_misspelt_setting_is_an_error_that_suggests_the_right_one(backbone: Backbone):
    with pytest.raises(UserError, match=r"scalle.*scale"):
        Minimal(backbone, scalle=2.0)


def test_an_episode_of_one_class_which_teaches_nothing_is_refused(backbone: Backbone):
    with pytest.raises(UserError, match=r"'episode_ways'.*greater than or equal to 2"):
        LEARNERS["protonet"](backbone, episode_ways=1)
    assert LEARNERS["protonet"](backbone, episode_ways=2).episode_ways == 2


def test_without_hooks_a_learner_needs_nothing_and_does_nothing(backbone: Backbone):
    learner = Minimal(backbone)
    batch = Labelled(torch.rand(3, 3, 32, 32), torch.arange(3))
    state = {name: value.clone() for name, value in learner.state_dict().items()}
    learner.prepare(batch)
    learner.on_train_start(3)
    learner.on_step(0.5)
    learner.on_train_end()
    assert learner.extra_metrics(batch) == {}
    assert learner.needs == Needs(images=False, support=False, metric_images=False)
    assert all(torch.equal(learner.state_dict()[name], value) for name, value in state.items())


def test_only_a_learner_that_implements_prepare_says_so(backbone: Backbone):
    assert not Minimal(backbone).prepares
    assert Prepared(backbone).prepares


def test_a_learner_without_a_classifier_cannot_be_built(backbone: Backbone):
    class Unfinished(Learner):
        feed = None

        def loss(self, item: object) -> Tensor:
            raise NotImplementedError

    with pytest.raises(TypeError, match="adapt"):
        Unfinished(backbone)


@pytest.mark.parametrize("name", LEARNERS)
def test_every_method_is_a_learner_with_settings_that_are_described(name: str):
    method = LEARNERS[name]
    assert issubclass(method, Learner)
    assert method.feed in ("batches", "episodes", "pairs", None)
    assert issubclass(method.options_type, LearnerOptions)
    undescribed = [
        key for key, field in method.options_type.model_fields.items() if not field.description
    ]
    assert undescribed == []
