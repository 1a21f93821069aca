"""Nearest images against a loop over all pairs; sheets are not drawn for other images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fewshot import io
from fewshot.errors import UserError
from fewshot.report.inspection import report, run_files
from fewshot.report.inspection.images import Inspected
from tests.fewshot.report.saved_run import copied

IMAGES = ("The most confident mistakes", "The labelled images nearest to them")


def test_other_images_under_the_same_name_are_not_shown(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    record = io.read_json(folder / "record.json")
    record["provenance"]["data_fingerprint"] = "of others"
    io.write_json(folder / "record.json", record)
    for title in IMAGES:
        with pytest.raises(
            UserError, match="the images that 'digits' has now are not those of the run"
        ):
            report.PARTS[title](Inspected(run_files.read(folder), 0, tmp_path))


def test_no_mistakes_no_sheet(run: Path, tmp_path: Path) -> None:
    folder = copied(run, tmp_path)
    with np.load(folder / "trial-0" / "predictions.npz") as arrays:
        predictions = dict(arrays)
    right = (20 * np.eye(10)[predictions["test_labels"]]).astype(np.float16)
    io.write_arrays(folder / "trial-0" / "predictions.npz", {**predictions, "test_logits": right})
    for title in IMAGES:
        with pytest.raises(UserError, match="trial 0 made no mistake"):
            report.PARTS[title](Inspected(run_files.read(folder), 0, tmp_path))
