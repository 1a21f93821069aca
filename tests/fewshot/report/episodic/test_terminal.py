"""What the command prints against hand-made records and SciPy's paired test."""

from __future__ import annotations

from fewshot.evaluation import task_scores
from fewshot.report.episodic import terminal
from tests.fewshot.runs.episodic.handmade import record

CORRECT = [30, 45, 60, 40, 50, 44, 38, 61]


def rows(text: str) -> list[list[str]]:
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| ") and not line.startswith("| :")
    ]


def test_one_method_has_a_row_with_both_intervals():
    text = terminal.text([record()])
    heading, row = rows(text)
    assert heading == [
        *("method", "kind", "accuracy ± 95%", "without replacement ± 95%", "seconds")
    ]
    assert row == ["nearest-mean", "inductive", "60.00 ± 49.68", "60.00 ± 254.12 (n = 2)", "0.5"]
    assert "3 tasks, seed 0" in text
    assert "for other images, too" in text
    assert "paired" not in text
    assert "Bold" not in text


def test_several_methods_have_paired_differences():
    better = [number + 3 - position % 2 for position, number in enumerate(CORRECT)]
    some = [
        record(CORRECT, run_id="a" * 12, accuracy=task_scores.over_tasks(CORRECT, 75)),
        record(
            better,
            run_id="b" * 12,
            name="pt-map",
            transductive=True,
            warnings=["12 tasks are few"],
            accuracy=task_scores.over_tasks(better, 75),
        ),
    ]
    text = terminal.text(some)
    heading, first, second = rows(text)
    assert heading[4:6] == ["minus the best", "p"]
    assert first[:2] == ["pt-map", "transductive"]
    assert first[4:6] == ["", ""]
    assert second[4] == "-3.33 ± 0.60"  # scipy.stats.ttest_1samp of -3 and -2 correct, of 75
    assert "- pt-map: 12 tasks are few" in text
    assert "**" not in text
    assert "Bold" not in text


def test_a_bold_method_is_explained_and_a_small_p_value_has_no_backslash():
    worse = [number - 9 - position % 2 for position, number in enumerate(CORRECT)]
    some = [
        record(correct, run_id=letter * 12, name=name, accuracy=task_scores.over_tasks(correct, 75))
        for letter, name, correct in (("a", "ridge", CORRECT), ("b", "lda", worse))
    ]
    text = terminal.text(some)
    _, first, second = rows(text)
    assert first[0] == "**ridge**"
    assert second[5] == "< 0.0001"
    assert "Bold: better than every other method of its kind" in text


def test_records_of_other_tasks_have_a_table_of_their_own():
    other = record(run_id="b" * 12, tasks_hash="0" * 16)
    assert len(rows(terminal.text([record(), other]))) == 4
