"""Fixtures that several rooms share, because they take seconds to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.runs import experiment
from fewshot.training import devices

EQUALLY_FAST = dict.fromkeys(
    ("float32", "float32 channels_last", "bfloat16", "bfloat16 channels_last"), 1.0
)


@pytest.fixture(autouse=True)
def no_measurement(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not time precisions and layouts, which takes seconds in every new cache: use float32.

    The tests of the measurement itself are left alone.
    """
    if request.path.name != "test_devices.py":
        monkeypatch.setattr(devices, "_measure", lambda device: EQUALLY_FAST)


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
