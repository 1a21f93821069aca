"""Fixtures that several rooms share, because they take seconds to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.runs import experiment
from fewshot.training import precision


@pytest.fixture(autouse=True)
def plain_precision(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compute in float32 on every processor, without a measurement.

    The tests of the choice itself are left alone.
    """
    if request.path.name != "test_precision.py":
        plain = precision.Capability(precision.PLAIN)
        monkeypatch.setattr(precision, "_capability", lambda device: plain)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a real run of two short trials with a validation set."""
    out = tmp_path_factory.mktemp("runs")
    values = {
        "method": "protonet",
        "preset": "random",
        "data": "digits",
        "shots": 5,
        "precision": "float32",
        "backbone": {"options": {"width": 8}},
        "validation": {"share": 0.2},
        "train": {"steps": 4},
    }
    return out / experiment.run(values, [0, 3], out=out).run_id
