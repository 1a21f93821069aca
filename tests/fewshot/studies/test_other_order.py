"""Oracle: all orders of three classes, counted one by one."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np

from fewshot.runs.run_record import RunRecord
from fewshot.studies import other_order, sweep
from tests.fewshot.studies.rows import QUICK, rows_of, store_in


def test_accuracies_are_those_of_all_orders() -> None:
    confusion = np.array([[5, 3, 2], [1, 8, 1], [0, 4, 6]])
    every = [
        sum(confusion[i, order[i]] for i in range(3)) / 30
        for order in itertools.permutations(range(3))
    ]
    accuracies = other_order.in_other_orders(confusion)
    assert set(accuracies.round(6)) == set(np.round(every, 6))
    shares = Counter(accuracies.round(6).tolist())
    for accuracy, orders in Counter(np.round(every, 6).tolist()).items():
        assert abs(shares[accuracy] / other_order.ORDERS - orders / 6) < 0.02


def test_a_sweep_computes_them_from_the_confusion_of_another_row(tmp_path: Path) -> None:
    rows = rows_of(
        tmp_path,
        X1={"base": QUICK, "grid": [{"train.lr": [0.01, 0.1]}]},
        X2={"kind": "benchmark", "benchmark": "other order", "rows": ["X1"]},
    )
    store = store_in(tmp_path)
    sweep.run(rows, store)
    (result,) = store.results_of(rows[1])
    table = result["record"]
    assert table is not None
    for run, (label, own, mean, low, high) in zip(
        store.results_of(rows[0]), table["rows"], strict=True
    ):
        assert run["record"] is not None
        record = RunRecord.from_json(run["record"])
        assert (label, own) == (run["label"], round(record.scores["accuracy"].mean, 4))
        assert low <= mean <= high
        assert abs(mean - 1 / len(record.classes)) < 0.01  # no order is better than chance
