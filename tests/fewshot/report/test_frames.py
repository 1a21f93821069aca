"""Oracles: scipy's paired tests and intervals, and JSON's own reader."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from episodes.errors import UserError
from fewshot.report import frames
from fewshot.runs import records
from fewshot.runs.run_record import RunRecord
from tests.fewshot.report.episodic.synthetic import result

PUBLISHED = Path(__file__).parents[3] / "reports/records/learners"


def published(name: str) -> RunRecord:
    return records.read(PUBLISHED / f"{name}.json")


def test_records_become_one_row_for_each_trial():
    path = PUBLISHED / "probe-16.json"
    content = json.loads(path.read_text())
    table = frames.load_records(path, PUBLISHED / "protonet-16.json")
    assert set(table["method"]) == {"probe", "protonet"}
    rows = table[table["method"] == "probe"]
    assert rows["seed"].tolist() == content["seeds"]
    assert rows["accuracy"].tolist() == content["scores"]["accuracy"]["values"]
    assert set(rows["run_id"]) == {content["run_id"]}
    assert set(rows["shots"]) == {16}


def test_runs_are_compared_with_the_best_by_paired_differences():
    probe, protonet = published("probe-16"), published("protonet-16")
    table = frames.compare(probe, protonet)
    means = {record.method: record.scores["accuracy"].mean for record in (probe, protonet)}
    assert table["method"].tolist() == sorted(means, key=means.__getitem__, reverse=True)
    assert table["accuracy"].tolist() == sorted(means.values(), reverse=True)
    assert table["difference"][0] == 0
    best, other = sorted((probe, protonet), key=lambda record: -means[record.method])
    values = [record.scores["accuracy"].values for record in (other, best)]
    interval = stats.ttest_rel(*values).confidence_interval()
    assert table["difference"][1] == pytest.approx((interval.low + interval.high) / 2)
    assert table["difference_ci95"][1] == pytest.approx((interval.high - interval.low) / 2)

    assert table["p"][1] == pytest.approx(stats.ttest_rel(*values).pvalue)
    assert table["low"][1] < table["accuracy"][1] < table["high"][1]
    assert table["high"][1] - table["low"][1] > 2 * table["ci95"][1]


def test_runs_without_a_common_seed_are_not_compared():
    probe, protonet = published("probe-16"), published("protonet-16")
    later = replace(protonet, seeds=[seed + 100 for seed in protonet.seeds])
    with pytest.raises(
        UserError, match=r"no seed in common \(seeds .*run both with the same --seeds"
    ):
        frames.compare(probe, later)


def test_only_records_are_compared():
    with pytest.raises(UserError, match=r"as in compare\(\*records\), not a list"):
        frames.compare([published("probe-16"), published("probe-4")])
    with pytest.raises(UserError, match="not nothing"):
        frames.compare()


def test_runs_of_different_tasks_are_not_compared():
    with pytest.raises(UserError, match="2 different tasks"):
        frames.compare(published("probe-16"), published("probe-4"))


def test_results_on_identical_tasks_are_compared_task_by_task():
    ours = [result(name) for name in ("nearest-mean", "pt-map", "ridge")]
    table = frames.compare(*ours)
    by_name = {one.name: np.array(one.correct) / 75 for one in ours}
    assert table["system"].tolist() == sorted(by_name, key=lambda name: -by_name[name].mean())
    assert table["transductive"].tolist() == [True, False, False]
    best = by_name["pt-map"]
    pairs = [("ridge", "pt-map"), ("nearest-mean", "pt-map"), ("ridge", "nearest-mean")]
    tests = [stats.ttest_rel(by_name[one], by_name[other]) for one, other in pairs]
    raw = sorted(test.pvalue for test in tests)
    for row, test in zip((1, 2), tests, strict=False):
        interval = test.confidence_interval()
        values = by_name[table["system"][row]]
        assert table["difference"][row] == pytest.approx((values - best).mean())
        half = (interval.high - interval.low) / 2
        assert table["difference_ci95"][row] == pytest.approx(half)
        holm = max((3 - rank) * p for rank, p in enumerate(raw) if p <= test.pvalue)
        assert table["p"][row] == pytest.approx(holm)
    assert table["ci95"][0] == pytest.approx(stats.sem(best) * stats.t.ppf(0.975, len(best) - 1))
    assert table["without_replacement_n"].tolist() == [20, 20, 20]


def test_results_on_other_tasks_are_not_compared():
    with pytest.raises(UserError, match="have different tasks, so their difference is not paired"):
        frames.compare(result("ridge"), result("pt-map", shots=5))


def test_the_regimes_are_not_compared():
    with pytest.raises(UserError, match=r"of the low-data regime .* compare the runs of each"):
        frames.compare(published("probe-16"), result("ridge"))
