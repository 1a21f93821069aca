"""The page of the episodic regime. Oracles: numpy on the counts of tasks, and sentences by hand."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from fewshot.evaluation.paired_tests import Difference
from fewshot.report.episodic.tables import Change
from scripts import episodes
from tests.fewshot.report.episodic.synthetic import METHODS, QUERIES, result, results


@pytest.fixture
def cross_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "read", lambda topic: results(100))


def cells(table: str) -> dict[str, list[str]]:
    rows = [line[2:-2].split(" | ") for line in table.splitlines() if line.startswith("|")]
    return {row[0]: row for row in rows}


def accuracy(name: str, shots: int, balance: str) -> str:
    shares = 100 * np.array(result(name, shots, balance, 100).correct) / QUERIES
    return f"{shares.mean():.2f} ± {stats.sem(shares) * stats.t.ppf(0.975, 99):.2f}"


@pytest.mark.usefixtures("cross_domain")
def test_a_table_has_every_shape_of_the_tasks_side_by_side():
    by_method = cells(episodes.cross_domain())
    shapes = [(1, "balanced"), (1, "dirichlet"), (5, "balanced"), (5, "dirichlet")]
    assert by_method["method"][2:] == [f"{shots}-shot, {balance}" for shots, balance in shapes]
    for name in METHODS:
        row = [cell.strip("*") for cell in by_method[name]]
        assert row[2:] == [accuracy(name, *shape) for shape in shapes]
    assert by_method["pt-map"][2].startswith("**")


@pytest.mark.usefixtures("cross_domain")
def test_the_sentence_above_a_change_names_the_methods_at_the_ends_of_its_table():
    text = episodes.changes()
    assert text.count("transductive methods, pt-map falls most") == 2
    assert text.count("Veilleux et al. (arXiv 2204.11181) found that pt-map falls most, too.") == 2
    first = re.search(r"pt-map falls most \((\S+) ±", text)
    assert first is not None
    fall = np.mean(result("pt-map", 1, "dirichlet", 100).correct) - np.mean(
        result("pt-map", 1, n=100).correct
    )
    assert float(first[1]) == pytest.approx(100 * fall / QUERIES, abs=0.01)


def test_a_sentence_does_not_say_what_the_records_contradict():
    def change(name: str, mean: float, **head: float) -> Change:
        one = replace(result("pt-map"), method=name, config={"head": head})
        noise = np.random.default_rng(len(name)).normal(75 * mean, 2, len(one.correct))
        other = replace(one, correct=(np.array(one.correct) + noise).tolist())
        return Change(name, True, one, other, Difference(60, mean, 0.01, 0.5))

    rows = [
        change("tim", -0.2, conditional_weight=0.1),
        change("tim", -0.15, conditional_weight=1.0),
        change("pt-map", -0.05),
        change("alpha-tim", -0.015),
        change("soft-kmeans", -0.014),
    ]
    assert episodes.extremes(rows) == (
        "of 4 transductive methods, not counting TIM with the weights of its own paper, tim falls "
        "most (-15.00 ± 1.00 points, significantly more than all others), and soft-kmeans "
        "falls least (-1.40 ± 1.00, not significantly less than "
        "alpha-tim). Veilleux et al. (arXiv 2204.11181) found that pt-map falls most. TIM with the "
        "weights of its own paper, for balanced queries, changes by -20.00 ± 1.00, the largest "
        "fall of the table. Their alpha-tim, made for such "
        "queries, changes by -1.50 ± 1.00."
    )
    rows[-1] = rows[-1]._replace(difference=Difference(60, 0.001, 0.01, 0.5))
    assert "soft-kmeans falls not at all (+0.10 ± 1.00" in episodes.extremes(rows)


def test_methods_are_rows_and_networks_and_shots_are_columns():
    other = {"backbone": "conv4", "weights": "none"}
    records = [result("ridge"), result("ridge", 5), result("ridge", 5, **other), result("pt-map")]
    by_method = cells(episodes.by_network(records))
    assert by_method["method"][2:] == [
        "conv4, 5-shot",
        "mini-resnet, 1-shot",
        "mini-resnet, 5-shot",
    ]
    assert by_method["ridge"][2] == by_method["ridge"][4]
    assert len(by_method["pt-map"]) == 5
    fewer = cells(episodes.by_network([*records, result("alpha-tim", n=40)]))
    assert fewer["alpha-tim"][3].endswith(" (40 tasks)")
    assert "tasks" not in "".join(fewer["ridge"])


def test_every_mark_of_the_page_has_its_content():
    marks = re.findall(r"<!-- table: (\S+) -->", episodes.PAGE.read_text())
    assert sorted(marks) == sorted(episodes.contents())
