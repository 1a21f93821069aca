"""The report of three studies, which the tests of this folder share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fewshot.report.studies import report
from tests.fewshot import study_results
from tests.fewshot.study_results import Planned


@pytest.fixture(scope="session")
def reported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Planned, Path, Path]:
    """Three studies, their results, and the folder with their report."""
    folder = tmp_path_factory.mktemp("report")
    saved, out = folder / "results", folder / "out"
    planned = (
        study_results.kshot(saved) + study_results.experts(saved) + study_results.searched(saved)
    )
    assert report.report(planned, out, False, "small", saved) == 0
    return planned, saved, out
