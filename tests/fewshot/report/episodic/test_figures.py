"""The figures of a pool. Oracle: numpy's means and percentiles of the counts of the tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot.report.episodic import figures, groups
from tests.fewshot.report.episodic.synthetic import METHODS, QUERIES, result, results


def test_each_way_of_dividing_queries_has_a_figure_by_shots_and_one_of_single_tasks():
    ((pool, some),) = groups.by_tasks(results()).items()
    drawn = figures.of_pool(pool, some)
    assert [figure.name for figure in drawn] == [
        "shots-cifar10-5-way-balanced-queries",
        "tasks-cifar10-5-way-balanced-queries-1-shot-5-shot",
        "shots-cifar10-5-way-dirichlet-queries-a-2",
        "tasks-cifar10-5-way-dirichlet-queries-a-2-1-shot-5-shot",
    ]
    lines, boxes = drawn[0].table, drawn[1].table
    assert len(lines.rows) == len(boxes.rows) == 2 * len(METHODS)
    for name in METHODS:
        values = 100 * np.array(result(name, 5).correct) / QUERIES
        (line,) = [row for row in lines.rows if (row[0].text, row[1].text) == (name, "5")]
        assert line[2].sort == pytest.approx(values.mean())
        (box,) = [row for row in boxes.rows if (row[0].text, row[1].text) == ("5-shot", name)]
        assert [cell.sort for cell in box[4:]] == pytest.approx(
            list(np.percentile(values, (5, 25, 50, 75, 95)))
        )
    assert "The highest at 5 shots is pt-map" in drawn[0].alt


def test_figures_of_tasks_of_one_shape_and_several_seeds_have_names_of_their_own():
    some = [
        result(name, tasks_hash=f"seed {seed}", run_id=f"{name}-{seed}")
        for seed in range(4)
        for name in ("ridge", "pt-map")
    ]
    ((pool, alike),) = groups.by_tasks(some).items()
    assert len(alike) == 4
    names = [figure.name for figure in figures.of_pool(pool, alike)]
    assert names[0] == "tasks-cifar10-5-way-balanced-queries-1-shot-1-shot"
    assert len(set(names)) == len(names) == 2


def test_labels_leave_out_the_words_in_which_all_of_them_end():
    on = "trained on base classes of X"
    assert figures._shortened([f"anil, {on}", f"ridge on a body {on}"]) == [
        "anil",
        "ridge on a body",
    ]
    frozen = "on frozen features"
    assert figures._shortened([f"tim {frozen}, a=1", f"tim {frozen}, a=2", f"lda {frozen}"]) == [
        "tim, a=1",
        "tim, a=2",
        "lda",
    ]
    assert figures._shortened([f"anil, {on}"]) == [f"anil, {on}"]
    assert figures._shortened(["a b", "b"]) == ["a b", "b"]


def test_a_single_method_or_shot_has_no_figure():
    ((pool, some),) = groups.by_tasks([result("ridge")]).items()
    assert figures.of_pool(pool, some) == []


def test_figures_are_written(tmp_path: Path):
    ((pool, some),) = groups.by_tasks(results(30)).items()
    for figure in figures.of_pool(pool, some)[:2]:
        for path in figure.save(tmp_path / figure.name):
            assert path.stat().st_size > 1000
