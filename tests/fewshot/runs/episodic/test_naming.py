"""Names of what ran, written by hand."""

from __future__ import annotations

import pytest

from fewshot.runs.episodic import naming, settings


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"method": "lda"}, "lda (CL2N) on frozen features"),
        ({"method": "protonet"}, "protonet, not trained: nearest mean of frozen features"),
        ({"method": "protonet", "train": True}, "protonet, trained on base classes of birds"),
        (
            {"method": "protonet", "train": True, "base": ["birds", "fish"]},
            "protonet, trained on birds and fish",
        ),
        (
            {"method": "nearest-mean", "train": True, "head": {"features": "UN"}},
            "nearest-mean (UN) on the body of a classifier trained on base classes of birds",
        ),
        ({"method": "fomaml", "train": True}, "fomaml, trained on base classes of birds"),
        (
            {"method": "baseline++"},
            "baseline++, not trained: cosine head on frozen features by SGD",
        ),
        (
            {"method": "matching"},
            "matching, not trained: cosine attention over frozen features",
        ),
        (
            {"method": "anil", "learner": {"inner_steps": 3, "test_steps": None}},
            "anil, not trained: softmax regression on frozen features by 3 gradient steps",
        ),
    ],
)
def test_a_name_says_what_ran(values: dict, name: str):
    chosen, method = settings.settle(values)
    bases = chosen.base or ("birds",)
    assert naming.system(chosen, method, bases) == name


def test_given_features_are_named():
    chosen, method = settings.settle({"method": "lda", "head": {"features": "UN"}}, given=True)
    assert naming.system(chosen, method, ()) == "lda (UN) on given features"
