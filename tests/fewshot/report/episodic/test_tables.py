"""Tables of the episodic regime. Oracles: pandas, numpy and scipy on the counts of the tasks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from fewshot.config import TaskSettings
from fewshot.evaluation.paired_tests import Difference
from fewshot.report.episodic import groups, tables
from fewshot.report.episodic.groups import Group
from fewshot.report.formatting import Table
from fewshot.runs.episodic.record import EpisodesRecord
from tests.fewshot.report.episodic.synthetic import METHODS, QUERIES, result, results


def as_frame(table: Table) -> pd.DataFrame:
    rows = [[cell.text for cell in row] for row in table.rows]
    return pd.DataFrame(rows, columns=table.columns).set_index(table.columns[0])


def by_task(records: list[EpisodesRecord]) -> pd.DataFrame:
    """Return the accuracy in percent of each task (rows) and method (columns)."""
    columns = {record.name: np.array(record.correct) for record in records}
    return pd.DataFrame(columns) / QUERIES * 100


def halves(frame: pd.DataFrame) -> pd.Series:
    return frame.sem() * stats.t.ppf(0.975, len(frame) - 1)


def test_accuracies_are_means_and_student_intervals_over_the_tasks():
    records = [result(name) for name in METHODS]
    table = as_frame(tables.accuracy(Group(records)))
    raw = by_task(records)
    means, half, first = raw.mean(), halves(raw), raw[:20]
    assert list(table.index) == list(means.sort_values(ascending=False).index)
    for name, row in table.iterrows():
        assert row["accuracy ± 95%"] == f"{means[name]:.2f} ± {half[name]:.2f}"
        apart = f"{first[name].mean():.2f} ± {halves(first)[name]:.2f} (n = 20)"
        assert row["without replacement ± 95%"] == apart
        assert row["kind"] == ("transductive" if METHODS[name][0] else "inductive")
        assert row["tasks"] == "60"
    assert tables.accuracy(Group(records)).caption == (
        "5-way 1-shot, balanced queries, 15 queries per class, 60 tasks, seed 0"
    )


def test_the_best_of_each_kind_is_bold_if_the_tasks_show_it():
    table = tables.accuracy(Group([result(name, n=200) for name in METHODS]))
    column = table.columns.index("accuracy ± 95%")
    bold = {row[0].text for row in table.rows if row[column].bold}
    assert bold == {"pt-map", "ridge"}


def test_results_in_two_precisions_are_no_silent_comparison():
    provenance = result("ridge").provenance
    records = [
        result(name, provenance=replace(provenance, compute={"precision": precision}))
        for name, precision in (("ridge", "float32"), ("pt-map", "bfloat16"))
    ]
    words = "the networks computed in bfloat16 and float32, which differ a little"
    assert ("precision", words) in tables.accuracy(Group(records)).notes
    alike = [records[0], replace(records[1], provenance=records[0].provenance)]
    assert not any(name == "precision" for name, _ in tables.accuracy(Group(alike)).notes)


def test_notes_name_the_network_once_and_the_methods_of_a_warning():
    records = [replace(result(name), warnings=["few tasks"]) for name in ("ridge", "pt-map")]
    records.append(replace(result("nearest-mean"), data_notes=["JPEG"]))
    table = tables.accuracy(Group(records))
    assert "network" not in table.columns
    assert table.notes == [
        ("network", "mini-resnet, pretrained weights"),
        ("data", "JPEG"),
        ("pt-map; ridge", "few tasks"),
    ]
    everyone = tables.accuracy(Group(records[:2])).notes
    assert everyone[1:] == [("all methods", "few tasks")]
    records[0] = replace(records[0], backbone="conv4", weights="none")
    assert "conv4, random weights" in list(as_frame(tables.accuracy(Group(records)))["network"])


def test_paired_differences_to_the_best_and_to_the_row_above():
    records = [result(name) for name in METHODS]
    table = tables.differences(Group(records))
    assert table is not None
    frame, raw = as_frame(table), by_task(records)
    names = list(raw.mean().sort_values(ascending=False).index)
    assert list(frame.index) == names
    assert list(frame.iloc[0]) == ["", "", "", ""]
    for above, name in pairwise(names):
        for column, other in (("minus the best ± 95%", names[0]),
                              ("minus the row above ± 95%", above)):  # fmt: skip
            values = raw[name] - raw[other]
            half = stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)
            assert frame.loc[name, column] == f"{values.mean():+.2f} ± {half:.2f}"
    assert "all 6 pairs" in table.caption
    assert tables.differences(Group(records[:1])) is None


def test_the_change_with_dirichlet_queries_is_sorted_by_the_largest_fall():
    (some,) = groups.by_tasks(results(200)).values()
    changes = tables.changes(some)
    shapes = [(a.tasks.shots, a.tasks.balance, b.tasks.balance) for a, b, _ in changes]
    assert shapes == [(1, "balanced", "dirichlet"), (5, "balanced", "dirichlet")]
    balanced, other, rows = changes[0]
    frame = as_frame(tables.change(balanced, other, rows))
    before, after = by_task(balanced.records), by_task(other.records)
    assert list(frame.index) == list((after.mean() - before.mean()).sort_values().index)
    assert frame.index[0] == "pt-map"
    for name in METHODS:
        test = stats.ttest_rel(after[name], before[name])
        interval = test.confidence_interval()
        expected = f"{after[name].mean() - before[name].mean():+.2f} ± "
        expected += f"{(interval.high - interval.low) / 2:.2f}"
        assert frame.loc[name, "change ± 95%"] == expected
        (row,) = [row for row in rows if row.label == name]
        assert row.difference.p == pytest.approx(test.pvalue)


def test_changes_of_two_methods_are_compared_task_by_task():
    (some,) = groups.by_tasks(results(200)).values()
    balanced, other, rows = tables.changes(some)[0]
    by_name = {row.label: row for row in rows}
    names = ["alpha-tim", "ridge", "nearest-mean"]
    differences = tables.beyond(by_name["pt-map"], [by_name[name] for name in names])
    change = by_task(other.records) - by_task(balanced.records)
    raw = [stats.ttest_rel(change["pt-map"], change[name]) for name in names]
    for difference, test in zip(differences, raw, strict=True):
        interval = test.confidence_interval()
        assert 100 * difference.half == pytest.approx((interval.high - interval.low) / 2)
        assert test.pvalue * 0.999 <= difference.p <= 3 * test.pvalue * 1.001


def test_tasks_of_other_seeds_or_shapes_are_no_change():
    balanced = Group([result("ridge")])
    other = result("ridge", balance="dirichlet")
    seeded = replace(other, tasks=other.tasks.model_copy(update={"seed": 1}))
    assert tables.changes([balanced, Group([seeded])]) == []
    assert tables.changes([balanced, Group([result("ridge", 5, "dirichlet")])]) == []
    of_file = [
        result("ridge", balance=kind, tasks=TaskSettings(count=60, balance=kind, file="tasks.npz"))
        for kind in ("balanced", "dirichlet")
    ]
    assert tables.changes([Group([one]) for one in of_file]) == []  # whose supports may differ


def test_a_difference_of_rounding_has_no_sign_of_a_fall():
    assert tables.points(Difference(3, -1e-17, None, None)) == "+0.00"
    assert tables.points(Difference(3, -0.01234, 0.005, 0.1)) == "-1.23 ± 0.50"
