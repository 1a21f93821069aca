"""The table of methods against the heads, the learners and the preset files."""

from __future__ import annotations

import pytest

from fewshot import config
from fewshot.errors import UserError
from fewshot.heads import HEADS
from fewshot.learners import LEARNERS
from fewshot.runs.episodic import methods

NAMES = [
    "protonet",
    "matching",
    "relation",
    "siamese",
    "maml",
    "fomaml",
    "anil",
    "baseline",
    "baseline++",
]


def test_every_head_and_every_learner_of_the_regime_is_a_method():
    known = methods.methods()
    assert set(HEADS) | set(NAMES) == set(known)
    for name in HEADS:
        assert known[name].head_type is HEADS[name]
        assert known[name].learner_type is None
        assert known[name].transductive == HEADS[name].transductive
    for name in NAMES:
        assert known[name].head_type is None
        assert known[name].learner_type is LEARNERS[known[name].trains]
        assert not known[name].transductive


def test_a_method_of_the_other_regime_is_named_as_such():
    with pytest.raises(UserError, match="'probe' is one of fewshot run, not of fewshot episodes"):
        methods.method("probe")


@pytest.mark.parametrize("weights", ["none", "pretrained"])
@pytest.mark.parametrize("name", [*NAMES, "lda"])
def test_every_method_has_its_preset_in_a_file(name: str, weights: str):
    method = methods.method(name)
    preset = method.preset(weights)
    assert preset in config.presets(method.trains)
    content = config.preset(method.trains, preset)
    assert content["train"]
    is_random = content["backbone"].get("weights", "none") == "none"
    assert is_random == (weights == "none")


def test_names_of_presets():
    assert methods.method("protonet").preset("pretrained") == "episodes"
    assert methods.method("fomaml").preset("none") == "episodes-first-random"
    assert methods.method("baseline++").preset("file.safetensors") == "episodes-cosine"
    assert methods.method("lda").preset("none") == "episodes-random"


def test_unknown_names_are_explained():
    with pytest.raises(UserError, match="did you mean 'protonet'"):
        methods.method("prototnet")
    with pytest.raises(UserError, match="unknown method 'None'"):
        methods.method(None)
