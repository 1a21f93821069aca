"""Numbers, budgets and tables against strings written by hand."""

from __future__ import annotations

import pytest

from fewshot.evaluation.paired_tests import Difference
from fewshot.evaluation.statistics import Score
from fewshot.report import formatting
from tests.fewshot.report.handmade import record


@pytest.mark.parametrize(
    ("n", "words"), [(1, "1 trial"), (0, "0 trials"), (12345, "12,345 trials"), (2.5, "2.5 trials")]
)
def test_counts_have_the_right_number(n: float, words: str) -> None:
    assert formatting.counted(n, "trial") == words


def test_differences_in_points() -> None:
    assert formatting.points(Difference(10, 0.0333, 0.0086, 0.01)) == "+3.3 ± 0.9"
    assert formatting.points(Difference(1, -0.021, None, None)) == "-2.1"


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"shots": 1}, "1 label per class"),
        ({"shots": 16}, "16 labels per class"),
        ({"shots": None, "fraction": 0.05}, "5% of the training images"),
        ({"shots": None, "fraction": 0.001}, "0.1% of the training images"),
        ({"shots": None}, "all training images"),
    ],
)
def test_label_budgets_in_words(budget: dict[str, float | None], words: str) -> None:
    assert formatting.budget_of(record(**budget)) == words


def test_intervals() -> None:
    score = Score(0.51234, 0.01, 0.0249, [0.5, 0.52468])
    assert formatting.interval(score) == "0.5123 ± 0.0249"
    assert formatting.interval(Score(0.5, None, None, [0.5])) == "0.5000"


@pytest.mark.parametrize(
    ("value", "text"), [(0.4, "0.40"), (0.4242, "0.4242"), (0.123, "0.123"), (2.0, "2.00")]
)
def test_reported_numbers_keep_their_decimals(value: float, text: str) -> None:
    assert formatting.as_stated(value) == text


@pytest.mark.parametrize(("p", "text"), [(0.00001, "p < 0.0001"), (0.0512, "p = 0.051")])
def test_p_values(p: float, text: str) -> None:
    assert formatting.p_value(p) == text


def test_enumerations() -> None:
    assert formatting.joined([]) == ""
    assert formatting.joined(["A1"]) == "A1"
    assert formatting.joined(["A1", "A3", "A5"]) == "A1, A3 and A5"


def test_a_markdown_table_aligns_numbers_to_the_right() -> None:
    table = formatting.markdown_table(
        ["method", "accuracy", "n"], [["a|b", "**0.5**", 3], ["c", "", 4]]
    )
    assert table.splitlines() == [
        "| method | accuracy | n |",
        "| :-- | --: | --: |",
        "| a\\|b | **0.5** | 3 |",
        "| c |  | 4 |",
    ]


def test_special_characters_are_escaped() -> None:
    assert formatting.escaped("a_b *c* <d> [e]") == "a\\_b \\*c\\* \\<d> \\[e\\]"


def test_names_of_methods_and_lines() -> None:
    assert formatting.method_name(record("probe")) == "probe"
    assert formatting.method_name(record("probe", preset="fast")) == "probe (fast)"
    assert formatting.method_label(record("probe")) == "probe conv4 from random weights"
    named = record("probe", preset="fast", weights="folder/w.safetensors")
    assert formatting.method_label(named) == "probe (fast) conv4 w.safetensors"
    pretrained = record("probe", weights="pretrained")
    assert formatting.network(pretrained) == "probe on conv4, pretrained weights"


def test_long_texts_are_shortened() -> None:
    assert formatting.shortened("airplane", 8) == "airplane"
    assert formatting.shortened("airplanes", 8) == "airplan…"


def test_sentences_of_earlier_versions_are_shown_in_current_words() -> None:
    earlier = "a member: a run's accuracy is near chance, which is 0.1"
    current = "a voter: the accuracy of a trial is near chance, which is 0.1"
    assert formatting.current_words(earlier) == current
    assert formatting.current_words("training took long") == "training took long"


def test_notes_about_images_name_files_but_no_rows_of_tables() -> None:
    named = "1 test image is a copy of a training image (test/b.png = train/c.png), so it is known"
    rows = "2 copies (a-0.parquet row 2 = b-0.parquet row 9, a-0.parquet row 7 = b row 1), so known"
    notes = formatting.data_notes_of(record(data_notes=[named, rows, "a (plain) note"]))
    assert notes == [named, "2 copies, so known", "a (plain) note"]


def test_warnings_about_training_are_left_out_where_nothing_was_trained() -> None:
    warnings = [f"maml {formatting.OF_TRAINING}", "few labels"]
    untrained, trained = (
        record(method="maml", config={"train": train}, warnings=warnings)
        for train in (None, {"steps": 5})
    )
    assert formatting.warnings_of(untrained) == ["few labels"]
    assert formatting.warnings_of(trained) == warnings


def test_a_method_that_trained_nothing_is_marked() -> None:
    untrained = record(method="protonet", config={"train": None})
    nearest_mean = "protonet (not trained: nearest mean of frozen features)"
    assert formatting.method_name(untrained) == nearest_mean
    assert formatting.network(untrained) == f"{nearest_mean} on conv4, random weights"
    assert formatting.method_label(untrained) == f"{nearest_mean} conv4 from random weights"
    trained = record(method="protonet", config={"train": {"steps": 5}})
    words = "protonet on conv4, random weights, trained on tasks of the labelled subset"
    assert formatting.network(trained) == words
    assert formatting.method_label(trained) == "protonet conv4 from random weights"
    meta = record(method="protonet", preset="meta", config={"train": {"base": "tinyimagenet32"}})
    assert formatting.method_name(meta) == "protonet (meta, trained on tinyimagenet32)"
    words = "protonet on conv4, random weights, trained on tasks of tinyimagenet32"
    assert formatting.network(meta) == words
