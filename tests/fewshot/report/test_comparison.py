import json
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scipy import stats

from episodes.errors import UserError
from fewshot.report import comparison as table

BEST = "to the best, paired"


def record(
    method: str = "protonet", values: tuple[float, ...] = (0.5, 0.6, 0.7, 0.6, 0.6), **over: Any
) -> dict:
    """A hand-made record; only what a table shows is in it."""
    score = {"mean": statistics.fmean(values), "std": None, "ci95": None, "values": list(values)}
    if len(values) > 1:
        score["std"] = statistics.stdev(values)
        score["ci95"] = stats.t.ppf(0.975, len(values) - 1) * score["std"] / len(values) ** 0.5
    other = {"mean": 0.25, "std": None, "ci95": None, "values": [0.25] * len(values)}
    return {
        "run_id": f"id-{method}",
        "method": method,
        "preset": "few",
        "backbone": "conv4",
        "weights": "none",
        "data": "digits",
        "data_notes": [],
        "regime": "low-data",
        "shots": 4,
        "fraction": None,
        "classes": ["a", "b"],
        "labels": 8,
        "n_test": 1000,
        "config": {"train": {"lr": 0.001, "steps": 9}, "augment": ["flip"]},
        "seeds": list(range(len(values))),
        "scores": {"accuracy": score, **dict.fromkeys(("precision", "recall", "f1", "loss", "ece"), other)},
        "validation": None,
        "train_accuracy": other,
        "per_class": [0.5, 0.5],
        "confusion": [[1, 1], [1, 1]],
        "cost": {
            "train_seconds": 2.0, "adapt_seconds": 0.25, "images_per_second": None, "peak_memory_mb": 10.0,
            "parameters": 12345,
        },
        "provenance": {"data_fingerprint": "f"},
        "warnings": [],
        **over,
    }  # fmt: skip


def test_what_a_learner_measured_of_itself_is_told_below() -> None:
    score = {"mean": 0.9481, "std": 0.01, "ci95": 0.0123, "values": [0.94, 0.95]}
    text = table.markdown(
        [record("experts", measures={"gate_accuracy": score, "flat_accuracy": score}), record()]
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


def groups(*records_: dict) -> list[Group]:
    found: list[Group] = []
    for block in table.markdown(records_).split("\n\n"):
        if block.startswith("**"):
            found.append(Group(block, [], []))
        elif block.startswith("|"):
            names, _, *rows = (
                [cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()
            )
            found[-1].rows.extend(dict(zip(names, row, strict=True)) for row in rows)
        else:
            found[-1].remarks.extend(
                line.strip("\n").removeprefix("- ") for line in block.strip().splitlines()
            )
    return found


LOW, HIGH = (
    record("probe", (0.5, 0.55, 0.6, 0.5, 0.52)),
    record("protonet", (0.7, 0.72, 0.8, 0.74, 0.7)),
)


def test_the_best_is_in_bold_and_first_and_only_once():
    (group,) = groups(LOW, HIGH, record("scratch", (0.1, 0.2, 0.1, 0.2, 0.1)))
    assert [row["method"] for row in group.rows] == ["protonet", "probe", "scratch"]
    bold = [
        (row["method"], name) for row in group.rows for name, cell in row.items() if "**" in cell
    ]
    assert bold == [("protonet", "accuracy ± 95%")]


def test_equal_records_are_bold_once():
    (group,) = groups(record("probe"), record("protonet"))
    assert ["**" in row["accuracy ± 95%"] for row in group.rows] == [True, False]
    assert group.rows[1][BEST] == "+0.0000 ± 0.0000"


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
    changed = record("scratch", (0.1,) * 5, **other)
    found = groups(LOW, changed, HIGH)
    assert sorted([row["method"] for row in group.rows] for group in found) == [
        ["protonet", "probe"],
        ["scratch"],
    ]
    assert len({group.heading for group in found}) == 2
    assert (
        sum(cell.startswith("**") for group in found for row in group.rows for cell in row.values())
        == 2
    )


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ({"shots": 4, "fraction": None}, "digits, 4 shots"),
        ({"shots": None, "fraction": 0.01}, "digits, fraction 0.01"),
        ({"shots": None, "fraction": None}, "digits, all training images"),
    ],
)
def test_the_heading_says_what_was_learned_from_and_judged_on(budget: dict, words: str):
    (group,) = groups(record(**budget, labels=12345))
    assert words in group.heading
    assert "12,345 labels, 2 classes, low-data regime, 1,000 test images" in group.heading


def test_intervals_n_and_costs_to_the_printed_digit():
    values = (0.71234, 0.69876, 0.75555, 0.70001, 0.7321, 0.6999)
    (group,) = groups(record(values=values))
    mean, error = statistics.fmean(values), statistics.stdev(values) / 6**0.5
    low, high = stats.t.interval(0.95, 5, loc=mean, scale=error)
    row = group.rows[0]
    assert row["accuracy ± 95%"] == f"**{mean:.4f} ± {(high - low) / 2:.4f}**"
    assert row["min - max"] == "0.6988 - 0.7556"
    assert row["n"] == "6"
    assert row["seconds a draw"] == "2.2"
    assert row["parameters"] == "12,345"
    assert (row["F1"], row["loss"], row["ECE"], row["train accuracy"]) == (
        "0.2500",
        "0.250",
        "0.250",
        "0.250",
    )


def test_the_difference_is_paired_over_the_common_seeds_only():
    worse = record("probe", (0.50, 0.60, 0.55, 0.65, 0.40), seeds=[7, 3, 4, 5, 6])
    better = record("protonet", (0.90, 0.80, 0.70, 0.72, 0.69, 0.75), seeds=[0, 1, 2, 3, 4, 5])
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


def test_one_draw_has_no_interval_and_is_told_to_say_little():
    (group,) = groups(record(values=(0.5,)))
    assert group.rows[0]["accuracy ± 95%"] == "**0.5000**"
    assert group.rows[0]["n"] == "1"
    assert any("fewer than five draws" in remark for remark in group.remarks)


def test_warnings_and_notes_are_shown_once_with_their_table():
    noted = {"data_notes": ["one file was skipped"]}
    found = groups(
        record("probe", warnings=["untrained"], **noted),
        record("scratch", **noted),
        record("protonet", shots=5, labels=10, warnings=["at chance"]),
    )
    assert [group.remarks for group in found] == [
        ["one file was skipped", "probe: untrained"],
        ["protonet: at chance"],
    ]


def test_presets_and_weights_are_named_but_for_the_usual_presets():
    named = [record(f"m{i}", preset=preset) for i, preset in enumerate(("few", "full", "fast"))]
    (group,) = groups(*named, record("m3", weights="folder/of/w.safetensors"))
    assert {row["method"] for row in group.rows} == {"m0", "m1", "m2 (fast)", "m3"}
    assert sorted(row["weights"] for row in group.rows) == ["none"] * 3 + ["w.safetensors"]


def test_the_order_of_the_records_does_not_matter():
    found = [LOW, HIGH, record("scratch", shots=1, labels=2), record("maml", data="cifar10")]
    assert table.markdown(found) == table.markdown(found[::-1])


# writing and checking


def saved(folder: Path, *records_: dict) -> Path:
    folder.mkdir(exist_ok=True)
    for each in records_:
        (folder / f"{each['run_id']}.json").write_text(json.dumps(each))
    return folder


def test_tell_prints_or_writes_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    found = saved(tmp_path / "runs", LOW, HIGH)
    expected = table.markdown([LOW, HIGH])
    assert table.tell([found], None, check=False) == 0
    assert capsys.readouterr().out == expected + "\n"
    assert table.tell([found], tmp_path / "new" / "out", check=False) == 0
    assert (tmp_path / "new" / "out" / "comparison.md").read_text() == expected + "\n"
    assert "comparison.md" in capsys.readouterr().out


def test_check_tells_fresh_from_stale_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    found, out = saved(tmp_path / "runs", LOW), tmp_path / "out"
    assert table.tell([found], out, check=True) == 1
    assert not out.exists()
    table.tell([found], out, check=False)
    written = (out / "comparison.md").read_text()
    capsys.readouterr()
    assert table.tell([found], out, check=True) == 0
    assert "up to date" in capsys.readouterr().err
    saved(tmp_path / "runs", HIGH)
    assert table.tell([found], out, check=True) == 1
    assert "stale" in capsys.readouterr().err
    assert (out / "comparison.md").read_text() == written


def test_check_needs_a_place_and_records_must_be_there(tmp_path: Path):
    with pytest.raises(UserError, match="--out"):
        table.tell([saved(tmp_path / "runs", LOW)], None, check=True)
    with pytest.raises(UserError, match=re.escape(str(tmp_path / "gone"))):
        table.tell([tmp_path / "gone"], tmp_path / "out", check=False)


def test_a_table_is_made_without_torch():
    code = "import sys, fewshot.report.comparison; print([m for m in ('torch', 'torchvision', 'timm') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_rows_of_one_method_are_told_apart_by_their_settings():
    changed = {
        "train": {"lr": 0.01, "steps": 9},
        "augment": [{"name": "flip"}, {"name": "crop", "scale": [0.5, 1]}],
    }
    found = [
        record(),
        record(run_id="other", config=changed),
        record("probe", config={"train": None}),
    ]
    (group,) = groups(*found)
    assert {row["run"]: row["settings"] for row in group.rows} == {
        "id-protonet": "train.lr=0.001, augment=[flip]",
        "other": "train.lr=0.01, augment=[flip crop]",
        "id-probe": "",
    }
    (group,) = groups(record(), record("probe"))
    assert "settings" not in group.rows[0]
