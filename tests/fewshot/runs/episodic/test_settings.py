"""Complete settings of requests against presets and expectations written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from fewshot import config
from fewshot.errors import UserError
from fewshot.runs.episodic import settings
from fewshot.runs.episodic.settings import settle


def test_a_head_takes_the_shipped_body_and_no_training():
    chosen = settle({"method": "lda", "head": {"features": "UN"}}).config
    assert (chosen.backbone.name, chosen.backbone.weights) == ("mini-resnet", "pretrained")
    assert chosen.train is None
    assert chosen.augment == ()
    assert chosen.preset is None
    assert chosen.head["features"] == "UN"
    assert chosen.tasks == config.TaskSettings()


def test_a_learner_without_training_drops_what_only_a_training_of_its_preset_reads():
    chosen = settle({"method": "protonet", "base": [], "augment": None, "select": "val"}).config
    assert chosen.preset == "episodes"
    assert chosen.train is None
    assert chosen.augment == ()
    assert chosen.base == ()
    preset = config.preset("protonet", "episodes")
    assert chosen.learner["distance"] == preset["learner"]["distance"]


@pytest.mark.parametrize("train", [{}, {"train": None}, {"train": False}])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("augment", ["flip"]),
        ("append", {"share": 0.5, "augment": ["flip"]}),
        ("train_seed", 1),
        ("select", "last"),
        ("base", "somewhere"),
    ],
)
def test_what_only_a_training_reads_is_refused_without_one(key: str, value: Any, train: dict):
    with pytest.raises(UserError, match=f"'{key}' has no effect without a training: .*--train"):
        settle({"method": "protonet", key: value, **train})


def test_a_head_without_training_takes_base_classes_for_its_centre_and_no_augmentation():
    assert settle({"method": "lda", "base": "somewhere"}).config.base == ("somewhere",)
    for given in (False, True):
        with pytest.raises(UserError, match="'augment' has no effect without a training"):
            settle({"method": "lda", "augment": ["flip"]}, given=given)


@pytest.mark.parametrize("train", [True, {"steps": 7}])
def test_a_training_is_that_of_the_preset_with_changes(train: Any):
    chosen = settle({"method": "protonet", "train": train, "base": "one, two"}).config
    preset = config.preset("protonet", "episodes")["train"]
    assert chosen.train is not None
    assert chosen.train.steps == (preset["steps"] if train is True else 7)
    assert chosen.train.lr == preset["lr"]
    assert chosen.augment
    assert chosen.base == ("one", "two")


@pytest.mark.parametrize(
    ("backbone", "preset", "name"),
    [
        ({}, "episodes", "mini-resnet"),
        ({"name": "conv4"}, "episodes-random", "conv4"),
        ({"weights": "none"}, "episodes-random", "conv4"),
        ({"name": "mini-resnet", "weights": "none"}, "episodes-random", "mini-resnet"),
        ({"name": "resnet18", "weights": "pretrained"}, "episodes", "resnet18"),
    ],
)
def test_the_preset_follows_the_weights(backbone: dict, preset: str, name: str):
    chosen = settle({"method": "protonet", "train": True, "backbone": backbone}).config
    assert (chosen.preset, chosen.backbone.name) == (preset, name)
    assert chosen.backbone.weights == backbone.get(
        "weights", "pretrained" if name == "mini-resnet" else "none"
    )


def test_variants_of_a_learner_have_their_own_preset():
    assert settle({"method": "anil"}).config.learner["inner_trainable"] == "head"
    assert settle({"method": "fomaml"}).config.learner["order"] == "first"
    assert settle({"method": "baseline++"}).config.learner["head"] == "cosine"


def test_a_head_with_training_trains_the_plain_classifier():
    chosen, method = settle({"method": "lda", "train": True})
    assert chosen.preset == "episodes"
    assert chosen.train is not None
    learner = settings.of_learner(chosen, method)
    assert learner.method == "baseline"
    assert learner.train == chosen.train
    assert learner.learner == chosen.learner


def test_a_finished_configuration_is_complete():
    for method in ("lda", "protonet"):
        for train in (False, True):
            chosen = settle({"method": method, "train": train}).config
            again = settle(chosen.model_dump(mode="json")).config
            assert again == chosen


def test_given_features_have_no_network():
    chosen = settle({"method": "lda"}, given=True).config
    assert chosen.backbone.name == "given features"
    assert chosen.train is None


@pytest.mark.parametrize(
    ("values", "given", "words"),
    [
        ({"method": "probe"}, False, "'probe' is one of fewshot run"),
        ({"method": "lda", "preset": "few"}, False, "no preset without a training"),
        ({"method": "lda", "learner": {"c": 1}}, False, "is a head: its settings"),
        ({"method": "protonet", "head": {"features": "UN"}}, False, "is no head"),
        ({"method": "lda", "head": {"feature": "UN"}}, False, "did you mean 'head.features'"),
        ({"method": "protonet", "train": 3}, False, "train: expected true, false or a mapping"),
        ({"method": "protonet", "preset": "few", "train": True}, False, "no section 'train'"),
        ({"method": "protonet", "train": {"base": "x"}}, False, "use base instead"),
        ({"method": "lda", "tasks": {"way": 5}}, False, "did you mean 'tasks.ways'"),
        ({"method": "protonet"}, True, "given features are for heads"),
        ({"method": "lda", "train": True}, True, "'train' has no effect on given features"),
        ({"method": "lda", "split": "x"}, True, "'split' has no effect on given features"),
    ],
)
def test_wrong_requests_are_explained(values: dict, given: bool, words: str):
    with pytest.raises(UserError, match=words):
        settle(values, given=given)


@pytest.mark.parametrize("key", ["method", "preset", "data", "backbone", "head", "tasks"])
def test_wrong_types_of_what_is_read_first_are_one_sentence(key: str):
    with pytest.raises(UserError, match=f"the configuration: '{key}' should be a"):
        settle({"method": "protonet", key: [{"a": 1}]})


def test_a_base_of_no_names_is_one_sentence():
    with pytest.raises(UserError, match="base"):
        settle({"method": "protonet", "train": True, "base": [{"a": 1}, {"a": 1}]})
