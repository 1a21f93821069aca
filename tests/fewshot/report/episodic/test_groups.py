"""Groups of identical tasks. Oracle: scipy's paired tests, and groups written out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fewshot.config import TaskSettings
from fewshot.errors import UserError
from fewshot.report.episodic import groups
from fewshot.report.episodic.groups import Group
from fewshot.runs.episodic.record import Training
from tests.fewshot.report.episodic.synthetic import METHODS, result, results

TRAINING = Training("protonet", ["tinyimagenet32"], 120, 66000, 3, 2000, 1500, 60.0, 0.5)


def test_records_share_a_table_if_images_classes_and_tasks_are_the_same():
    some = results()
    other = [
        replace(some[0], classes=["a", "b", "c", "d", "f"], run_id="1"),
        replace(some[0], split="seed:0:5/5/5", run_id="2"),
        replace(some[0], part="val", split="seed:0:5/5/5", run_id="3"),
    ]
    pools = groups.by_tasks([*some, *other, some[0]])
    shapes = [
        [(group.tasks.shots, group.tasks.balance, len(group.records)) for group in some]
        for some in pools.values()
    ]
    four = [(1, "balanced", 4), (1, "dirichlet", 4), (5, "balanced", 4), (5, "dirichlet", 4)]
    assert sorted(shapes) == sorted([four, *[[(1, "balanced", 1)]] * 3])


def test_other_tasks_are_an_error_that_names_both_runs():
    one, other = result("ridge"), result("pt-map", shots=5)
    with pytest.raises(UserError, match=rf"{other.run_id} \(pt-map\) and {one.run_id} \(ridge\)"):
        Group([one, other])


def test_a_record_wins_if_it_is_better_than_every_other_of_its_kind():
    group = Group([result(name, n=200) for name in METHODS])
    names = [record.name for record in group.records]
    assert names == ["pt-map", "alpha-tim", "ridge", "nearest-mean"]
    assert group.winners == {0, 2}
    p = stats.ttest_rel(group.records[2].accuracies, group.records[3].accuracies).pvalue
    assert 0.999 * p <= group.difference(2, 3).p <= 6 * p


def test_a_record_ahead_by_chance_does_not_win():
    ours = result("ridge")
    noise = np.random.default_rng(0).permutation([-9, 9] * 30)
    theirs = replace(
        ours, name="other", run_id="2", correct=(np.array(ours.correct) + noise - 1).tolist()
    )
    assert theirs.accuracies.mean() < ours.accuracies.mean()
    assert Group([ours, theirs]).winners == set()


def test_a_single_record_does_not_win():
    assert Group([result("ridge")]).winners == set()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "5-way 1-shot, balanced queries"),
        (
            {"ways": 20, "shots": 5, "balance": "dirichlet"},
            "20-way 5-shot, Dirichlet queries (a = 2)",
        ),
        ({"balance": "missing"}, "5-way 1-shot, 1 of 5 classes without queries"),
        ({"sampler": "varying"}, "varying ways and shots"),
        (
            {"ways": 3, "balance": "missing", "missing": 2},
            "3-way 1-shot, 2 of 3 classes without queries",
        ),
    ],
)
def test_the_shape_of_tasks_in_words(settings: dict, words: str):
    assert groups.shape(TaskSettings(**settings)) == words


def test_a_training_names_its_learner_where_the_method_is_another():
    one = replace(result("ridge"), training=TRAINING)
    words = "120 classes of tinyimagenet32, 1,500 of 2,000 steps, seed 3"
    assert groups.training(one) == f"protonet, {words}"
    assert groups.training(replace(one, name="protonet, trained on X")) == words


def test_records_of_one_name_are_distinguished_by_what_differs():
    one = result("ridge")
    others = [
        replace(one, backbone="conv4", weights="none", run_id="2"),
        replace(one, config={"head": {"features": "UN"}}, run_id="3"),
        replace(one, training=TRAINING, run_id="4"),
        replace(one, training=replace(TRAINING, seed=4), run_id="5"),
    ]
    trained = "protonet, 120 classes of tinyimagenet32, 1,500 of 2,000 steps"
    pretrained = "ridge, mini-resnet, pretrained weights"
    assert groups.labels([one, *others, result("pt-map")]) == [
        f"{pretrained}, not trained, default settings",
        "ridge, conv4, random weights",
        f"{pretrained}, not trained, features=UN",
        f"{pretrained}, {trained}, seed 3",
        f"{pretrained}, {trained}, seed 4",
        "pt-map",
    ]
    assert len({groups.system_of(record) for record in [one, *others]}) == 5
    assert groups.system_of(one) == groups.system_of(result("ridge", shots=5))
