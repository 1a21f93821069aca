"""Paired differences between two records."""

from __future__ import annotations

from fewshot.evaluation.statistics import Difference, paired_difference
from fewshot.runs.records import Record


def paired(ours: Record, theirs: Record) -> Difference:
    """Return the test accuracy of one record minus another's, over the seeds that both have."""
    return paired_difference(_by_seed(ours), _by_seed(theirs))


def _by_seed(record: Record) -> dict[int | None, float]:
    return dict(zip(record["seeds"], record["scores"]["accuracy"]["values"], strict=True))
