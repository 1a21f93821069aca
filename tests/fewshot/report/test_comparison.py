"""Comparison tables against numbers computed here from hand-made records."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scipy import stats

from fewshot.errors import UserError
from fewshot.report import comparison
from fewshot.runs.run_record import RunRecord
from tests.fewshot.expected_intervals import accuracy_cell, with_test_images
from tests.fewshot.report import latex_reading
from tests.fewshot.report.handmade import VALUES, content

BEST = "difference to the best"


def markdown(*contents: dict[str, Any]) -> str:
    return comparison.markdown([RunRecord.from_json(one) for one in contents])


def test_what_a_learner_measured_of_itself_is_below_the_table() -> None:
    score = {"mean": 0.9481, "std": 0.01, "ci95": 0.0123, "values": [0.94, 0.95]}
    text = markdown(
        content("experts", measures={"gate_accuracy": score, "flat_accuracy": score}), content()
    )
    assert text.count("gate accuracy") == 1
    assert (
        "- experts, run id-experts: flat accuracy 0.9481 ± 0.0123, gate accuracy 0.9481 ± 0.0123."
        in text
    )


class Group(NamedTuple):
    """A heading, its table's rows as column -> cell, and the lines below."""

    heading: str
    rows: list[dict[str, str]]
    remarks: list[str]


def groups(*contents: dict[str, Any]) -> list[Group]:
    """Return the tables of the page, read back from its text."""
    tables: list[Group] = []
    for block in markdown(*contents).split("\n\n"):
        lines = block.strip().splitlines()
        if block.startswith("**"):
            tables.append(Group(block, [], []))
        elif block.startswith("|"):
            names, _, *rows = ([cell.strip() for cell in line[1:-1].split("|")] for line in lines)
            tables[-1].rows.extend(dict(zip(names, row, strict=True)) for row in rows)
        else:
            tables[-1].remarks.extend(line.removeprefix("- ") for line in lines)
    return tables


LOW, HIGH = (
    content("probe", (0.5, 0.55, 0.6, 0.5, 0.52)),
    content("protonet", (0.7, 0.72, 0.8, 0.74, 0.7)),
)


def test_a_clear_winner_is_in_bold_and_first():
    (group,) = groups(LOW, HIGH, content("scratch", (0.1, 0.2, 0.1, 0.2, 0.1)))
    assert [row["method"] for row in group.rows] == ["protonet", "probe", "scratch"]
    bold = [
        (row["method"], name) for row in group.rows for name, cell in row.items() if "**" in cell
    ]
    assert bold == [("protonet", "accuracy ± 95%")]


@pytest.mark.parametrize(
    "other",
    [VALUES, (0.5, 0.6, 0.7, 0.6, 0.61), (0.1, 0.1)],
    ids=["equal", "not significantly worse", "too few trials"],
)
def test_nothing_is_bold_without_a_significant_lead(other: tuple[float, ...]):
    (group,) = groups(content("probe"), content("protonet", other))
    assert not any("**" in row["accuracy ± 95%"] for row in group.rows)


def test_equal_records_have_no_difference_and_no_interval_of_it():
    (group,) = groups(content("probe"), content("protonet"))
    assert group.rows[1][BEST] == "+0.0000"


@pytest.mark.parametrize(
    "other",
    [
        {"regime": "episodic"},
        {"shots": 5, "labels": 10},
        {"shots": None, "fraction": 0.04},
        {"shots": None},
        {"data": "cifar10"},
        {"n_test": 999},
        {"labels": 9},
        {"classes": ["a", "b", "c"]},
    ],
    ids=lambda other: " ".join(other),
)
def test_regimes_budgets_and_data_are_never_in_one_table(other: dict):
    changed = content("scratch", (0.1,) * 5, **other)
    tables = groups(LOW, changed, HIGH)
    assert sorted([row["method"] for row in group.rows] for group in tables) == [
        ["protonet", "probe"],
        ["scratch"],
    ]
    assert len({group.heading for group in tables}) == 2


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"shots": 4, "fraction": None}, "digits, 4 labels per class"),
        ({"shots": None, "fraction": 0.01}, "digits, 1% of the training images"),
        ({"shots": None, "fraction": None}, "digits, all training images"),
    ],
)
def test_the_heading_names_labels_and_test_images(budget: dict, words: str):
    (group,) = groups(content(**budget, labels=12345))
    assert words in group.heading
    regime = "" if "all training images" in words else "low-data regime, "
    labels = "12,345 labels, 2 classes"
    assert f"({labels}, {regime}evaluated on 1,000 test images)" in group.heading


def test_intervals_n_and_costs_to_the_printed_digit():
    values = (0.71234, 0.69876, 0.75555, 0.70001, 0.7321, 0.6999)
    (group,) = groups(content(values=values))
    mean, error = statistics.fmean(values), statistics.stdev(values) / 6**0.5
    low, high = stats.t.interval(0.95, 5, loc=mean, scale=error)
    row = group.rows[0]
    assert row["accuracy ± 95%"] == f"{mean:.4f} ± {(high - low) / 2:.4f}"
    assert row["95% with test images"] == with_test_images(values, 1000)
    assert row["min - max"] == "0.6988 - 0.7556"
    assert row["n"] == "6"
    assert (
        row["seconds per trial"] == "2.0"
    )  # of training: the features of an old record are unknown
    assert row["parameters"] == "12,345"
    assert (row["F1"], row["loss"], row["ECE"], row["train accuracy"]) == (
        "0.2500",
        "0.250",
        "0.250",
        "0.250",
    )


def test_the_difference_is_paired_over_the_common_seeds_only():
    worse = content("probe", (0.50, 0.60, 0.55, 0.65, 0.40), seeds=[7, 3, 4, 5, 6])
    better = content("protonet", (0.90, 0.80, 0.70, 0.72, 0.69, 0.75), seeds=[0, 1, 2, 3, 4, 5])
    (group,) = groups(worse, better)
    differences = [0.60 - 0.72, 0.55 - 0.69, 0.65 - 0.75]  # seeds 3, 4, 5
    half = stats.t.ppf(0.975, 2) * statistics.stdev(differences) / 3**0.5
    cells = {row["method"]: row[BEST] for row in group.rows}
    assert cells == {"protonet": "", "probe": f"{statistics.fmean(differences):+.4f} ± {half:.4f}"}
    assert {row["method"]: row["n"] for row in group.rows} == {"protonet": "6", "probe": "5"}


@pytest.mark.parametrize("seeds", [[4, 5, 6, 7, 8], [5, 6, 7, 8, 9]])
def test_fewer_than_two_common_seeds_give_no_difference(seeds: list[int]):
    (group,) = groups(HIGH, {**LOW, "seeds": seeds})
    assert all(row.get(BEST, "") == "" for row in group.rows)


def test_one_trial_has_no_interval_and_a_remark():
    (group,) = groups(content(values=(0.5,)))
    assert group.rows[0]["accuracy ± 95%"] == "0.5000"
    wilson = stats.binomtest(500, 1000).proportion_ci(method="wilson")
    assert group.rows[0]["95% with test images"] == f"{wilson.low:.4f} to {wilson.high:.4f}"
    assert group.rows[0]["n"] == "1"
    assert any("leaves out how much other trials would differ" in one for one in group.remarks)


def test_a_table_for_the_terminal_explains_its_intervals_in_a_line():
    text = comparison.markdown([RunRecord.from_json(content())], brief=True)
    assert text.splitlines()[-1].startswith("- ± is over trials, on these test images")
    assert "95% with test images" in text


def test_warnings_and_notes_are_shown_once_with_their_table():
    noted = {"data_notes": ["one file was skipped"]}
    tables = groups(
        content("probe", warnings=["untrained"], **noted),
        content("scratch", **noted),
        content("protonet", shots=5, labels=10, warnings=["at chance"]),
    )
    assert [group.remarks for group in tables] == [
        ["one file was skipped", "probe: untrained"],
        ["protonet: at chance"],
    ]


def test_unusual_presets_and_weights_are_named():
    named = [content(f"m{i}", preset=preset) for i, preset in enumerate(("few", "full", "fast"))]
    (group,) = groups(*named, content("m3", weights="folder/of/w.safetensors"))
    assert {row["method"] for row in group.rows} == {"m0", "m1", "m2 (fast)", "m3"}
    assert sorted(row["weights"] for row in group.rows) == ["none"] * 3 + ["w.safetensors"]


def test_the_order_of_the_records_does_not_matter():
    rows = [LOW, HIGH, content("scratch", shots=1, labels=2), content("maml", data="cifar10")]
    assert markdown(*rows) == markdown(*rows[::-1])


# writing and checking


def saved(folder: Path, *contents: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    for one in contents:
        (folder / f"{one['run_id']}.json").write_text(json.dumps(one))
    return folder


def test_the_report_prints_the_tables_or_writes_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs = saved(tmp_path / "runs", LOW, HIGH)
    expected = markdown(LOW, HIGH)
    assert comparison.report([runs], None, check=False) == 0
    assert capsys.readouterr().out == expected + "\n"
    assert comparison.report([runs], tmp_path / "new" / "out", check=False) == 0
    assert expected.split("\n\n")[1] in (tmp_path / "new" / "out" / "comparison.md").read_text()
    assert "comparison.md" in capsys.readouterr().out


def test_check_distinguishes_fresh_from_stale_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    runs, out = saved(tmp_path / "runs", LOW), tmp_path / "out"
    assert comparison.report([runs], out, check=True) == 1
    assert not out.exists()
    comparison.report([runs], out, check=False)
    written = (out / "comparison.md").read_text()
    capsys.readouterr()
    assert comparison.report([runs], out, check=True) == 0
    assert "up to date" in capsys.readouterr().err
    saved(tmp_path / "runs", HIGH)
    assert comparison.report([runs], out, check=True) == 1
    assert "stale" in capsys.readouterr().err
    assert (out / "comparison.md").read_text() == written


def test_check_needs_a_place_and_records_must_be_there(tmp_path: Path):
    with pytest.raises(UserError, match="--out"):
        comparison.report([saved(tmp_path / "runs", LOW)], None, check=True)
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "gone"))):
        comparison.report([tmp_path / "gone"], tmp_path / "out", check=False)


def test_a_table_is_made_without_torch():
    code = (
        "import sys, fewshot.report.comparison\n"
        "print([name for name in ('torch', 'torchvision', 'timm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_rows_of_one_method_show_the_settings_in_which_they_differ():
    changed = {
        "train": {"lr": 0.01, "steps": 9},
        "augment": [{"name": "flip"}, {"name": "crop", "scale": [0.5, 1]}],
    }
    rows = [
        content(),
        content(run_id="other", config=changed),
        content("probe", config={"train": None}),
    ]
    (group,) = groups(*rows)
    assert {row["run"]: row["settings"] for row in group.rows} == {
        "id-protonet": "train.lr=0.001, augment=[flip]",
        "other": "train.lr=0.01, augment=[flip crop]",
        "id-probe": "",
    }
    (group,) = groups(content(), content("probe"))
    assert "settings" not in group.rows[0]


def test_long_settings_stand_below_the_table():
    config = {"train": {f"a_very_long_setting_{number}": number for number in range(10)}}
    (group,) = groups(content(), content(run_id="other", config=config))
    assert {row["run"]: row["settings"] for row in group.rows}["other"] == "see below"
    (settings,) = (line for line in group.remarks if line.startswith("settings of run other"))
    assert all(f"train.a_very_long_setting_{number}={number}" in settings for number in range(10))


def test_the_overview_has_a_column_for_each_number_of_labels():
    rows = [
        content("probe", (0.4, 0.5), shots=1, labels=2),
        content("probe", (0.6, 0.7), shots=16, labels=32),
        content("scratch", (0.2, 0.3), shots=16, labels=32),
    ]
    lines = comparison.overview([RunRecord.from_json(one) for one in rows]).splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]
    assert cells[0] == ["method", "1", "16"]
    assert [row[0].split()[0] for row in cells[2:]] == ["probe", "scratch"]
    assert cells[2][1] == accuracy_cell((0.4, 0.5))
    assert cells[3][1] == ""


def test_the_overview_and_the_figure_have_all_runs_that_share_a_label(tmp_path: Path) -> None:
    rates = {rate: {"train": {"lr": rate, "steps": 9}} for rate in (0.1, 0.01)}
    rows = [
        content("probe", (0.4, 0.5), run_id=f"{rate}-{shots}", shots=shots, config=config)
        for rate, config in rates.items()
        for shots in (1, 16)
    ]
    lines = comparison.overview([RunRecord.from_json(one) for one in rows]).splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]
    names = [f"probe conv4 from random weights, lr {rate}" for rate in (0.1, 0.01)]
    assert sorted(row[0] for row in cells[2:]) == sorted(names)
    assert all(row[1] and row[2] for row in cells[2:])
    out = tmp_path / "out"
    comparison.report([saved(tmp_path / "runs", *rows)], out, check=False)
    figure = (out / "methods-digits-16-labels.svg").read_text()
    assert all(f"lr {rate}" in figure for rate in (0.1, 0.01))


def test_one_number_of_labels_has_latex_and_a_figure(tmp_path: Path) -> None:
    out, runs = tmp_path / "out", saved(tmp_path / "runs", LOW, HIGH)
    comparison.report([runs], out, check=False)
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.md",
        "comparison.tex",
        *(f"methods-digits-4-labels.{suffix}" for suffix in ("pdf", "png", "svg")),
    ]
    page = (out / "comparison.md").read_text()
    assert "](methods-digits-4-labels.svg)" in page
    assert "](methods-digits-4-labels.pdf)" in page
    main, further = latex_reading.blocks((out / "comparison.tex").read_text())
    assert [row[0] for row in main.rows] == ["protonet", "probe"]
    accuracies = [main.headings.index(r"accuracy $\pm$ 95\%"), further.headings.index("F1")]
    assert main.rows[1][accuracies[0]] == accuracy_cell(
        LOW["scores"]["accuracy"]["values"]
    ).replace("±", r"$\pm$")
    assert [row[accuracies[1]] for row in further.rows] == ["0.2500", "0.2500"]
    (out / "comparison.tex").write_text("")
    assert comparison.report([runs], out, check=True) == 1


def test_one_run_has_tables_and_no_figure(tmp_path: Path) -> None:
    comparison.report([saved(tmp_path / "runs", LOW)], tmp_path / "out", check=False)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["comparison.md", "comparison.tex"]


@pytest.mark.slow
def test_a_tex_engine_sets_the_tables_of_ones_own_runs(tmp_path: Path) -> None:
    long = {f"a_very_long_setting_{number}": number for number in range(3)}
    rows = [LOW, HIGH, content("maml", shots=16), content("maml", run_id="x", config=long)]
    rows += [content("scratch", data="/tmp/my_photos & more"), content(shots=1)]
    text = comparison.in_latex([RunRecord.from_json(one) for one in rows])
    output = latex_reading.compile_document(text, tmp_path)
    assert not re.search(r"Overfull \\hbox \((\d\d+)\.|Float too large", output)


def test_balanced_accuracy_stands_beside_accuracy_where_test_classes_are_unequal():
    equal = markdown(content())
    assert "balanced accuracy" not in equal
    unequal = markdown(content(confusion=[[3, 1], [2, 8]]))
    assert "| balanced accuracy |" in unequal
    assert "| 0.2500 |" in unequal  # the macro recall of these records


def test_calibrated_scores_have_columns_where_there_are_some():
    assert "calibrated" not in markdown(content())
    score = {"mean": 0.0625, "std": None, "ci95": None, "values": [0.0625] * 5}
    calibrated = {"calibrated": dict.fromkeys(("loss", "ece", "brier"), score)}
    shown = markdown(content(**calibrated, temperature=score, calibration=["on folds"]))
    assert "| loss, calibrated | ECE, calibrated |" in shown
    assert "| 0.062 | 0.062 |" in shown


def test_other_numbers_of_single_classes_are_another_budget():
    config = {"train": {"lr": 0.001, "steps": 9}, "class_shots": {"a": 7, "b": 2}}
    shown = markdown(content(), content("probe", config=config))
    assert "**digits, 4 labels per class, but 7 of a and 2 of b**" in shown
    assert shown.count("| method |") == 2


def test_a_setting_that_is_newer_than_a_record_is_no_difference():
    newer = {"train": {"lr": 0.001, "steps": 9}, "prior": "balanced", "augment": ["flip"]}
    shown = markdown(content(), content(run_id="other", config=newer))
    assert "prior" not in shown


def test_the_answer_that_is_right_most_often_stands_beside_the_accuracy_where_classes_are_unequal():
    unequal = markdown(content(confusion=[[900, 50], [20, 30]], n_test=1000))
    assert "| always the same class |" in unequal
    assert "| 0.9500 (a) |" in unequal
    assert "always the same class" not in markdown(content(confusion=[[9, 1], [1, 9]]))
    nearly = content(confusion=[[510, 0], [0, 490]], n_test=1000)
    assert "always the same class" not in markdown(nearly)


def test_no_row_is_bold_on_few_test_images():
    better, worse = (0.9, 0.92, 0.91, 0.9, 0.93), (0.5, 0.51, 0.5, 0.49, 0.5)
    for n_test, bold in ((1000, True), (2, False)):
        rows = [content("probe", better, n_test=n_test), content("siamese", worse, n_test=n_test)]
        assert ("**0.9" in markdown(*rows)) == bold
