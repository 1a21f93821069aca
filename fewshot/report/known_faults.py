"""State once on a page how accuracy changes without CIFAR-10's faulty test images."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fewshot.runs.run_record import RunRecord
from fewshot.runs.trial_record import CLEAN

DATA = "cifar10"
FAULTY, IN_ALL = 362, 10_000  # test images in episodes/datasets/cifar10_faults.json, and all


def sentence(records: Iterable[RunRecord]) -> str:
    """Return the change of accuracy without the faulty images; empty if no record states it.

    Args:
        records: records of any data sets; copies count by run id once.
    """
    by_id = {record.run_id: record for record in records}
    stated = [record.scores for record in by_id.values() if CLEAN in record.scores]
    if not stated:
        return ""
    changes = [scores[CLEAN].mean - scores["accuracy"].mean for scores in stated]
    n_could = sum(record.data == DATA or CLEAN in record.scores for record in by_id.values())
    words = f"{changes[0]:+.4f} (one run)"
    if n_could > 1:
        words = (
            f"{np.mean(changes):+.4f} on average ({min(changes):+.4f} to {max(changes):+.4f}; "
            f"{len(stated)} of {n_could} runs state it)"
        )
    return (
        f"Clean accuracy leaves out the {FAULTY} of CIFAR-10's {IN_ALL:,} test images that are "
        "near duplicates of other images or have wrong labels; it differs from accuracy by "
        f"{words}."
    )
