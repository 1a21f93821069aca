"""Combinations against itertools.product, written out."""

from __future__ import annotations

from fewshot.runs.episodic.requests import combinations


def test_every_combination_is_one_request_method_by_method():
    values = {"data": "digits", "tasks": {"count": 600}}
    made = combinations(
        values, methods=["a", "b"], ways=[5, 20], shots=[1], balances=["balanced", "missing"]
    )
    expected = [
        {
            "data": "digits",
            "method": method,
            "tasks": {"count": 600, "ways": ways, "shots": 1, "balance": balance},
        }
        for method in ("a", "b")
        for ways in (5, 20)
        for balance in ("balanced", "missing")
    ]
    assert made == expected
    assert values == {"data": "digits", "tasks": {"count": 600}}


def test_what_is_not_given_stays_as_it_is():
    values = {"method": "a", "learner": {"scale": 2}}
    assert combinations(values, methods=["a"]) == [values]
