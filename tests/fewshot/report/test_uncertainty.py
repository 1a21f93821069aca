"""The interval with test images against roots of its equation; cautions by hand."""

from __future__ import annotations

from fewshot.report import uncertainty
from fewshot.runs.run_record import ONE_TRIAL
from tests.fewshot.expected_intervals import with_test_images
from tests.fewshot.report.handmade import record


def test_the_interval_of_a_record_uses_its_number_of_test_images() -> None:
    for values, n_test in (((0.5, 0.6, 0.7), 1000), ((0.9, 0.95), 50)):
        row = record(values=values, n_test=n_test)
        assert uncertainty.with_test_images(row) == with_test_images(values, n_test)


def test_cautions_follow_the_number_of_trials() -> None:
    alone, few, many = record(values=(0.5,)), record(values=(0.5, 0.6)), record(values=(0.5,) * 5)
    same = record(values=(0.5,), warnings=[ONE_TRIAL])
    assert uncertainty.cautions([many, same, record(values=(0.5,), labels=0)]) == []
    (sentence,) = uncertainty.cautions([alone, many])
    assert "single trial" in sentence
    (sentence,) = uncertainty.cautions([few])
    assert "fewer than five" in sentence
    assert len(uncertainty.cautions([few, alone])) == 2
