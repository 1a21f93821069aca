"""The noise of a curve against its definition; records gathered by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fewshot.report.forecasting import learning_curve
from tests.fewshot.report.forecasting.curves import at, curve
from tests.fewshot.report.handmade import record


def test_means_of_the_same_seeds_err_together() -> None:
    records = [
        at(8, (0.5, 0.52, 0.54, 0.56)),
        at(16, (0.6, 0.62)),
        at(64, (0.7, 0.71), seeds=[8, 9]),
    ]
    noise = curve(records).noise
    sd = np.sqrt(noise.diagonal())
    # The means of seeds 0-3 and 0-1 share 2 of 4 x 2 pairs of trials, each correlated by 0.6.
    assert noise[0, 1] / (sd[0] * sd[1]) == pytest.approx(0.6 * 2 / (4 * 2) * (4 * 2) ** 0.5)
    assert noise[0, 2] == noise[1, 2] == 0
    assert 0.01 < sd[0] * 4**0.5 < 0.04


def test_fractions_become_labels_a_class_and_data_sets_stay_apart() -> None:
    result = [at(n, (0.3, 0.4)) for n in (1, 4)]
    result += [
        record("probe", (0.5, 0.6), shots=None, fraction=0.1, labels=32, run_id="probe-16"),
        at(4, (0.1, 0.2), data="other", regime="episodic"),
    ]
    result += [at(n, (0.3, 0.4), fingerprint="g") for n in (1, 4, 5)]
    result += [at(1, (0.3, 0.4, 0.5))]  # more trials than the other of one label
    one, other = learning_curve.gather(result)
    assert one.counts.tolist() == [1, 4, 16]
    assert one.means[0] == pytest.approx(0.4)
    assert other.counts.tolist() == [1, 4, 5]
    assert one.remarks == [
        "of several records at 1 labels per class, the one with the most trials is used",
    ]


def test_every_preset_has_its_own_curve_and_few_ends_where_full_begins() -> None:
    few = [at(n, (0.3, 0.4)) for n in (1, 4, 100)]
    full = [at(n, (0.5, 0.6), preset="full") for n in (101, 200, 400)]
    one, other = learning_curve.gather([*few, *full])
    assert (one.counts.tolist(), one.end) == ([1, 4, 100], 100)
    assert one.label == "probe conv4 from random weights, preset few"
    assert (other.counts.tolist(), other.end) == ([101, 200, 400], None)
    assert curve(few).label == "probe conv4 from random weights"
    assert curve([*few, at(101, (0.4, 0.5))]).end is None  # few on purpose
    assert curve([at(n, (0.3, 0.4), preset="random") for n in (1, 4, 16)]).end is None
