"""Times in words, and settings without a result at scale full. Oracle: sums made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.report.studies import gathering, unreached
from fewshot.studies import grids
from tests.fewshot.study_results import record, row, save


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(48, "48 seconds"), (90, "2 minutes"), (1800, "30 minutes"), (5400, "1.5 hours"),
     (36_000, "10 hours")],
)  # fmt: skip
def test_times_are_as_exact_as_an_estimate(seconds: float, words: str) -> None:
    assert unreached.duration(seconds) == words


def test_votes_and_settings_that_are_no_system_of_the_report_are_left_out(tmp_path: Path) -> None:
    networks = {"network": {"A": {}, "ours": {}}}
    own = row("mine", "M1", "One", grid=(networks,), trials=2, seconds=1800,
              stand_ins={"ours": "ours in A's place"})  # fmt: skip
    vote = row("mine", "M2", "Vote", kind="vote", rows=("M1",))
    planned = [(one, grids.every_cell(one, "full")) for one in (own, vote)]
    (study,) = gathering.gather(planned, tmp_path, "highest")
    table = unreached.table(study)
    assert table is not None
    assert table.columns == ["row", "setting", "shown instead", "time on two cores"]
    texts = [[cell.text for cell in line] for line in table.rows]
    assert texts == [["M1", "A", "nothing", "60 minutes"], ["all", "", "", "60 minutes"]]
    first = planned[0][1][0]
    save(tmp_path, own, first, record("probe-16"), values=first.values, scale="full")
    (study,) = gathering.gather(planned, tmp_path, "highest")
    assert unreached.table(study) is None
