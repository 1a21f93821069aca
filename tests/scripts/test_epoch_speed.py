"""The table of training speeds: ratios and shares of the peak computed again from other columns."""

from __future__ import annotations

import json

import pytest

from scripts import epoch_speed


def cells() -> dict[str, list[str]]:
    """Return network -> the cells of its row in the table."""
    lines = [line for line in epoch_speed.table().splitlines() if line.startswith("| ")][2:]
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return {first.split(" (")[0]: rest for first, *rest in rows}


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def test_every_network_has_a_row_whose_numbers_agree() -> None:
    result, shown = json.loads(epoch_speed.RESULT.read_text()), cells()
    assert list(shown) == list(result["networks"])
    for gflop, before, now, ratio, share, epoch, training in shown.values():
        assert number(ratio) == pytest.approx(number(now) / number(before), rel=0.1)
        precision, percent = share.split(", ")
        peak = result["peak_gflop_per_second"][precision]
        expected = 100 * number(gflop) * number(now) / peak
        assert float(percent.rstrip("%")) == pytest.approx(expected, rel=0.05, abs=0.6)
        assert 45_000 / number(now) <= number(epoch) * 1.15  # an epoch has at least 40,000 images
        assert 15 <= number(training) / number(epoch) <= 34.5  # epochs
