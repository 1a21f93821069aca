"""Figures of accuracy against the number of labels, from hand-made records."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import pytest

from fewshot.report.plots import accuracy_curves as curves
from tests.fewshot.report.test_comparison import record


def at(
    shots: int | None, method: str = "probe", values: tuple[float, ...] = (0.4, 0.6), **more
) -> dict:
    return record(method, values, shots=shots, **{"run_id": f"{method}-{shots}", **more})


def test_a_line_for_each_method_in_rising_order_of_labels() -> None:
    found = [
        at(4),
        at(1, values=(0.1, 0.3)),
        at(4, "protonet", (0.7,)),
        at(16, weights="a/b.safetensors"),
    ]
    (panel,) = curves.panels(found)
    assert (panel.data, panel.budget) == ("digits", "shots")
    lines = {line.label: line for line in panel.lines}
    assert set(lines) == {
        "probe conv4 from random weights", "protonet conv4 from random weights", "probe conv4 b.safetensors",
    }  # fmt: skip
    probe = lines["probe conv4 from random weights"]
    assert probe.budgets == [1, 4]
    assert probe.means == pytest.approx([0.2, 0.5])
    assert probe.halves == pytest.approx(
        [12.706 * 0.1, 12.706 * 0.1], rel=1e-3
    )  # t of one degree of freedom
    assert lines["protonet conv4 from random weights"].halves == [0.0]


def test_data_sets_and_kinds_of_budget_are_never_mixed() -> None:
    other = {"provenance": {"data_fingerprint": "g"}}
    found = [
        at(4),
        at(8),
        at(4, **other),
        at(8, **other),
        at(None, fraction=0.1),
        at(None, fraction=0.2),
    ]
    assert [(panel.budget, len(panel.lines)) for panel in curves.panels(found)] == [
        ("fraction", 1), ("shots", 1), ("shots", 1),
    ]  # fmt: skip
    (panel,) = curves.panels(
        [at(4), at(8), at(None, "scratch", (0.9,)), at(None, "scratch", (0.8,), **other)]
    )
    assert panel.levels == [("scratch conv4 from random weights", 0.9)]


def test_one_budget_is_no_curve() -> None:
    assert curves.panels([at(4), at(4, "protonet"), at(None, fraction=0.1)]) == []


def test_two_records_of_one_method_and_budget_are_both_shown() -> None:
    found = [at(4, run_id="a"), at(4, values=(0.3, 0.4, 0.5), run_id="b"), at(8, run_id="c")]
    (panel,) = curves.panels(found)
    assert {line.label: line.budgets for line in panel.lines} == {
        "probe conv4 from random weights": [4, 8], "probe conv4 from random weights a": [4],
    }  # fmt: skip
    assert panel.lines[0].means[0] == pytest.approx(0.4)  # of the record with more draws


def test_the_files_show_every_line_and_level_and_do_not_change(tmp_path: Path) -> None:
    found = [at(4), at(8), at(4, "protonet"), at(8, "protonet"), at(None, "scratch", (0.9,))]
    svg, png = curves.write(found, tmp_path / "a")
    assert (svg.name, png.name) == ("accuracy-digits-shots.svg", "accuracy-digits-shots.png")
    text = svg.read_text()
    for words in (
        "probe conv4 from random weights",
        "protonet",
        "all labels",
        "labelled images of every class",
    ):
        assert re.search(f"<!-- .*{words}.* -->", text), words
    assert matplotlib.image.imread(png).std() > 0.05
    again, _ = curves.write(found, tmp_path / "b")
    assert again.read_text() == text
