"""Systems at equal numbers of labels. Oracle: scipy's paired t-test, and Holm by hand."""

from __future__ import annotations

import itertools
from typing import Any

from scipy import stats

from fewshot.evaluation.paired_tests import Difference
from fewshot.report.studies import contests
from fewshot.report.studies.contests import FROZEN, RANDOM, TRAINED, VOTE, Contest, Entry, Standing
from tests.fewshot.report.handmade import record

FIRST = (0.60, 0.62, 0.61, 0.63, 0.60, 0.62)
CLOSE = (0.61, 0.60, 0.62, 0.62, 0.59, 0.63)
LOW = (0.30, 0.33, 0.31, 0.32, 0.29, 0.33)
FROZEN_HEAD = {"train": {"phases": [{"trainable": "head", "share": 1.0}]}}


def entry(name: str, values: tuple[float, ...], **over: Any) -> Entry:
    over = {"weights": "pretrained", "run_id": f"{name}{len(values)}{over.get('shots', 4)}", **over}
    return Entry("K1 of kshot", record(name, values, **over))


def test_a_lead_is_certain_if_paired_tests_of_all_pairs_show_it():
    values = [FIRST, CLOSE, LOW]
    (contest,) = contests.contests(
        [entry("finetune", FIRST), entry("experts", CLOSE), entry("scratch", LOW, weights="none")]
    )
    p_values = [stats.ttest_rel(a, b).pvalue for a, b in itertools.combinations(values, 2)]
    smallest = min(p_values)
    assert [one.entry.record.method for one in contest.standings] == [
        "finetune",
        "experts",
        "scratch",
    ]
    near, far = contest.others
    assert not near.lead.significant
    assert far.lead.significant
    assert far.lead.p is not None
    assert min(3 * smallest, 2 * sorted(p_values)[1]) <= far.lead.p < 0.05
    assert contest.n_worse == 1


def test_a_system_that_is_significantly_ahead_of_the_best_is_not_worse():
    # The best by the mean of all its trials may be behind another on the trials of both.
    means = (0.0, 0.1, -0.1)
    standings = [
        Standing(entry(f"m{place}", FIRST), Difference(6, mean, 0.01, 0.001))
        for place, mean in enumerate(means)
    ]
    assert Contest("digits", "f", 4.0, standings).n_worse == 1


def test_systems_with_few_trials_are_ordered_by_paired_differences():
    # On the two easy subsets everything is better; there the few trials are behind.
    many = (0.70, 0.71, 0.50, 0.51, 0.52, 0.50)
    few = (0.69, 0.70)
    (contest,) = contests.contests([entry("experts", few), entry("finetune", many)])
    assert sum(few) / 2 > sum(many) / 6
    assert contest.best.record.method == "finetune"
    assert contest.others[0].lead.n == 2
    assert round(contest.others[0].lead.mean, 6) == 0.01


def test_a_system_competes_with_its_best_setting_and_a_single_trial_does_not():
    (contest,) = contests.contests(
        [
            entry("finetune", LOW, run_id="a"),
            entry("finetune", FIRST, run_id="b"),
            entry("experts", (0.99,)),
            entry("probe", CLOSE),
        ]
    )
    assert contest.best.record.run_id == "b"
    assert {one.entry.record.method for one in contest.standings} == {"finetune", "probe"}
    (alone,) = contests.contests([entry("experts", (0.99,)), entry("probe", (0.5,))])
    assert len(alone.standings) == 2


def test_a_setting_of_few_trials_stands_for_its_system_if_it_is_better_on_common_trials():
    many = (0.70, 0.71, 0.50, 0.51, 0.52, 0.50)
    (contest,) = contests.contests(
        [
            entry("finetune", (0.72, 0.73), run_id="few and better"),
            entry("finetune", many, run_id="many"),
            # Above its system's mean, but behind it on the two easy subsets that it has.
            entry("probe", (0.67, 0.68), run_id="few and easy"),
            entry("probe", tuple(value - 0.02 for value in many), run_id="all"),
        ]
    )
    names = [one.entry.record.run_id for one in contest.standings]
    assert names == ["few and better", "all"]


def test_of_two_records_of_a_run_the_one_with_more_trials_counts():
    one, many = (record("scratch", values, run_id="a") for values in (FIRST[:1], FIRST))
    for order in ([one, many], [many, one]):
        others = {f"folder {number}": [some] for number, some in enumerate(order)}
        (entry,) = contests.entries([], others)
        assert entry.record is many
        assert others[entry.where.removeprefix("records/")] == [many]


def test_numbers_of_labels_and_images_are_not_mixed():
    some = [
        entry("probe", FIRST),
        entry("finetune", CLOSE, shots=None, fraction=0.1),
        entry("probe", FIRST, labels=16, shots=8),
        entry("probe", FIRST, fingerprint="other"),
        entry("probe", FIRST, labels=0, shots=0),
    ]
    every = contests.contests(some)
    sizes = [(one.images, one.labels, len(one.standings)) for one in every]
    assert sizes == [("f", 4.0, 2), ("f", 8.0, 1), ("other", 4.0, 1)]


def test_the_kind_of_a_method_is_what_was_trained():
    member = [{"run_id": "a", "method": "probe", "seeds": [0]}]
    kinds = {
        entry("probe", FIRST, config={"train": None}).kind: FROZEN,
        entry("scratch", FIRST, config=FROZEN_HEAD).kind: FROZEN,
        entry("finetune", FIRST).kind: TRAINED,
        entry("scratch", FIRST, weights="none").kind: RANDOM,
        entry("voting", FIRST, members=member).kind: VOTE,
    }
    assert all(kind == expected for kind, expected in kinds.items())
    assert len(kinds) == 4


def test_names_say_what_ran():
    untrained = entry("protonet", FIRST, config={"train": None}, backbone="mini-resnet")
    name = "nearest mean of frozen features (protonet, not trained)"
    assert untrained.name == f"{name} on mini-resnet, pretrained weights"
    assert untrained.name_beside(untrained) == name
    # A preset of a study may have the name of another network, which did not run.
    stand_in = entry("scratch", FIRST, preset="mobilenetv3-small", config=FROZEN_HEAD)
    assert stand_in.method == "a head trained by cross-entropy"
