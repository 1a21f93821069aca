"""Figures of accuracy against the number of labels, against lines computed by hand."""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib.image
import pytest

from fewshot.report.plots import accuracy_curves
from fewshot.runs.run_record import RunRecord
from tests.fewshot.expected_intervals import score_interval
from tests.fewshot.report.handmade import record


def at(
    shots: int | None, method: str = "probe", values: tuple[float, ...] = (0.4, 0.6), **more
) -> RunRecord:
    return record(method, values, shots=shots, **{"run_id": f"{method}-{shots}", **more})


def test_a_line_for_each_method_in_rising_order_of_labels() -> None:
    records = [
        at(4),
        at(1, values=(0.1, 0.3)),
        at(4, "protonet", (0.7,)),
        at(16, weights="a/b.safetensors"),
    ]
    (panel,) = accuracy_curves.panels(records)
    assert (panel.data, panel.budget) == ("digits", "shots")
    lines = {line.label: line for line in panel.lines}
    assert set(lines) == {
        "probe conv4 from random weights",
        "protonet conv4 from random weights",
        "probe conv4 b.safetensors",
    }
    probe = lines["probe conv4 from random weights"]
    assert probe.budgets == [1, 4]
    assert probe.means == pytest.approx([0.2, 0.5])
    half = 12.7062 * 0.1  # t of one degree of freedom
    for mean, interval in zip(probe.means, probe.intervals, strict=True):
        assert interval == pytest.approx(score_interval(mean, half), rel=1e-4)
    alone = lines["protonet conv4 from random weights"]
    assert alone.intervals == [(alone.means[0], alone.means[0])]


def test_data_sets_and_kinds_of_budget_are_never_mixed() -> None:
    other = {"fingerprint": "g"}
    records = [
        at(4),
        at(8),
        at(4, **other),
        at(8, **other),
        at(None, fraction=0.1),
        at(None, fraction=0.2),
    ]
    assert [(panel.budget, len(panel.lines)) for panel in accuracy_curves.panels(records)] == [
        ("fraction", 1), ("shots", 1), ("shots", 1),
    ]  # fmt: skip
    (panel,) = accuracy_curves.panels(
        [at(4), at(8), at(None, "scratch", (0.9,)), at(None, "scratch", (0.8,), **other)]
    )
    assert panel.levels == [("scratch conv4 from random weights", 0.9, "all labels")]


def test_an_accuracy_without_labels_is_a_level_and_no_point() -> None:
    (panel,) = accuracy_curves.panels([at(4), at(8), at(0, "probe", (0.5,), config={"shots": 0})])
    assert panel.levels == [("names of the pretraining's classes", 0.5, "no label")]
    assert [line.budgets for line in panel.lines] == [[4, 8]]


def test_two_levels_without_labels_have_labels_of_their_own() -> None:
    zero = [
        at(0, "probe", (accuracy,), run_id=name, config={"shots": 0, "backbone": {"name": name}})
        for accuracy, name in ((0.3, "conv4"), (0.5, "resnet12"))
    ]
    (panel,) = accuracy_curves.panels([at(4), at(8), *zero])
    (legend,) = accuracy_curves.figure(panel).legends
    texts = [" ".join(text.get_text().split()) for text in legend.get_texts()]
    assert len(set(texts)) == 3
    assert all(text.count("no label") == 1 for text in texts[1:])
    assert len({handle.get_linestyle() for handle in legend.legend_handles[1:]}) == 2


def test_a_single_line_is_drawn_at_its_numbers_of_labels() -> None:
    (panel,) = accuracy_curves.panels([at(4), at(8)])
    (axes,) = accuracy_curves.figure(panel).axes
    assert axes.lines[0].get_xdata() == pytest.approx([4, 8])


def test_two_runs_of_one_method_with_all_labels_have_labels_of_their_own() -> None:
    full = [
        at(None, "scratch", (accuracy,), run_id=f"full-{rate}", config={"train": {"lr": rate}})
        for accuracy, rate in ((0.8, 0.1), (0.9, 0.2))
    ]
    (panel,) = accuracy_curves.panels([at(4), at(8), *full])
    name = "scratch conv4 from random weights"
    assert panel.levels == [(f"{name}, lr 0.1", 0.8, "all labels"),
                            (f"{name}, lr 0.2", 0.9, "all labels")]  # fmt: skip
    (legend,) = accuracy_curves.figure(panel).legends
    texts = [" ".join(text.get_text().split()) for text in legend.get_texts()]
    assert texts[1:] == [f"{name}, lr {rate}, all labels" for rate in (0.1, 0.2)]
    assert len({handle.get_linestyle() for handle in legend.legend_handles[1:]}) == 2


def test_one_budget_is_no_curve() -> None:
    assert accuracy_curves.panels([at(4), at(4, "protonet"), at(None, fraction=0.1)]) == []


def test_two_records_of_one_method_and_budget_are_both_shown() -> None:
    records = [at(4, run_id="a"), at(4, values=(0.3, 0.4, 0.5), run_id="b"), at(8, run_id="c")]
    (panel,) = accuracy_curves.panels(records)
    assert {line.label: line.budgets for line in panel.lines} == {
        "probe conv4 from random weights": [4, 8], "probe conv4 from random weights, run a": [4],
    }  # fmt: skip
    assert panel.lines[0].means[0] == pytest.approx(0.4)  # of the record with more trials


def test_the_files_show_every_line_and_level_and_do_not_change(tmp_path: Path) -> None:
    records = [at(4), at(8), at(4, "protonet"), at(8, "protonet"), at(None, "scratch", (0.9,))]
    svg, pdf, png = accuracy_curves.write(records, tmp_path / "a")
    assert [svg.name, pdf.name, png.name] == [
        f"accuracy-digits-shots.{suffix}" for suffix in ("svg", "pdf", "png")
    ]
    text = svg.read_text()
    for words in (
        "probe conv4 from random weights",
        "protonet",
        "all labels",
        "labels per class",
    ):
        assert re.search(f"<!-- .*{words}.* -->", text), words
    assert matplotlib.image.imread(png).std() > 0.05
    again, *_ = accuracy_curves.write(records, tmp_path / "b")
    assert again.read_text() == text


def test_labels_that_would_overlap_are_moved_apart_and_stay_in_order() -> None:
    spread = accuracy_curves.spread([80.0, 79.5, 79.0, 50.0], gap=3.0)
    assert spread == pytest.approx([82.5, 79.5, 76.5, 50.0])
    assert accuracy_curves.spread([9.0, 5.0], gap=3.0) == [9.0, 5.0]


def test_the_overview_draws_an_error_bar_for_each_method_and_hollow_untrained_points() -> None:
    trained = accuracy_curves.line_of("a", {1: at(1), 4: at(4)})
    untrained = accuracy_curves.line_of("b", {1: at(1, config={"train": None})})
    assert untrained.untrained == {1}
    (axes,) = accuracy_curves.overview([trained, untrained], "title").axes
    assert len(axes.containers) == 2
    hollow = [line for line in axes.lines if line.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
