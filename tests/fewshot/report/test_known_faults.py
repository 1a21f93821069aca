"""The sentence about known faults: numbers by hand, and the list that ships with `episodes`."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import episodes
from fewshot.evaluation.statistics import summary
from fewshot.report import comparison, known_faults
from fewshot.runs.run_record import RunRecord
from tests.fewshot.report.handmade import record


def with_clean(run_id: str, accuracy: float, clean: float) -> RunRecord:
    made = record(run_id=run_id, data="cifar10")
    scores = {"accuracy": summary([accuracy] * 5), "clean_accuracy": summary([clean] * 5)}
    return replace(made, scores={**made.scores, **scores})


def test_the_numbers_are_those_of_the_list() -> None:
    path = Path(episodes.__file__).parent / "datasets" / "cifar10_faults.json"
    assert len(json.loads(path.read_text())["images"]) == known_faults.FAULTY


def test_the_mean_change_its_range_and_the_runs_that_state_it() -> None:
    first, second = with_clean("a", 0.5, 0.502), with_clean("b", 0.7, 0.699)
    old, other = record(run_id="c", data="cifar10"), record(run_id="d", data="digits")
    assert known_faults.sentence([first, second, first, old, other]) == (
        "Clean accuracy leaves out the 362 of CIFAR-10's 10,000 test images that are near "
        "duplicates of other images or have wrong labels; it differs from accuracy by +0.0005 on "
        "average (-0.0010 to +0.0020; 2 of 3 runs state it)."
    )
    assert known_faults.sentence([first]).endswith("it differs from accuracy by +0.0020 (one run).")
    assert known_faults.sentence([old, other]) == ""


def test_a_page_states_it_once_after_all_tables() -> None:
    runs = [with_clean("a", 0.5, 0.502), replace(with_clean("b", 0.7, 0.699), shots=2, labels=4)]
    text = comparison.page(runs)
    assert text.count("near duplicates") == 1
    assert "| clean accuracy |" in text
    assert "| 0.5020 |" in text
    assert "lean accuracy" not in comparison.page([record()])
