"""Columns about time: cells by hand, of a record that states its features and of an older one."""

from __future__ import annotations

from dataclasses import replace

from fewshot.report import comparison, costs
from fewshot.runs.trial_record import Cost
from tests.fewshot.report.handmade import record

NEW = replace(record("probe"), cost=Cost(2.0, 24.5, None, 10.0, 12345, None, 23.75))
OLD = replace(record("protonet"), cost=Cost(2.0, 24.5, None, 10.0, 12345))


def column(table: str, name: str) -> dict[str, str]:
    """Return the cells of a column by the method of their row."""
    head, _, *rows = [line for line in table.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in head.split("|")]
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    return {row[1].split(" ")[0]: row[names.index(name)] for row in cells}


def test_features_have_a_column_of_their_own_and_are_no_part_of_the_seconds() -> None:
    for brief in (False, True):
        table = comparison.markdown([NEW, OLD], brief=brief)
        assert column(table, "seconds per trial") == {"probe": "2.8", "protonet": "2.0"}
        assert column(table, "features (s)") == {"probe": "23.8", "protonet": ""}
        assert "features (s)" not in comparison.markdown([OLD], brief=brief)


def test_an_old_record_without_training_has_no_seconds() -> None:
    old = replace(record("probe"), cost=Cost(0.0, 24.5, None, 10.0, 12345))
    assert old.cost.seconds is None
    assert costs.seconds(old) == ""
    assert "seconds per trial" not in comparison.markdown([old])
    assert "s per trial" not in old._repr_html_()


def test_the_page_defines_the_columns_once() -> None:
    assert comparison.page([NEW, OLD]).count(costs.SECONDS) == 1
