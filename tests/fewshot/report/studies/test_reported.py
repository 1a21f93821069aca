"""Numbers exceeded and not reached, against means of the raw records."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from fewshot.report.studies import reported as reported_numbers
from tests.fewshot.report.studies.reading import study
from tests.fewshot.study_results import Planned, record


def test_reported_numbers_passed_and_not_reached(
    reported: tuple[Planned, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    planned, saved, _ = reported
    first, passed, missed = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert first.sentence == (
        "7 reported accuracies were measured again: 5 exceeded, 2 not reached."
    )
    gain = statistics.fmean(record("maml-16")["scores"]["accuracy"]["values"]) - 0.14
    assert f"K11: by {gain:.4f}, more than its interval" in passed.details
    probe, scratch = (record(f"{name}-16")["scores"]["accuracy"] for name in ("probe", "scratch"))
    less = probe["mean"] - 0.71
    assert missed.sentence == "Not reached:"
    assert missed.details[0] == (
        f'K8 "method probe": {probe["mean"]:.4f} against 0.71 ({less:+.4f} ± {probe["ci95"]:.4f})'
    )
    brief = reported_numbers.in_brief(study(planned, saved, "kshot"))
    assert brief[0].startswith(
        "5 of 7 reported accuracies were exceeded: K8 (2 of 4), K9, K10 and K11"
    )
    assert brief[1] == "2 were not reached: K8 (2 of 4)."
    assert brief[2].startswith("Scale small uses fewer images, fewer epochs or smaller networks")
    monkeypatch.setattr(reported_numbers, "MOST_MISSED", 1)
    *_, by_row = reported_numbers.against_report(study(planned, saved, "kshot"))
    assert by_row.details == [
        f"K8: 2 of 4, by {-less:.4f} to {0.5 - scratch['mean']:.4f} (all by more than the interval)"
    ]
