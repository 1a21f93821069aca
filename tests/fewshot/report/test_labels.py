"""Labels of runs, against what a person would write to distinguish records made by hand."""

from __future__ import annotations

from typing import Any

from fewshot.report import labels
from fewshot.runs.run_record import RunRecord
from tests.fewshot.report.handmade import record

PROBE = "probe conv4 from random weights"


def run(run_id: str, shots: int = 4, trials: int = 2, **config: Any) -> RunRecord:
    return record("probe", (0.5,) * trials, run_id=run_id, shots=shots, config=config)


def test_runs_of_other_numbers_of_labels_share_a_label() -> None:
    assert labels.distinct([run("a", 1), run("b", 4, train={"lr": 0.1})]) == [PROBE, PROBE]


def test_runs_with_the_same_labelled_images_are_named_by_the_settings_that_differ() -> None:
    runs = [
        run("a", 4, train={"lr": 0.1, "batch_size": 8}),
        run("b", 4, train={"lr": 0.01, "batch_size": 8}),
        run("c", 16, train={"lr": 0.01, "batch_size": 64}),
        record("protonet"),
    ]
    protonet = "protonet conv4 from random weights"
    assert labels.distinct(runs) == [
        f"{PROBE}, lr 0.1", f"{PROBE}, lr 0.01", f"{PROBE}, lr 0.01", protonet,
    ]  # fmt: skip


def test_usual_presets_are_named_where_they_are_all_that_differs() -> None:
    runs = [record("probe", run_id=preset, preset=preset) for preset in ("few", "random")]
    assert labels.distinct(runs) == [f"{PROBE}, preset few", f"{PROBE}, preset random"]


def test_runs_with_equal_settings_have_their_ids_but_for_that_with_most_trials() -> None:
    runs = [run("a"), run("b", trials=3), run("c")]
    assert labels.distinct(runs) == [f"{PROBE}, run a", PROBE, f"{PROBE}, run c"]


def test_a_label_has_few_settings() -> None:
    many = [run(name, train={f"option_{n}": name for n in range(9)}) for name in ("x", "y")]
    first, second = labels.distinct(many)
    assert first == f"{PROBE}, option 0 x, option 1 x, option 2 x"
    assert second == first.replace(" x", " y")


def test_settings_that_are_newer_than_a_record_have_their_default() -> None:
    old, new = run("a"), run("b", test=None)
    assert labels.differences(new, [old, new]) == {}
