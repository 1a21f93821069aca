"""Oracles: text written by hand, Python's float parser, and a Markdown table split again."""

from dataclasses import replace
from pathlib import Path

import pytest

from fewshot.evaluation.statistics import summary
from fewshot.report import formatting
from fewshot.report.formatting import Cell, Table
from fewshot.runs import records

RECORD = records.read(Path(__file__).parents[3] / "reports/records/learners/probe-16.json")


@pytest.mark.parametrize(
    ("n", "expected"),
    [(1, "1 trial"), (0, "0 trials"), (3, "3 trials"), (50_000, "50,000 trials"),
     (12_345_678, "12,345,678 trials")],
)  # fmt: skip
def test_counts_have_a_plural_and_separators(n: int, expected: str):
    assert formatting.counted(n, "trial") == expected


@pytest.mark.parametrize(
    ("words", "expected"), [([], ""), (["A1"], "A1"), (["A1", "A3", "A5"], "A1, A3 and A5")]
)
def test_enumerations_end_with_and(words: list[str], expected: str):
    assert formatting.joined(words) == expected


def test_an_interval_is_the_mean_and_half_of_the_interval():
    score = summary([0.5, 0.6, 0.7])
    assert score.ci95 is not None
    mean, half = formatting.interval(score).split(" ± ")
    assert float(mean) == pytest.approx(0.6)
    assert float(half) == pytest.approx(score.ci95, abs=5e-5)
    assert formatting.deviation(score, ".1f") == "0.6 ± 0.1"


def test_a_single_trial_has_no_interval():
    assert formatting.interval(summary([0.5])) == "0.5000"
    assert formatting.deviation(summary([0.5])) == "0.5000"


def test_p_values_below_the_limit_are_not_shown_as_zero():
    assert formatting.p_value(0.00001) == "p < 0.0001"
    assert formatting.p_value(0.0421) == "p = 0.042"


@pytest.mark.parametrize(("value", "expected"), [(0.4, "0.40"), (0.4125, "0.4125"), (1.0, "1.00")])
def test_reported_numbers_keep_their_own_decimals(value: float, expected: str):
    assert formatting.as_stated(value) == expected
    assert float(expected) == value


def test_label_budgets_are_written_in_words():
    few = replace(RECORD, shots=16, fraction=None)
    one = replace(RECORD, shots=1, fraction=None)
    part = replace(RECORD, shots=None, fraction=0.05)
    full = replace(RECORD, shots=None, fraction=None)
    assert [formatting.budget_of(record) for record in (few, one, part, full)] == [
        "16 labels per class",
        "1 label per class",
        "5% of the training images",
        "all training images",
    ]
    assert [formatting.budget_amount(record) for record in (few, part, full)] == [16, 0.05, 1]


def test_only_unusual_presets_are_part_of_a_name():
    usual = replace(RECORD, method="probe", preset="few", backbone="conv4", weights="none")
    unusual = replace(usual, preset="fast", weights="/somewhere/a.safetensors")
    assert formatting.method_name(usual) == "probe"
    assert formatting.method_name(unusual) == "probe (fast)"
    assert formatting.method_label(usual) == "probe conv4 from random weights"
    assert formatting.method_label(unusual) == "probe conv4 a.safetensors (fast)"
    assert formatting.network(usual) == "probe on conv4, random weights"
    assert formatting.network(unusual) == "probe on conv4, weights a.safetensors"


def test_special_characters_are_escaped_in_markdown_and_latex():
    assert formatting.escaped("a_b [c] <d> *e*") == r"a\_b \[c\] \<d> \*e\*"
    assert formatting.latex_escaped("50% & a_b") == r"50\% \& a\_b"
    assert formatting.latex_escaped("-0.5 ± 0.1") == r"$-$0.5 $\pm$ 0.1"


def test_numeric_columns_of_a_markdown_table_are_aligned_to_the_right():
    text = formatting.markdown_table(
        ["method", "accuracy", "n"], [["probe|x", "**0.5** ± 0.1", 3], ["scratch", "", 12]]
    )
    lines = text.splitlines()
    assert lines[1] == "| :-- | --: | --: |"
    assert lines[2] == r"| probe\|x | **0.5** ± 0.1 | 3 |"
    assert [len(line.replace(r"\|", "").split("|")) for line in lines] == [5, 5, 5, 5]


def test_bold_cells_are_bold_in_markdown_and_latex():
    cells = [Cell("probe"), Cell("0.5 ± 0.1", 0.5, bold=True)]
    assert [formatting.markdown_cell(cell) for cell in cells] == ["probe", "**0.5 ± 0.1**"]
    table = Table("caption", ["method", "accuracy"], [cells], [])
    latex = formatting.latex_table(table, "50% of the images", "tab:a")
    assert r"\caption{50\% of the images}" in latex
    assert r"probe & \textbf{0.5 $\pm$ 0.1} \\" in latex
    assert r"\begin{tabular}{lr}" in latex
    for environment in ("table", "adjustbox", "tabular"):
        assert (
            latex.count(rf"\begin{{{environment}}}") == latex.count(rf"\end{{{environment}}}") == 1
        )


def test_pictures_are_named_relative_to_their_page():
    assert formatting.picture(Path("/a/b.svg"), "curves [n]") == "![curves (n)](b.svg)"


def test_long_text_is_shortened_to_the_limit():
    assert formatting.shortened("a" * 22) == "a" * 22
    assert formatting.shortened("a" * 23) == "a" * 21 + "…"
