"""Oracle: the published records, read as plain JSON and averaged here."""

from __future__ import annotations

import json
from statistics import fmean

import pytest

from scripts import calibration, calibration_runs
from scripts.pages import RECORDS

FOLDER = RECORDS / calibration_runs.FOLDER
NAMES = sorted(path.name.removesuffix(".bins.json") for path in FOLDER.glob("*.bins.json"))


def plain(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text())


def error(trial: list[list[float]]) -> float:
    """The expected calibration error of a trial, bin by bin."""
    counts, confidence, correct = trial
    gaps = [abs(right - sure) for right, sure in zip(correct, confidence, strict=True)]
    return sum(gaps) / sum(counts)


@pytest.mark.parametrize("name", NAMES)
def test_the_bins_beside_a_record_give_its_calibration_errors(name: str) -> None:
    record = plain(name)
    bins = json.loads((FOLDER / f"{name}.bins.json").read_text())
    own = {"before": record["scores"], "after": record["calibrated"] or record["scores"]}
    for state, scores in own.items():
        errors = [error(trial) for trial in bins[state]]
        assert errors == pytest.approx(scores["ece"]["values"], abs=1e-5)
        assert [sum(trial[0]) for trial in bins[state]] == [record["n_test"]] * len(errors)


def test_the_page_shows_the_means_of_the_records() -> None:
    rows = [line.split(" | ") for line in calibration.temperatures().splitlines()[2:]]
    shown = {(row[0].removeprefix("| ").split(" (")[0], row[1]): row for row in rows}
    record = plain("probe-4")
    row = shown["probe", "4"]
    for place, scores, name in (
        (4, "scores", "ece"),
        (5, "calibrated", "ece"),
        (6, "scores", "loss"),
        (7, "calibrated", "loss"),
    ):
        assert row[place] == f"{fmean(record[scores][name]['values']):.3f}"


def test_the_difference_between_the_priors_is_paired() -> None:
    balanced, training = plain("probe-32-and-8"), plain("probe-32-and-8-training")
    assert balanced["provenance"]["indices"] == training["provenance"]["indices"]
    values = (one["scores"]["accuracy"]["values"] for one in (balanced, training))
    mean = fmean(ours - theirs for ours, theirs in zip(*values, strict=True))
    assert f"{mean:+.4f}" in calibration.priors()


def test_the_default_probe_reaches_its_bars() -> None:
    """At most 0.08 with 4 labels per class and 0.05 with 16, over ten trials."""
    for shots, bar in ((4, 0.08), (16, 0.05)):
        values = plain(f"probe-{shots}")["calibrated"]["ece"]["values"]
        assert len(values) == 10
        assert fmean(values) < bar
