"""Every number of the pages against the raw values of the records."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path

import numpy as np
import pytest

from fewshot.report.studies import gathering, tables
from tests.fewshot.expected_intervals import accuracy_cell
from tests.fewshot.report.studies.reading import expected, plain, rows_of, study
from tests.fewshot.study_results import RECORDS, Planned, record, save
from tests.fewshot.study_results import cell as asked_cell
from tests.fewshot.study_results import row as asked_row


@pytest.mark.parametrize("kind", ["md", "html", "tex"])
def test_every_number_is_that_of_the_raw_records(
    reported: tuple[Planned, Path, Path], kind: str
) -> None:
    _, _, out = reported
    by_run = {
        content["run_id"]: content
        for content in (json.loads(path.read_text()) for path in RECORDS.glob("*.json"))
    }
    names = ["index.html"] if kind == "html" else [f"kshot.{kind}", f"experts.{kind}"]
    rows = [
        {plain(key): plain(value) for key, value in row.items()}
        for name in names
        for row in rows_of((out / name).read_text(), kind)
    ]
    rows = [row for row in rows if "step" not in row["setting"]]
    assert len(rows) == 4 + 6 + 14
    for row in rows:
        reported_accuracy = float((row.get("reported") or "0").split()[0])
        expected_cells = expected(by_run[row["run"]], reported_accuracy)
        if not row.get("reported"):
            expected_cells.pop("difference")
        assert {key: row[key] for key in expected_cells} == expected_cells


def test_only_a_setting_that_is_better_than_all_others_is_bold(tmp_path: Path) -> None:
    """A lead of 0.01 with a spread of 0.002 is clear, one of 0.0001 is not."""
    asked = [asked_cell(name, name, place) for place, name in enumerate("abc")]
    values = np.array(record("probe-16")["scores"]["accuracy"]["values"])
    noise = np.random.default_rng(0).normal(0, 0.002, (3, len(values)))
    for lead, bold in ((0.01, ["a"]), (0.0001, [])):
        one = asked_row("kshot", f"K{len(bold)}", "Three")
        for place, setting in enumerate(asked):
            content = record("probe-16")
            trials = values + noise[place] + (lead if place == 0 else 0.0)
            content["scores"]["accuracy"] |= {"values": trials.tolist(), "mean": trials.mean()}
            save(tmp_path, one, setting, content)
        (table,) = tables.of_row(gathering.gather([(one, asked)], tmp_path, "small")[0].rows[0])
        column = table.columns.index("measured")
        assert [line[0].text for line in table.rows if line[column].bold] == bold


def test_no_setting_of_few_trials_is_bold(reported: tuple[Planned, Path, Path]) -> None:
    assert not re.findall(r"\*\*0\.", (reported[2] / "experts.md").read_text())


def test_budgets_are_never_in_one_table_and_captions_say_what_is_shared(
    reported: tuple[Planned, Path, Path],
) -> None:
    for name in ("kshot", "experts"):
        text = (reported[2] / f"{name}.md").read_text()
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            lines = [
                [part.strip() for part in line.strip("|").split("|")] for line in block.splitlines()
            ]
            if "labels" in lines[0]:
                assert len({line[lines[0].index("labels")] for line in lines[2:]}) == 1
    text = (reported[2] / "kshot.md").read_text()
    shared = (
        "cifar10, 16 labels per class: 160 labels, 10 classes, low-data regime, evaluated on "
        "10,000 test images; scale small: 10 trials; mini-resnet instead of ConvNeXt-Tiny"
    )
    assert f"**{shared}**" in text
    for words in (
        "- data: these CIFAR-10 images are a JPEG re-encoding",
        "- assumed: 16 images per class; evaluation on the test images",
        "scratch on conv4, random weights",
        "- in the report: slide 7",
        "- expected cost: 60 seconds per trial",  # of a row without results
        "- note: The backbone that ships is smaller.",
    ):
        assert words in text
    assert "20 minutes per trial" not in text  # the time of K8, which was measured


def test_metrics_that_the_report_states_have_columns_and_its_decimals(
    reported: tuple[Planned, Path, Path],
) -> None:
    first = rows_of((reported[2] / "experts.md").read_text(), "md")[2]
    content = record("finetune-p0.005")["scores"]
    assert first["reported"] == "0.2890 (std 0.0015)"
    assert (first["f1, reported"], first["loss, reported"]) == ("0.2790", "2.00")
    values = content["f1"]["values"]
    assert first["f1"] == accuracy_cell(values)
    assert "precision" not in first


def test_the_headline_table_has_the_rows_that_a_reader_looks_for(
    reported: tuple[Planned, Path, Path],
) -> None:
    table = tables.headline(study(reported[0], reported[1], "kshot"))
    assert table is not None
    column = {name: index for index, name in enumerate(table.columns)}
    assert {row[0].text for row in table.rows} == {"K7", "K8", "K9", "K10", "K11"}
    assert "with 16 labels per class" in table.caption
    for row in table.rows:
        if row[0].text == "K11":
            values = record("maml-16")["scores"]["accuracy"]["values"]
            mean = statistics.fmean(values)
            assert row[column["reported"]].text == "0.14"
            assert row[column["measured"]].text.startswith(f"{mean:.4f} ± ")
            assert row[column["difference"]].text == f"{mean - 0.14:+.4f}"
        if row[0].text == "K7":
            assert row[column["measured"]].text == "not run"


def test_many_settings_are_represented_by_the_highest_reported_and_the_best(
    reported: tuple[Planned, Path, Path],
) -> None:
    rows = study(reported[0], reported[1], "hyperparameters").rows
    by_network = tables.representative(rows[0], rows[0].scored)
    assert [one.values["network"] for one in by_network] == ["H1", "H2"]
    for one in by_network:
        rivals = [
            cell for cell in rows[0].scored if cell.values["network"] == one.values["network"]
        ]
        assert one.mean == max(cell.mean for cell in rivals)


@pytest.mark.parametrize(("weights", "shown"), [("pretrained", True), ("none", False)])
def test_what_the_backbone_knows_without_labels_stands_with_its_accuracies(
    weights: str, shown: bool, tmp_path: Path
) -> None:
    asked, one = asked_cell("a", "a", 0), asked_row("kshot", "K9", "One")
    measured, unlabelled = record("probe-16"), record("probe-16")
    measured["weights"] = weights
    save(tmp_path, one, asked, measured)
    unlabelled["scores"]["accuracy"]["mean"] = 0.1234
    unlabelled |= {"shots": 0, "config": {"shots": 0}, "weights": "pretrained"}
    (tmp_path / "names").mkdir()
    (tmp_path / "names" / "no-labels.json").write_text(json.dumps(unlabelled))
    (study_of_one,) = gathering.gather([(one, [asked])], tmp_path, "small")
    table = tables.headline(study_of_one)
    assert table is not None
    assert ("Without any label" in table.caption) == ("0.1234" in table.caption) == shown
