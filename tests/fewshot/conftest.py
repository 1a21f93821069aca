"""Fixtures that several rooms share, because they take seconds to make."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.runs import experiment


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
