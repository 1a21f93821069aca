"""The rows of pretraining.md against paired differences of the raw probe records."""

from __future__ import annotations

import json
import statistics

from scripts import pretraining
from scripts.pages import RECORDS


def values(name: str, shots: int) -> list[float]:
    content = json.loads((RECORDS / "pretraining" / name / f"probe-{shots}.json").read_text())
    return content["scores"]["accuracy"]["values"]


def test_differences_are_paired_with_the_first_variant() -> None:
    cells = pretraining.row("wide-taught", "taught-halves")
    assert cells is not None
    gaps = [
        100 * (a - b)
        for a, b in zip(values("wide-taught", 16), values("taught-halves", 16), strict=True)
    ]
    assert cells[-2] == f"{statistics.fmean(values('wide-taught', 16)):.3f}"
    assert cells[-1].startswith(f"{statistics.fmean(gaps):+.1f} ± ")


def test_the_first_variant_has_no_difference_and_missing_ones_no_row() -> None:
    cells = pretraining.row("taught-halves", "taught-halves")
    assert cells is not None
    assert cells[4::2] == ["", "", ""]
    assert pretraining.row("mixup", "base") is None  # was not run
